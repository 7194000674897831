"""The page in a real browser: a clip that its microphone plays becomes a word, and each trouble becomes a sentence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_tools import EXPORT, chromium, clips_of, needs_chromium, needs_export, opened, played
from corpus_tools import ROOT, environment
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from scipy import signal
from web_tools import Server, encoded, serving

pytestmark = [pytest.mark.browser, needs_chromium, needs_export]
WORD = "stop"
LISTENING = 60_000
"""Milliseconds, for machines under load."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(EXPORT, tmp_path_factory.mktemp("page") / "here", "--allow-host", "page.lan") as found:
        yield found


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="module")
def speaking(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose microphone plays a word again and again."""
    path = played(tmp_path_factory.mktemp("sound") / "clips.wav", list(clips_of(WORD, 3)))
    with chromium(playwright, microphone=path) as found:
        yield found


@pytest.fixture(scope="module")
def deaf(playwright: Playwright) -> Iterator[Browser]:
    """A browser on a machine without a microphone."""
    with chromium(playwright, "--host-resolver-rules=MAP page.lan 127.0.0.1") as found:
        yield found


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def colors(page: Page) -> int:
    """How many different colors the picture of the features has."""
    code = """canvas => { const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size; }"""
    return int(page.eval_on_selector("#picture", code))


def test_a_clip_that_the_microphone_plays_becomes_a_word(server: Server, speaking: Browser) -> None:
    with opened(speaking, server.url) as page:
        expect(page.locator("#word")).to_have_text("Say a word")
        press(page, "Listen")
        expect(page.locator("#word")).to_have_text(WORD, timeout=LISTENING)
        expect(page.locator("#state")).to_contain_text("Listening to")
        assert page.locator("#heard li .name").first.inner_text() == WORD
        expect(page.locator("#best li")).to_have_count(3)
        expect(page.locator("#level")).to_have_attribute("aria-valuenow", re.compile("-[123]?[0-9]"), timeout=LISTENING)
        assert colors(page) > 100
        assert page.locator("#picture").get_attribute("width") == "300"  # six seconds of frames every 20 ms
        press(page, "Stop")
        expect(page.locator("#state")).to_have_text("The microphone is off.")
        press(page, "Clear")
        expect(page.locator("#none-heard")).to_be_visible()


def test_a_second_is_recorded_decoded_and_played_again(server: Server, speaking: Browser) -> None:
    script = """window.played = 0;
        HTMLMediaElement.prototype.play = () => { window.played += 1; return Promise.resolve(); }"""
    with opened(speaking, server.url, script=script) as page:
        press(page, "Record one second")
        expect(page.locator("#clip-name")).to_have_text("Your recording, 1.00 s.", timeout=LISTENING)
        expect(page.locator("#clip-best li")).to_have_count(3)
        press(page, "Replay")
        assert page.evaluate("window.played") == 1
        expect(page.locator("#state")).to_have_text("The microphone is off.")


def test_a_file_says_on_the_page_what_the_interface_says_of_it(server: Server, deaf: Browser) -> None:
    [clip] = clips_of(WORD, 1)
    with opened(deaf, server.url) as page:
        page.set_input_files("#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": encoded(clip)})
        expect(page.locator("#clip-name")).to_have_text("a.wav, 1.00 s.", timeout=LISTENING)
        shown = page.locator("#clip-best li").all_inner_texts()
        top = server.post(encoded(clip)).json()["top"]
        names = {"_silence_": "silence", "_unknown_": "other word"}
        assert [text.split("\n")[0] for text in shown] == [names.get(each["word"], each["word"]) for each in top]
        assert shown[0].split("\n")[-1] == f"{100 * top[0]['probability']:.1f} %"


def test_evaluate_predict_the_interface_and_the_page_decide_alike() -> None:
    inputs = ("exports/cnn", "data/clips", "evaluation/cnn/predictions.parquet")
    command = [sys.executable, "-m", "benchmarks.decisions", *inputs, "--count=12"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(\w+) +(\d+)$", done.stdout, re.MULTILINE) == [
        (way, "12") for way in ("predict", "interface", "page")
    ]


def test_a_longer_file_that_is_dropped_lists_its_words(server: Server, deaf: Browser) -> None:
    quiet = np.zeros(12_000, np.int16)
    long = encoded(np.concatenate([quiet, clips_of(WORD, 1)[0], quiet, clips_of("yes", 1)[0], quiet]))
    with opened(deaf, server.url) as page:
        drop(page, long, "talk <b>.wav")
        expect(page.locator("#clip-name")).to_contain_text("talk <b>.wav, 4.25 s", timeout=LISTENING)
        heard = [each["word"] for each in server.post(long).json()["heard"]]
        assert WORD in heard
        expect(page.locator("#clip-heard li .name")).to_have_text(heard)


def drop(page: Page, content: bytes, name: str) -> None:
    code = """({content, name}) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(content)], name));
        for (const kind of ['dragover', 'drop']) document.dispatchEvent(new DragEvent(kind, {dataTransfer: data}));
    }"""
    page.evaluate(code, {"content": list(content), "name": name})


def test_a_file_that_is_no_audio_ends_in_the_servers_sentence(server: Server, deaf: Browser) -> None:
    with opened(deaf, server.url, "415") as page:
        page.set_input_files("#file", {"name": "x.wav", "mimeType": "audio/wav", "buffer": b"no audio"})
        expect(page.locator("#clip-problem")).to_contain_text("This is no audio that can be read", timeout=LISTENING)


NO_WORKLET = "delete window.AudioWorkletNode"
TROUBLES: dict[str, tuple[str, dict[str, Any], str]] = {
    "no device": ("", {"permissions": ["microphone"]}, "No microphone was found"),
    "no worklet": (NO_WORKLET, {}, "This browser has no AudioWorklet"),
    "no media": ("delete Navigator.prototype.mediaDevices", {}, "This browser gives pages no microphone"),
}


@pytest.mark.parametrize("what", TROUBLES)
def test_each_trouble_with_the_microphone_has_a_sentence(what: str, server: Server, deaf: Browser) -> None:
    script, options, sentence = TROUBLES[what]
    with opened(deaf, server.url, script=script, **options) as page:
        press(page, "Listen")
        expect(page.get_by_role("alert")).to_contain_text(sentence, timeout=LISTENING)
        expect(page.get_by_role("button", name="Listen", exact=True)).to_be_enabled()
        press(page, "Record one second")
        expect(page.locator("#clip-problem")).to_contain_text(sentence, timeout=LISTENING)


def test_a_page_that_may_not_use_the_microphone_says_how_to_allow_it(server: Server, playwright: Playwright) -> None:
    with (
        chromium(playwright, "--use-fake-device-for-media-stream") as asking,
        opened(asking, server.url) as page,
    ):
        press(page, "Listen")
        expect(page.get_by_role("alert")).to_contain_text("The browser may not use the microphone", timeout=LISTENING)


def test_a_page_over_plain_http_from_elsewhere_says_why_it_can_not_listen(server: Server, deaf: Browser) -> None:
    with opened(deaf, f"http://page.lan:{server.port}", "Cross-Origin-Opener-Policy") as page:
        press(page, "Listen")
        expect(page.get_by_role("alert")).to_contain_text("secure pages only", timeout=LISTENING)


def test_the_page_listens_again_when_the_server_is_back(speaking: Browser, tmp_path: Path) -> None:
    with serving(EXPORT, tmp_path / "first") as first:
        page_of_first = opened(speaking, first.url, "WebSocket", "ERR_CONNECTION_REFUSED")
        page = page_of_first.__enter__()
        press(page, "Listen")
        expect(page.locator("#word")).to_have_text(WORD, timeout=LISTENING)
    expect(page.get_by_role("alert")).to_contain_text("The server is gone. The page tries again in", timeout=LISTENING)
    expect(page.locator("#state")).to_have_text("The connection is lost.")
    press(page, "Clear")
    with serving(EXPORT, tmp_path / "second", port=first.port):
        expect(page.get_by_role("alert")).to_be_hidden(timeout=LISTENING)
        expect(page.locator("#heard li").first).to_contain_text(WORD, timeout=LISTENING)
        press(page, "Stop")
    page_of_first.__exit__(None, None, None)


def test_the_page_tells_when_the_server_listens_to_too_many(speaking: Browser, tmp_path: Path) -> None:
    with (
        serving(EXPORT, tmp_path / "here", limits={"listeners": 1}) as server,
        opened(speaking, server.url) as first,
        opened(speaking, server.url) as second,
    ):
        press(first, "Listen")
        expect(first.locator("#state")).to_contain_text("Listening to", timeout=LISTENING)
        press(second, "Listen")
        expect(second.get_by_role("alert")).to_contain_text("listens to as many people as", timeout=LISTENING)
        press(first, "Stop")
        expect(second.locator("#state")).to_contain_text("Listening to", timeout=LISTENING)


@pytest.mark.parametrize("width", [360, 800, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window_in_both_schemes(width: int, scheme: Any, server: Server, deaf: Browser) -> None:
    with opened(deaf, server.url, viewport={"width": width, "height": 780}, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert contrast(page, "body", "--paper") >= 7
        for name in ("--quiet", "--warm", "--accent"):
            assert contrast_of(page, name, "--panel") >= 4.5, name


def contrast(page: Page, selector: str, background: str) -> float:
    return contrast_of(page, "--ink", background)


def contrast_of(page: Page, first: str, second: str) -> float:
    """The contrast of two colors of the page by WCAG 2."""
    code = "names => names.map(name => getComputedStyle(document.documentElement).getPropertyValue(name).trim())"
    lights = []
    for color in page.evaluate(code, [first, second]):
        values = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(lights) / min(lights)


def test_everything_is_reached_by_keyboard_and_has_a_name(server: Server, speaking: Browser) -> None:
    with opened(speaking, server.url) as page:
        reached = []
        for _ in range(4):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id"))
        assert reached == ["listen", "record", "file", ""]  # Replay is disabled until there is a recording
        page.focus("#listen")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible(timeout=LISTENING)
        tree = page.locator("body").aria_snapshot()
        for expected in ('heading "Keyword spotting" [level=1]', 'heading "Heard"', "status", "meter", "img"):
            assert expected in tree, tree
        nameless = page.evaluate("""[...document.querySelectorAll('button, input, canvas[role], [role=meter]')]
            .filter(each => !(each.textContent.trim() || each.getAttribute('aria-label') || each.labels?.length))
            .map(each => each.outerHTML)""")
        assert nameless == []
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_have_text("The microphone is off.", timeout=LISTENING)


RATES_HZ = [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000]


def resampled(page: Page, samples: np.ndarray[Any, Any], rate_hz: int, block: int) -> np.ndarray[Any, Any]:
    code = """async ([samples, rate, block]) => {
        const {Resampler} = await import('/static/resampler.js');
        const found = new Resampler(rate, 16000), out = [];
        for (let n = 0; n < samples.length; n += block)
            out.push(...found.process(Float32Array.from(samples.slice(n, n + block))));
        return out;
    }"""
    return np.array(page.evaluate(code, [samples.tolist(), rate_hz, block]))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_resampler_is_scipys_polyphase_filter_however_the_blocks_are_cut(
    rate_hz: int, server: Server, deaf: Browser
) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, rate_hz // 4).astype(np.float32)
    divisor = int(np.gcd(rate_hz, 16_000))
    up, down = 16_000 // divisor, rate_hz // divisor
    cutoff = 1 / max(up, down)
    half = int(np.ceil((80 - 8) / (2.285 * 0.1 * cutoff * np.pi) / 2))
    taps = signal.firwin(2 * half + 1, cutoff, window=("kaiser", 0.1102 * (80 - 8.7))) * up
    with opened(deaf, server.url) as page:
        found = [resampled(page, samples, rate_hz, block) for block in (128, 1000)]
    np.testing.assert_array_equal(found[0], found[1])
    expected = signal.upfirdn(taps, samples.astype(np.float64), up, down)[: len(found[0])]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_what_lies_above_eight_kilohertz_does_not_come_back_as_another_frequency(server: Server, deaf: Browser) -> None:
    times = np.arange(24_000) / 48_000

    def level_db(hertz: float) -> float:
        out = resampled(page, np.sin(2 * np.pi * hertz * times), 48_000, 128)[2000:]
        return float(10 * np.log10(2 * np.mean(out**2)))

    with opened(deaf, server.url) as page:
        assert all(abs(level_db(hertz)) < 0.01 for hertz in (100, 1000, 4000, 7000, 7500))
        assert all(level_db(hertz) < -79 for hertz in (8450, 9000, 12_000, 20_000, 23_900))


def test_the_browsers_own_processing_of_sound_is_off(server: Server, speaking: Browser) -> None:
    script = """const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (asked) => {
            const stream = await get(asked);
            window.settings = JSON.stringify(stream.getAudioTracks()[0].getSettings());
            return stream;
        }"""
    with opened(speaking, server.url, script=script) as page:
        press(page, "Listen")
        expect(page.locator("#state")).to_contain_text("Listening to", timeout=LISTENING)
        settings = json.loads(page.evaluate("window.settings"))
    assert [settings[name] for name in ("echoCancellation", "noiseSuppression", "autoGainControl")] == [False] * 3
