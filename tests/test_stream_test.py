"""The stream test: streams are what their manifests say, every event counts once, and a recognizer hears the same."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import psutil
import pytest
from corpus_tools import environment
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile
from scipy.stats import poisson
from training_store import SMALL_MFCC

from base.errors import DataError
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipelines.corpus import local
from readers.store import open_store
from reports import stream as picture
from serving.model import open_model
from serving.recognizer import MS, Heard, Listening, Recognizer
from serving.stream_test import hard_negatives
from serving.stream_test.hearing import heard, word_scores
from serving.stream_test.listening import Listened
from serving.stream_test.plan import Placement, Plan, plan
from serving.stream_test.render import rendered, sound_of
from serving.stream_test.scoring import rate, score
from serving.stream_test.settings import RULES, Rules, StreamNumbers, fitting
from serving.stream_test.thresholds import Point, for_all, for_each, sweep
from serving.stream_test.utterances import NOISE_HOP, Material, Noise, Utterance, gather, level_dbfs, word_bounds
from serving.tested import read_thresholds

Array = np.ndarray[Any, np.dtype[np.int16]]

CLASSES = ("_silence_", "_unknown_", "yes", "no")
NUMBERS = StreamNumbers(
    hours=0.02,
    gap_s=(0.5, 1.0),
    unknown_share=0.3,
    noise_dbfs=(-55.0, -40.0),
    noise_s=(3.0, 8.0),
    snr_db=(10.0, 20.0),
    false_accepts_per_hour=1.0,
    seed=3,
)
RULE = Rules(listening=Listening(), tolerance_ms=1000)


def noise(samples: int, level: float, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(0, level, samples), np.int16)


def clip(start: int, end: int, seed: int = 0) -> Array:
    """Loud noise between two samples of a quiet second."""
    found = noise(CLIP_SAMPLES, 20, seed)
    found[start:end] = noise(end - start, 4000, seed + 1)
    return found


def material(gains_db: tuple[float, ...] = (0.0,) * 6) -> Material:
    """Three words and one recording, cut into clips that overlap and each have a gain of their own."""
    audio = {f"{word}/{take}": clip(4000, 12_000, 2 * place) for place, (word, take) in enumerate(SPOKEN)}
    utterances = tuple(
        Utterance(name, name.partition("/")[0], 4000, 12_000, level_dbfs(audio[name][4000:12_000])) for name in audio
    )
    recording = noise(NOISE_HOP * 5 + CLIP_SAMPLES, 1000, 9)
    pieces = {f"hum/{place}": recording[place * NOISE_HOP :][:CLIP_SAMPLES] for place in range(6)}
    scaled = {
        name: np.rint(piece * 10 ** (gain_db / 20)).astype(np.int16)
        for (name, piece), gain_db in zip(pieces.items(), gains_db, strict=True)
    }
    hum = Noise("hum", tuple(pieces), gains_db, level_dbfs(recording))
    return Material(utterances, (hum,), audio | scaled)


SPOKEN = [("yes", "a"), ("no", "a"), ("_unknown_", "a"), ("yes", "b"), ("_unknown_", "b")]


def word(label: str, onset_s: float, end_s: float) -> Placement:
    onset, end = round(onset_s * 16_000), round(end_s * 16_000)
    kind = "unknown" if label == "_unknown_" else "word"
    return Placement(kind, "x", label, onset - 1600, 0, end - onset + 3200, 0.0, onset, end, 10.0)  # type: ignore[arg-type]


@given(st.integers(0, 20), st.integers(5, 25), st.integers(0, 100))
def test_a_word_is_found_where_it_is(first: int, frames: int, seed: int) -> None:
    start, end = 320 * first, 320 * (first + frames)
    assert word_bounds(clip(start, end, seed)) == (start, end)


def test_a_clip_of_zeros_has_no_word() -> None:
    assert word_bounds(np.zeros(CLIP_SAMPLES, np.int16)) is None


def test_a_stream_follows_from_its_seed_and_its_split() -> None:
    found = material()
    assert plan(found, (), NUMBERS, RULE, "test") == plan(found, (), NUMBERS, RULE, "test")
    assert plan(found, (), NUMBERS, RULE, "test") != plan(found, (), NUMBERS, RULE, "validation")


@pytest.mark.parametrize("seed", range(5))
def test_words_keep_their_distance_and_every_one_is_said_before_any_is_said_again(seed: int) -> None:
    numbers = replace(NUMBERS, seed=seed)
    stream = plan(material(), (), numbers, RULE, "test")
    said = [each for each in stream.placements if each.kind in ("word", "unknown")]
    assert len(said) > 20
    assert all(later.at - earlier.until >= 0.5 * 16_000 for earlier, later in itertools.pairwise(said))
    assert said[-1].until <= stream.samples == 72 * 16_000
    known = [each.source for each in said if each.kind == "word"]
    assert all(set(known[place : place + 3]) == {"yes/a", "no/a", "yes/b"} for place in range(0, len(known) - 2, 3))


def test_rules_bound_the_words_and_where_they_are() -> None:
    rules = Rules(listening=Listening(), tolerance_ms=500, words=4, spoken_share=0.5)
    assert len(plan(material(), (), NUMBERS, rules, "test").words) == 4
    half = Rules(listening=Listening(), tolerance_ms=500, spoken_share=0.5)
    stream = plan(material(), (), NUMBERS, half, "test")
    assert max(each.until for each in stream.words) <= stream.samples / 2


def test_clips_of_a_recording_add_up_to_the_recording_at_its_level() -> None:
    gains_db = (0.0, -6.0, -12.0, -3.0, 0.0, -20.0)
    found = material(gains_db)
    placements = tuple(
        Placement("noise", f"hum/{place}", "hum", place * NOISE_HOP, 0, CLIP_SAMPLES, -gain, 0, 0, 0.0)
        for place, gain in enumerate(gains_db)
    )
    stream = Plan(5 * NOISE_HOP + CLIP_SAMPLES, placements)
    inner = slice(3200, stream.samples - 3200)  # the stream itself fades in and out
    recording = noise(NOISE_HOP * 5 + CLIP_SAMPLES, 1000, 9)
    found_samples = rendered(stream, sound_of(found.audio), 0, stream.samples)
    np.testing.assert_allclose(found_samples[inner], recording[inner], atol=6)  # half a step of a clip at -20 dB


def test_words_and_background_have_the_levels_that_the_manifest_says() -> None:
    found = material()
    stream = plan(found, (), NUMBERS, RULE, "test")
    background = Plan(stream.samples, tuple(each for each in stream.placements if each.kind == "noise"))
    sound = sound_of(found.audio)
    within = [
        each for each in stream.words if len({one.gain_db for one in background.between(each.onset, each.end)}) == 1
    ]
    assert len(within) > 5
    for each in within:
        around = rendered(background, sound, each.onset, each.end)
        alone = rendered(Plan(stream.samples, (each,)), sound, each.onset, each.end)
        assert level_dbfs(alone) - level_dbfs(around) == pytest.approx(each.snr_db, abs=0.6)


def has_one_level(background: Plan, word: Placement) -> bool:
    return len({each.gain_db for each in background.between(word.onset, word.end)}) == 1


@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=6))
def test_a_part_of_a_stream_is_the_same_whatever_was_asked_for_before(cuts: list[int]) -> None:
    found = material()
    stream, sound = plan(found, (), NUMBERS, RULE, "test"), sound_of(found.audio)
    edges = sorted({0, 40_000, *cuts})
    pieces = [rendered(stream, sound, first, last) for first, last in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(pieces), rendered(stream, sound, 0, 40_000))


class _Numbered:
    """Windows whose features are their numbers."""

    def __init__(self, count: int, step: int) -> None:
        self.count, self.step = count, step

    def feed(self, samples: Array) -> Any:
        return ((place * self.step, np.float32(place)) for place in range(self.count))


@given(
    st.integers(0, 60),
    st.sampled_from([0, 40, 120, 200]),
    st.sampled_from([0, 30, 200, 700]),
    st.integers(0, 99),
    st.dictionaries(st.sampled_from(["yes", "no"]), st.floats(0, 1)),
)
def test_the_same_words_are_heard_as_by_a_recognizer(
    count: int, average_ms: int, refractory_ms: int, seed: int, thresholds: dict[str, float]
) -> None:
    listening = Listening(step_ms=40, average_ms=average_ms, refractory_ms=refractory_ms)
    drawn = np.random.default_rng(seed).dirichlet((0.3,) * 4, count).astype(np.float32).round(1 + seed % 3)
    recognizer = Recognizer(
        _Numbered(count, 40 * MS),
        lambda place: drawn[int(place)],
        CLASSES,
        thresholds,
        listening,
    )
    expected = [step.heard for step in recognizer.feed(np.empty(0, np.int16)) if step.heard]
    assert (
        heard(word_scores(drawn.reshape(-1, 4), CLASSES, ("yes", "no"), listening), thresholds, listening) == expected
    )


def test_hits_misses_repeats_and_mistakes_of_a_stream_worked_by_hand() -> None:
    words = (
        word("yes", 2, 2.5),
        word("no", 5, 5.5),
        word("yes", 8, 8.6),
        word("_unknown_", 11, 11.5),
        word("no", 14, 14.4),
    )
    stream = Plan(20 * 16_000, words)
    found = [
        Heard("no", 1.0, 0.9),  # before any word
        Heard("yes", 2.9, 0.9),  # the first word, 0.4 s after its end
        Heard("yes", 3.2, 0.9),  # the first word again
        Heard("yes", 5.9, 0.9),  # during another word
        Heard("yes", 8.3, 0.9),  # the third word, before its end
        Heard("no", 12.0, 0.9),  # during an unknown word
        Heard("no", 15.5, 0.9),  # the last word, 0.1 s too late
        Heard("yes", 18.0, 0.9),
    ]
    outcome = score(stream, found, RULE)
    assert [(hit.word.label, round(hit.delay_s, 3)) for hit in outcome.hits] == [("yes", 0.4), ("yes", -0.3)]
    assert [each.onset / 16_000 for each in outcome.missed] == [5, 14]
    assert [(each.heard.time_s, each.during) for each in outcome.false_accepts] == [
        (1.0, "background"),
        (3.2, "the same word"),
        (5.9, "another word"),
        (12.0, "an unknown word"),
        (15.5, "background"),
        (18.0, "background"),
    ]


def test_within_the_grace_after_a_word_it_is_neither_a_hit_nor_false() -> None:
    rules = Rules(listening=Listening(), tolerance_ms=500, grace_ms=1000)
    stream = Plan(10 * 16_000, (word("yes", 2, 2.5),))
    late = score(stream, [Heard("yes", 3.2, 0.9)], rules)
    assert len(late.missed) == 1 and not late.false_accepts
    twice = score(stream, [Heard("yes", 2.8, 0.9), Heard("yes", 3.4, 0.9), Heard("yes", 3.6, 0.9)], rules)
    assert len(twice.hits) == 1 and [each.heard.time_s for each in twice.false_accepts] == [3.6]


@given(st.integers(1, 200), st.floats(0.1, 100))
def test_the_interval_of_a_rate_has_the_tails_of_a_poisson_count(events: int, hours: float) -> None:
    found = rate(events, hours)
    assert found.per_hour == pytest.approx(events / hours)
    assert poisson.cdf(events, found.highest * hours) == pytest.approx(0.025)
    assert poisson.sf(events - 1, found.lowest * hours) == pytest.approx(0.025)


def test_no_event_in_some_hours_means_less_than_three_an_hour_over_them() -> None:
    assert rate(0, 4.0).highest == pytest.approx(3 / 4, rel=2e-3) and rate(0, 4.0).lowest == 0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.floats(0, 3))
def test_from_the_chosen_threshold_on_no_more_passes_than_wanted(counts: list[int], most: float) -> None:
    points = [Point(place / len(counts), 0, count) for place, count in enumerate(counts)]
    threshold = for_all(points, 1.0, most)
    above = [point for point in points if point.threshold >= threshold]
    if counts[-1] <= most:
        assert all(point.false_accepts <= most for point in above)
        below = [point for point in points if point.threshold < threshold]
        assert not below or below[-1].false_accepts > most
    else:
        assert threshold == points[-1].threshold


@given(st.integers(0, 9), st.sampled_from([0.0, 1.0, 30.0, 100.0, 1000.0]))
def test_thresholds_of_words_let_pass_no_more_than_wanted_and_miss_no_more_than_one_for_all(
    seed: int, per_hour: float
) -> None:
    random = np.random.default_rng(seed)
    said = random.dirichlet((0.3,) * 4, 2000).astype(np.float32)
    onsets = sorted(random.choice(np.arange(4, 78), 30, replace=False) * SAMPLE_RATE_HZ)
    words = tuple(
        Placement(
            "word", f"{at}", str(random.choice(["yes", "no"])), int(at), 0, 16_000, 0.0, int(at), int(at) + 8000, 9.0
        )
        for at in onsets
    )
    stream = Plan(2000 * 40 * MS + CLIP_SAMPLES, words)
    scores = word_scores(said, CLASSES, ("yes", "no"), RULE.listening)
    listened = Listened(stream, Material((), {}, ()), scores, RULE)
    one = for_all(sweep(listened), stream.hours, per_hour)
    found = listened.outcome(for_each(listened, one, per_hour))
    assert len(found.false_accepts) <= per_hour * stream.hours
    assert len(found.missed) <= len(listened.outcome_of_one(one).missed)


@pytest.mark.parametrize("hop_ms", [10, 20, 16])
def test_steps_are_made_to_fit_the_hop_of_a_view(hop_ms: int) -> None:
    view = replace(SMALL_MFCC, frame_ms=32, hop_ms=hop_ms)
    for rules in RULES.values():
        step_ms = fitting(rules, view).listening.step_ms
        assert step_ms % hop_ms == 0 and rules.listening.step_ms <= step_ms < rules.listening.step_ms + hop_ms


@pytest.fixture(scope="module")
def project(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(project, tmp_path_factory.mktemp("stream") / "project"))


def command(project: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, "export", "features/mfcc", "clips", *arguments],
        cwd=project, env=environment(), capture_output=True, text=True,
    )  # fmt: skip


def placements(path: Path) -> tuple[Placement, ...]:
    """A manifest as it was written."""
    kinds = get_type_hints(Placement) | {"kind": str}
    return tuple(Placement(**{name: kinds[name](value) for name, value in row.items()}) for row in rows(path))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    for number in range(2):
        wavfile.write(folder / f"{number}.wav", 16_000, noise(16_000 * 4, 2000, number))
    return folder


@pytest.fixture(scope="module")
def tested(project: Path, speech: Path) -> Path:
    done = command(project, "serving.stream_test", "stream", "--hours", "0.01", "--speech", str(speech))
    assert done.returncode == 0, done.stderr
    assert "words missed" in done.stdout and "false accepts" in done.stdout
    return project / "stream"


def test_the_figures_are_those_of_a_recognizer_that_is_fed_the_stream(tested: Path, project: Path) -> None:
    found = json.loads((tested / "stream.json").read_text())
    model = open_model(project / "export")
    stores = open_store(project / "features/mfcc"), open_store(project / "clips")
    seconds = found["seconds"]["test"]
    assert seconds == 0.01 * 3600 + 1 + 4  # words, then a second of background and the recording of speech
    stream = Plan(round(seconds * 16_000), placements(tested / "test.csv"))
    samples = rendered(stream, sound_of(gather(*stores, "test").audio), 0, stream.samples)
    listening = Listening(**found["rules"]["listening"])
    recognizer = replace(model, thresholds=found["thresholds"]).recognizer(listening)
    expected = [step.heard for step in recognizer.feed(samples) if step.heard]
    outcome = score(stream, expected, RULE)
    assert found["missed"] == len(outcome.missed)
    assert sum(found["false_accepts"].values()) == len(outcome.false_accepts) == len(rows(tested / "false_accepts.csv"))
    assert found["words"]["test"] == len(stream.words) == sum(int(row["spoken"]) for row in rows(tested / "words.csv"))


def test_listening_takes_the_thresholds_of_the_test(tested: Path, project: Path) -> None:
    def listened(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "serving.listen", "export", "-", *arguments],
            cwd=project, env=environment(), capture_output=True, input=bytes(96_000),
        )  # fmt: skip

    found = json.loads((tested / "stream.json").read_text())["thresholds"]
    words = open_model(project / "export").words
    assert tuple(found) == words and read_thresholds(tested / "stream.json", words) == found
    assert listened("--thresholds", "stream/stream.json").returncode == 0
    wrong = listened("--thresholds", "stream/words.csv")
    assert wrong.returncode == 1 and wrong.stderr.startswith(b"error: stream/words.csv is not valid JSON")
    with pytest.raises(DataError, match="has no thresholds of words"):
        read_thresholds(project / "export/export.json", words)
    with pytest.raises(DataError, match=f"has a threshold of '{words[-1]}'"):
        read_thresholds(tested / "stream.json", words[:-1])


def test_only_clips_of_a_split_sound_in_its_stream(tested: Path, project: Path) -> None:
    splits = {row["id"]: row["split"] for row in open_store(project / "features/mfcc").catalog().to_pylist()}
    for split in ("validation", "test"):
        spoken = [row["source"] for row in rows(tested / f"{split}.csv") if row["kind"] in ("word", "unknown")]
        assert spoken and {splits[source] for source in spoken} == {split}
    recordings = [
        {row["source"] for row in rows(tested / f"{split}.csv") if row["kind"] == "speech"}
        for split in ("validation", "test")
    ]
    assert all(recordings) and not recordings[0] & recordings[1]


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_what_is_lost_is(tested: Path, project: Path, speech: Path) -> None:
    parts = sorted((tested / "probabilities").rglob("*.npy"))
    before, times = (tested / "stream.json").read_text(), [part.stat().st_mtime_ns for part in parts]
    parts[0].unlink()
    assert command(project, "serving.stream_test", "stream", "--hours", "0.01", "--speech", str(speech)).returncode == 0
    again = [part.stat().st_mtime_ns for part in parts]
    assert again[0] > times[0] and again[1:] == times[1:]
    ignored = ("real_time_factor", "peak_bytes")
    old, new = json.loads(before), json.loads((tested / "stream.json").read_text())
    assert {name: old[name] for name in old if name not in ignored} == {
        name: new[name] for name in new if name not in ignored
    }


def test_the_picture_is_drawn_from_the_tables(tested: Path) -> None:
    content = picture.drawn(tested)
    assert content.startswith(b"\x89PNG") and content == picture.drawn(tested)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False], ids=["the command", "one worker"])
def test_a_killed_test_leaves_no_process(whole: bool, project: Path) -> None:
    folder = f"killed {whole}"
    arguments = ["export", "features/mfcc", "clips", folder, "--hours", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.stream_test", *arguments],
        cwd=project, env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list((project / folder).rglob("*.npy")):
        assert process.poll() is None
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    (process if whole else max(children, key=lambda each: each.memory_info().rss)).kill()
    _, said = process.communicate(timeout=60)
    if not whole:
        assert process.returncode == 1
        assert said.splitlines()[-1].startswith("error: a worker process was killed") and "Traceback" not in said
    assert not psutil.wait_procs(children, timeout=20)[1]


@pytest.mark.slow
def test_one_word_alone_is_listened_for(project: Path) -> None:
    done = command(
        project, "serving.stream_test", "alone", "--hours", "0.01", "--word", "yes", "--rules", "mlperf_tiny"
    )
    assert done.returncode == 0, done.stderr
    assert {row["word"] for row in rows(project / "alone/words.csv")} <= {"yes"}
    assert {row["label"] for row in rows(project / "alone/test.csv") if row["kind"] == "word"} <= {"yes"}
    assert "passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("--word", "perhaps"), "no word 'perhaps'"), (("--speech", "nowhere"), "0 audio files")],
)
def test_what_does_not_fit_is_one_sentence(project: Path, arguments: tuple[str, ...], reason: str) -> None:
    done = command(project, "serving.stream_test", "wrong", *arguments)
    assert done.returncode == 1 and reason in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_false_accepts_become_clips_of_a_corpus_for_training(project: Path, speech: Path) -> None:
    options = ("hard", "--hours", "0.02", "--threshold", "0.1", "--speech", str(speech))
    done = command(project, "serving.stream_test.hard_negatives", *options)
    assert done.returncode == 0, done.stderr
    clips = project / "hard/clips"
    listed = rows(clips / "train.csv")
    assert listed and {row["class"] for row in listed} == {hard_negatives.WORD}
    assert local.recognize(clips, noise=False) == "listed"
    manifest = placements(project / "hard/train.csv")
    audio = gather(open_store(project / "features/mfcc"), open_store(project / "clips"), "train").audio
    spoken = [each for each in manifest if each.kind == "word"]
    for row in listed:
        start = int(Path(row["file"]).stem.partition("-")[0])
        _, samples = wavfile.read(clips / row["file"])
        np.testing.assert_array_equal(
            samples, rendered(Plan(10**7, manifest), sound_of(audio), start, start + CLIP_SAMPLES)
        )
        assert not [each for each in spoken if each.onset < start + CLIP_SAMPLES and each.end > start]
    again = command(project, "serving.stream_test.hard_negatives", *options)
    assert again.returncode == 1 and "is not empty" in again.stderr
