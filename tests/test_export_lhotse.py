"""An export for Lhotse is what its own classes read: sound, spans, words and speakers, mixed on the fly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_tools import export_to
from training_store import clip_store, feature_store

from features.labels import SILENCE_CLASS
from features.views import Waveform
from readers.store import Store

lhotse = pytest.importorskip("lhotse", reason="Lhotse is not installed here: run `make test-torch`")

Clips = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    folder = tmp_path_factory.mktemp("stores")
    waveform = Waveform(kind="waveform", sample_rate_hz=8000)
    counts = {"train": 24, "validation": 8, "test": 8}
    return {
        "clips": clip_store(folder / "clips", {"unsplit": 40}),
        "waveform": feature_store(folder / "waveform", waveform, counts),
    }


@pytest.fixture(scope="module")
def exports(stores: dict[str, Store], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    return {name: export_to(folder / name, store, "lhotse") for name, store in stores.items()}


def cuts_of(folder: Path, split: str) -> Any:
    return lhotse.CutSet.from_file(folder / split / "cuts.jsonl").with_recording_path_prefix(folder)


@pytest.mark.parametrize("name", ["clips", "waveform"])
def test_cuts_have_the_samples_and_the_span_of_every_clip(
    name: str, stores: dict[str, Store], exports: dict[str, Path]
) -> None:
    store = stores[name]
    for split in store.splits:
        records: Clips = {str(record["id"]): record for record in store.records(split)}
        cuts = list(cuts_of(exports[name], split))
        assert [cut.supervisions[0].custom["clip"] for cut in cuts] == list(records)
        for cut, record in zip(cuts, records.values(), strict=True):
            lhotse.validate(cut, read_data=True)
            audio = cut.load_audio()
            assert cut.sampling_rate == store.rate_hz
            assert np.array_equal(audio[0] * 32_768, record["audio"])
            (real,) = cut.trim_to_supervisions()
            assert real.num_samples == record["length"]


@pytest.mark.parametrize("name", ["clips", "waveform"])
def test_supervisions_name_word_speaker_and_class(
    name: str, stores: dict[str, Store], exports: dict[str, Path]
) -> None:
    store = stores[name]
    for split in store.splits:
        records: Clips = {str(record["id"]): record for record in store.records(split)}
        catalog = {row["id"]: row for row in store.catalog(("id", "word", "speaker")).to_pylist()}
        for cut in cuts_of(exports[name], split):
            (supervision,) = cut.supervisions
            clip = supervision.custom["clip"]
            word = catalog[clip]["word"]
            assert supervision.custom["word"] == word
            assert supervision.text == ("" if word == SILENCE_CLASS else word)
            assert supervision.speaker == (catalog[clip]["speaker"] or None)
            assert supervision.custom.get("label") == records[clip].get("label")
            if store.classes:
                assert supervision.custom["class"] == store.classes[records[clip]["label"]]


@pytest.mark.parametrize("name", ["clips", "waveform"])
def test_recordings_and_supervisions_make_the_same_cuts(
    name: str, stores: dict[str, Store], exports: dict[str, Path]
) -> None:
    for split in stores[name].splits:
        folder = exports[name] / split
        recordings = lhotse.RecordingSet.from_file(folder / "recordings.jsonl")
        supervisions = lhotse.SupervisionSet.from_file(folder / "supervisions.jsonl")
        recordings, supervisions = recordings.to_eager(), supervisions.to_eager()
        lhotse.qa.validate_recordings_and_supervisions(recordings, supervisions)
        made = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
        given = list(lhotse.CutSet.from_file(folder / "cuts.jsonl"))
        assert [cut.recording for cut in made] == [cut.recording for cut in given]
        assert [cut.supervisions for cut in made] == [cut.supervisions for cut in given]


def test_mixing_on_the_fly_adds_noise_at_its_ratio(exports: dict[str, Path]) -> None:
    cuts = list(cuts_of(exports["waveform"], "train"))
    silent = [cut.supervisions[0].custom["word"] == SILENCE_CLASS for cut in cuts]
    words, noises = (
        lhotse.CutSet.from_cuts(cut for cut, is_silent in zip(cuts, silent, strict=True) if is_silent == wanted)
        for wanted in (False, True)
    )
    mixed = list(words.mix(noises, snr=10, seed=0))
    assert len(mixed) == len(words) > 0
    for cut, word in zip(mixed, words, strict=True):
        speech, noise = (track.cut.load_audio() for track in cut.tracks)
        assert np.array_equal(speech, word.load_audio())
        gain = np.sqrt((speech**2).mean() / (noise**2).mean() / 10)  # 10 dB are a tenth of the energy
        assert np.allclose(cut.load_audio(), speech + gain * noise, atol=1e-5)
        assert word.supervisions[0].text in [each.text for each in cut.supervisions]


def test_ids_are_names_of_files(exports: dict[str, Path], tmp_path: Path) -> None:
    cuts = cuts_of(exports["clips"], "unsplit").subset(first=4)
    saved = list(cuts.save_audios(tmp_path, progress_bar=False))
    for cut, copy in zip(cuts, saved, strict=True):
        assert np.array_equal(cut.load_audio(), copy.load_audio())
