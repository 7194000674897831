"""Claims about the page of an evaluation: it stands alone, shows what belongs together, and escapes every text."""

from __future__ import annotations

import dataclasses
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from test_evaluate import FIGURES_BY_HAND
from training_store import CLASSES, COUNTS, SMALL_MFCC, clip_store, feature_store
from training_tools import FIT, MODEL

from base.errors import DataError
from features.views import Waveform
from readers.belonging import check_belonging
from readers.store import Store
from reports.evaluation import (
    LOG_SPECTROGRAM,
    load_clips,
    most_probable_of_each_class,
    page_of,
    render,
    shown_views,
    worst,
    write_report,
)
from reports.pictures import style
from results.evaluation import figures, read_evaluation
from results.model import read_description, read_history
from results.parity import PARITY_FILE, Parity, read_parity, write_parity
from training.evaluate import evaluate
from training.train import train


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def clips(root: Path) -> Store:
    return clip_store(root / "clips")


@pytest.fixture(scope="module")
def features(root: Path, clips: Store) -> Store:
    return feature_store(root / "features", clips_sha256=clips.manifest.sha256)


@pytest.fixture(scope="module")
def page(root: Path, features: Store, clips: Store) -> str:
    """The page of a model that makes errors, since it has learned for one epoch only."""
    model = dataclasses.replace(MODEL, fit=dataclasses.replace(FIT, epochs=1, learning_rate=1e-4, warmup_epochs=0))
    train(model, features, root / "model", root)
    evaluate(root / "model", features, root / "out", 64)
    write_report(root / "page.html", root / "model", features, clips, root / "out", 3)
    return (root / "page.html").read_text()


def test_the_page_has_every_section_and_refers_to_nothing_outside_itself(page: str) -> None:
    for section in ("accuracy", "confusion", "classes", "training", "unknown", "counts", "gallery", "errors"):
        assert f'<section id="{section}">' in page
    assert '<section id="differences">' not in page
    links = re.findall(r'(?:src|href|srcset|xlink:href|data)\s*=\s*"([^"]*)"', page) + re.findall(
        r"url\(([^)]*)\)", page
    )
    assert {re.split("[,;]", link)[0][:6] for link in links if not link.startswith("#")} == {
        "data:",
        "data:i",
        "data:a",
    }
    assert "<script" not in page and "@import" not in page
    assert page.count("<audio") == len(CLASSES) + 3
    assert "small.tar.gz" in page and f"{COUNTS['test']} test clips" in page


def test_the_same_evaluation_gives_the_same_page(
    page: str, root: Path, features: Store, clips: Store, tmp_path: Path
) -> None:
    write_report(tmp_path / "page.html", root / "model", features, clips, root / "out", 3)
    assert (tmp_path / "page.html").read_text() == page


def test_the_formats_of_the_export_are_a_table(
    page: str, root: Path, features: Store, clips: Store, tmp_path: Path
) -> None:
    found = figures(read_evaluation(root / "out").predictions)
    trained = Parity(
        name="keras", accuracy=found.accuracy, low=0.5, high=0.9, equal=1.0, difference=0.0, bytes=0, clips=found.clips
    )
    int8 = dataclasses.replace(trained, name="litert_int8", accuracy=0.7, equal=0.95, difference=0.01234, bytes=123_456)
    write_parity(tmp_path, [trained, int8])
    assert read_parity(tmp_path) == [trained, dataclasses.replace(int8, difference=0.0123)]
    write_report(tmp_path / "page.html", root / "model", features, clips, root / "out", 3, tmp_path)
    shown = [each for each in Elements((tmp_path / "page.html").read_text()).text if each.strip()]
    row = shown[shown.index("litert_int8") :][:6]
    assert row == ["litert_int8", "70.0 %", "50.0 % – 90.0 %", "95.0 %", "0.0123", "123"]
    assert '<section id="formats">' not in page
    write_parity(tmp_path, [dataclasses.replace(trained, clips=1), int8])
    with pytest.raises(DataError, match="compares its formats with another evaluation: export the model again"):
        write_report(tmp_path / "page.html", root / "model", features, clips, root / "out", 3, tmp_path)
    (tmp_path / PARITY_FILE).write_text("name,accuracy\nkeras,much\n")
    with pytest.raises(DataError, match="is missing or damaged: export the model again"):
        write_report(tmp_path / "page.html", root / "model", features, clips, root / "out", 3, tmp_path)


class Elements(HTMLParser):
    """Collects the start tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_names_of_all_kinds_are_escaped(page: str, root: Path, features: Store, clips: Store) -> None:
    with style():
        content = page_of(
            read_description(root / "model"), read_history(root / "model"), read_evaluation(root / "out"),
            features, clips, 1,
        )  # fmt: skip
    hostile = "<b>\"&'</b>"
    card = dataclasses.replace(content.gallery[0], id=hostile, word=hostile, actual=hostile, predicted="<b>")
    changed = dataclasses.replace(
        content,
        corpus=hostile,
        store=hostile,
        task=hostile,
        differences=[hostile],
        silence_origin=hostile,
        classes=[dataclasses.replace(content.classes[0], name=hostile)],
        model=dataclasses.replace(content.model, name=hostile, network=hostile, definition={hostile: hostile}),
        gallery=[card],
        worst=[card],
    )
    plain, found = Elements(render(content)), Elements(render(changed))
    assert "b" in plain.tags  # the page's own
    assert found.tags.count("b") == plain.tags.count("b")
    assert sum(text.count(hostile) for text in found.text) >= 12


@pytest.mark.parametrize(("worst_errors", "text"), [(0, "none is shown, as report.worst_errors is 0"), (3, "3 of ")])
def test_errors_are_shown_as_asked(
    page: str, root: Path, features: Store, clips: Store, tmp_path: Path, worst_errors: int, text: str
) -> None:
    write_report(tmp_path / "page.html", root / "model", features, clips, root / "out", worst_errors)
    assert text in (tmp_path / "page.html").read_text()


def test_a_model_without_validation_or_unknown_words_has_a_page(clips: Store, tmp_path: Path) -> None:
    plain = feature_store(tmp_path / "f", classes=("a", "b", "c", "d"), clips_sha256=clips.manifest.sha256)
    final = dataclasses.replace(MODEL, fit=dataclasses.replace(FIT, splits=("train", "validation"), epochs=1))
    train(final, plain, tmp_path / "m", tmp_path)
    evaluate(tmp_path / "m", plain, tmp_path / "out", 64)
    write_report(tmp_path / "page.html", tmp_path / "m", plain, clips, tmp_path / "out", 0)
    found = (tmp_path / "page.html").read_text()
    assert "The task has no class for unknown words" in found
    assert "the weights of the last one are kept, as the validation split was fitted as well" in found
    assert "validation clips" not in found


def test_what_differs_from_the_training_is_shown(page: str, root: Path, clips: Store, tmp_path: Path) -> None:
    other = feature_store(tmp_path / "f", counts={"test": 8}, clips_sha256=clips.manifest.sha256)
    evaluate(root / "model", other, tmp_path / "out", 64)
    write_report(tmp_path / "page.html", root / "model", other, clips, tmp_path / "out", 0)
    found = (tmp_path / "page.html").read_text()
    assert '<section id="differences">' in found
    assert "clips.test is 8 in the store, 23 in the model" in found


def test_the_clips_shown_are_the_most_probable_of_each_class_and_the_worst_errors() -> None:
    assert most_probable_of_each_class(FIGURES_BY_HAND) == [0, 1, 3, 2]
    assert worst(FIGURES_BY_HAND, 5) == [2]
    assert worst(FIGURES_BY_HAND, 0) == []


def test_a_clip_is_shown_in_the_models_own_view_and_as_a_spectrogram() -> None:
    assert shown_views(SMALL_MFCC) == (SMALL_MFCC, LOG_SPECTROGRAM)
    assert shown_views(LOG_SPECTROGRAM) == (LOG_SPECTROGRAM,)
    assert shown_views(Waveform(kind="waveform", sample_rate_hz=8000)) == (LOG_SPECTROGRAM,)


def test_clips_are_read_from_their_place_alone(clips: Store, tmp_path: Path) -> None:
    expected = {str(record["id"]): record for record in clips.records("unsplit")}
    wanted = {"yes/test0002_nohash_0", "cat/train0001_nohash_0"}
    found = load_clips(clips, wanted)
    assert set(found) == wanted
    for name, clip in found.items():
        np.testing.assert_array_equal(clip.samples, expected[name]["audio"])
        assert (clip.length, clip.word) == (expected[name]["length"], expected[name]["word"])


def test_a_clip_that_is_missing_is_refused_by_name(clips: Store) -> None:
    with pytest.raises(DataError, match="has no clip 'yes/absent'"):
        load_clips(clips, {"yes/absent", "yes/test0002_nohash_0"})


def test_clips_and_features_that_do_not_belong_together_are_refused(
    features: Store, clips: Store, tmp_path: Path
) -> None:
    check_belonging(clips, features)
    with pytest.raises(DataError, match="was not made from"):
        check_belonging(clip_store(tmp_path / "other", {"train": 4}), features)
    with pytest.raises(DataError, match="expected a store of clips"):
        check_belonging(features, features)
    with pytest.raises(DataError, match="expected the features of a view"):
        check_belonging(clips, clips)


def test_a_page_of_files_that_do_not_belong_together_is_refused(
    page: str, root: Path, features: Store, clips: Store, tmp_path: Path
) -> None:
    other = feature_store(tmp_path / "f", counts={"test": 8}, clips_sha256=clips.manifest.sha256)
    with pytest.raises(DataError, match="evaluates another store than"):
        write_report(tmp_path / "p", root / "model", other, clips, root / "out", 0)
    with pytest.raises(DataError, match="was not made from"):
        write_report(tmp_path / "p", root / "model", features, clip_store(tmp_path / "c", FEW), root / "out", 0)
    shutil.copytree(root / "model", tmp_path / "m")
    text = (tmp_path / "m" / "model.json").read_text().replace('"name": "small"', '"name": "big"', 1)
    (tmp_path / "m" / "model.json").write_text(text)
    with pytest.raises(DataError, match="evaluates the model small, not big"):
        write_report(tmp_path / "p", tmp_path / "m", features, clips, root / "out", 0)
    assert not (tmp_path / "p").exists()


FEW = {"train": 4}
