"""Words of one's own: takes stay where they should, and a model that is taught them knows the old words, too."""

from __future__ import annotations

import contextlib
import io
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import soundfile
import yaml
from browser_tools import chromium, needs_chromium, opened, played
from corpus_tools import ROOT
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import expect, sync_playwright
from web_tools import Server, encoded, serving

from base.errors import DataError
from features import clip_id
from features.splits import speaker_split
from pipelines.corpus import synthesis
from pipelines.corpus.local import recognize
from serving.model import open_model
from serving.taught import EXPORT_FOLDER, read_taught
from serving.teach import salt, takes_of
from serving.web.limits import Refused
from serving.web.takes import MOST_WORDS, TAKE_BYTES, Takes
from stores.lineage import SplitRule

RULE = SplitRule("official", (80, 10, 10), "")
WORDS = ("hexagon", "waterfall")
LISTENING = 60_000
LOUD = np.full(16_000, 5000, "<i2").tobytes()


def takes(folder: Path) -> Takes:
    return Takes(folder / "takes", ("yes", "no"))


def test_a_take_is_a_file_that_the_plain_words_layout_reads(tmp_path: Path) -> None:
    kept = takes(tmp_path)
    samples = np.random.default_rng(0).integers(-9000, 9000, 16_000).astype("<i2")
    assert [kept.add(" Hexagon ", samples.tobytes()), kept.add("hexagon", LOUD), kept.add("eis kaffee", LOUD)] == [
        1,
        2,
        1,
    ]
    assert kept.words() == {"eis kaffee": [1], "hexagon": [1, 2]}
    assert sorted(path.name for path in (tmp_path / "takes" / "hexagon").iterdir()) == ["0001.wav", "0002.wav"]
    read, rate_hz = soundfile.read(io.BytesIO(kept.read("hexagon", 1)), dtype="int16")
    assert rate_hz == 16_000
    np.testing.assert_array_equal(read, samples)
    assert recognize(tmp_path / "takes", noise=False) == "words"
    assert takes_of(tmp_path / "takes") == {"eis kaffee": ["0001"], "hexagon": ["0001", "0002"]}


def test_a_deleted_take_is_gone_and_its_number_too(tmp_path: Path) -> None:
    kept = takes(tmp_path)
    for _ in range(3):
        kept.add("hexagon", LOUD)
    kept.delete("hexagon", 2)
    assert kept.words() == {"hexagon": [1, 3]}
    with pytest.raises(Refused, match="no such take"):
        kept.read("hexagon", 2)
    for number in (1, 3):
        kept.delete("hexagon", number)
    assert kept.words() == {} and not list((tmp_path / "takes").iterdir())


NO_WORDS = (
    "",
    " ",
    "..",
    "../evil",
    "a/b",
    "a\\b",
    "_silence_",
    "a\0b",
    "7",
    "con.wav",
    "-",
    "a" * 31,
    "yes",
    "NO",
    ".a",
    "a\nb",
)


@pytest.mark.parametrize("word", NO_WORDS)
def test_what_is_no_new_word_is_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        takes(tmp_path).add(word, LOUD)
    assert not list((tmp_path / "takes").iterdir())


@given(st.text(max_size=40))
def test_no_text_makes_a_file_outside_the_folder(tmp_path_factory: pytest.TempPathFactory, word: str) -> None:
    folder = tmp_path_factory.mktemp("words")
    with contextlib.suppress(Refused):
        takes(folder / "inner").add(word, LOUD)
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.parent.parent == folder / "inner" / "takes" for path in found) and len(found) <= 1


def test_takes_that_are_short_or_silent_and_words_beyond_the_bound_are_refused(tmp_path: Path) -> None:
    kept = takes(tmp_path)
    for body, part in ((LOUD[:-2], "one second"), (LOUD + b"12", "one second"), (bytes(TAKE_BYTES), "silent")):
        with pytest.raises(Refused, match=part):
            kept.add("hexagon", body)
    for number in range(MOST_WORDS):
        kept.add("word" + "a" * (number + 1), LOUD)
    with pytest.raises(Refused, match="words already"):
        kept.add("hexagon", LOUD)


@given(st.integers(8, 40), st.integers(0, 1000))
def test_a_salt_gives_each_word_takes_in_every_split(count: int, start: int) -> None:
    words = {word: [f"{start + number:04d}" for number in range(count)] for word in WORDS}
    found = salt(words, RULE)
    for word, names in words.items():
        splits = Counter(speaker_split(clip_id.named(word, name, "own"), RULE.ratio, found) for name in names)
        assert min(splits["validation"], splits["test"]) >= max(1, count // 10)
        assert splits["train"] >= count / 2


def test_too_few_takes_can_not_be_divided() -> None:
    with pytest.raises(DataError, match="record more"):
        salt({"hexagon": ["1", "2"]}, RULE)


def spoken(word: str, count: int) -> list[np.ndarray[tuple[int], np.dtype[np.int16]]]:
    """Takes of a word by one synthesized voice, int16, (16000,) each."""
    voice = synthesis.cast(3, 77)[0]
    drawn = [synthesis.draw_take(voice, word, word, seed) for seed in range(count)]
    clips = [np.asarray(sound, "<i2")[:16_000] for _, sound in synthesis.clips(drawn, 5)]
    return [np.pad(clip, (0, 16_000 - len(clip))) for clip in clips]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that records, in a folder with what `make repro` has made."""
    place = tmp_path_factory.mktemp("words") / "here"
    place.mkdir()
    for name in ("models", "data/raw", "exports"):
        if not (ROOT / name).exists():
            pytest.skip(f"there is no {name}: run `make repro`")
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).symlink_to(ROOT / name)
    shutil.copyfile(ROOT / "params.yaml", place / "params.yaml")
    with serving(place / "exports/cnn", place, "--record", "recorded") as found:
        yield found


@pytest.mark.browser
@needs_chromium
def test_takes_are_recorded_played_and_deleted_on_the_page(server: Server, tmp_path: Path) -> None:
    sound = played(tmp_path / "word.wav", spoken(WORDS[0], 3))
    script = "HTMLMediaElement.prototype.play = function () { window.playing = this.src; return Promise.resolve(); }"
    with (
        sync_playwright() as playwright,
        chromium(playwright, microphone=sound) as browser,
        opened(browser, f"{server.url}/words", "422", script=script) as page,
    ):
        page.get_by_label("Word").fill(" Hexagon ")
        page.keyboard.press("Enter")
        expect(page.locator("#words li")).to_have_count(2, timeout=LISTENING)
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible(timeout=LISTENING)
        kept = requests.get(f"{server.url}/v1/words", timeout=60).json()["words"]
        assert [each["word"] for each in kept] == ["hexagon"]
        page.get_by_role("button", name="Play take 1 of hexagon").click()
        assert page.evaluate("window.playing") == f"{server.url}/v1/words/hexagon/takes/1"
        page.get_by_role("button", name="Teach the model").click()
        expect(page.locator("#teach-problem")).to_contain_text("needs at least 8 takes of hexagon", timeout=LISTENING)
        for number in kept[0]["takes"]:
            page.get_by_role("button", name=f"Delete take {number} of hexagon", exact=True).click()
            page.get_by_role("button", name=f"Delete take {number} of hexagon", exact=True).wait_for(state="detached")
        expect(page.locator("#no-words")).to_be_visible(timeout=LISTENING)


@pytest.mark.browser
@needs_chromium
def test_a_take_that_is_too_quiet_is_not_kept(server: Server, tmp_path: Path) -> None:
    sound = played(tmp_path / "quiet.wav", [np.zeros(16_000, np.int16)])
    with (
        sync_playwright() as playwright,
        chromium(playwright, microphone=sound) as browser,
        opened(browser, f"{server.url}/words") as page,
    ):
        page.get_by_label("Word").fill("silentium")
        page.keyboard.press("Enter")
        expect(page.locator("#problem")).to_contain_text("too quiet and is not kept", timeout=LISTENING)
        assert requests.get(f"{server.url}/v1/words", timeout=60).json()["words"] == []


@pytest.mark.browser
def test_a_server_learns_words_from_takes_and_listens_for_them(server: Server) -> None:
    """The whole way through the interface; `make test-browser` has a minute for it where the machine is free."""
    held_out = {}
    for word in WORDS:
        clips = spoken(word, 26)
        held_out[word] = clips[20:]
        for clip in clips[:20]:
            response = requests.post(f"{server.url}/v1/words/{word}/takes", data=clip.tobytes(), timeout=60)
            assert response.status_code == 201, response.text
    listed = server.get("/v1/words").json()
    assert {each["word"]: len(each["takes"]) for each in listed["words"]} == dict.fromkeys(WORDS, 20)
    assert requests.post(f"{server.url}/v1/teach", timeout=60).status_code == 202
    assert requests.post(f"{server.url}/v1/teach", timeout=60).status_code == 409
    while (teaching := server.get("/v1/words").json()["teaching"])["state"] == "running":
        time.sleep(1)
    assert teaching["state"] == "done", teaching
    assert set(WORDS) < set(server.get("/v1/model").json()["classes"])
    right = sum(
        server.post(encoded(clip)).json()["top"][0]["word"] == word
        for word, clips in held_out.items()
        for clip in clips
    )
    assert right >= 10, f"{right} of 12 takes that it has not heard"
    work = server.log.with_suffix("") / "recorded/work"
    taught = read_taught(work)
    accuracy = {(each.model, each.words): each.correct / each.clips for each in taught.figures}
    assert accuracy["after", "old"] >= accuracy["before", "old"] - 0.05
    assert open_model(work / EXPORT_FOLDER).export.classes == tuple(server.get("/v1/model").json()["classes"])
    assert yaml.safe_load((work / "params.yaml").read_text())["select"]["split"]["ratio"] == [80, 10, 10]
