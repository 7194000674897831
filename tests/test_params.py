"""params.yaml is read strictly: each mistake is one sentence that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from corpus_tools import ROOT, parameters

import params
from features.errors import DataError
from features.views import definition, definition_hash, from_definition


def load(folder: Path, content: Any) -> params.Params:
    path = folder / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return params.load(path)


def problem(folder: Path, content: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(folder, content)
    return str(caught.value)


def test_the_projects_own_parameters_are_valid() -> None:
    loaded = params.load(ROOT / "params.yaml")
    assert set(loaded.views) <= set(loaded.extract.views)
    assert loaded.select.tasks["commands"].words[:2] == ("yes", "no")


def test_values_arrive_as_written(tmp_path: Path) -> None:
    loaded = load(tmp_path, parameters(select__unknown=0.25, select__silence=7, ingest__silence__gain_db=[-6, 0.0]))
    assert (loaded.select.unknown, loaded.select.silence) == (0.25, 7)
    assert isinstance(loaded.select.silence, int)
    assert loaded.ingest.silence.gain_db == (-6.0, 0.0)


MISTAKES: dict[str, list[Any]] = {
    "ingest__shards": ["3", 3.5, 0, 4097, None, True],
    "ingest__seed": [-1, 2**32, "x"],
    "ingest__max_reject_fraction": [1.5, -0.1, "1%"],
    "ingest__silence__hop_ms": [0, 1.5],
    "ingest__silence__gain_db": [[0.0, -30.0], [-3.0], -3.0, [-3.0, 1.0]],
    "select__task": ["absent", 3, None],
    "select__unknown": ["median", -1, 1.5, True, None],
    "select__split__method": ["random", None],
    "select__split__ratio": [[8, 1], [8, 1, 0], [0.8, 0.1, 0.1], "8:1:1"],
    "select__split__salt": [5, None],
    "select__tasks__small": [
        {"words": [], "silence": True, "unknown": True},
        {"words": ["yes", "yes"], "silence": True, "unknown": True},
        {"words": [True, False], "silence": True, "unknown": True},
        {"words": "yes", "silence": True, "unknown": True},
        {"words": "all", "silence": True, "unknown": True},
        {"words": ["yes", "_silence_"], "silence": True, "unknown": True},
        {"words": ["yes"], "silence": "no", "unknown": True},
        {"words": ["yes"], "silence": True},
        {"words": ["yes"], "silence": True, "unknown": True, "other": 1},
        ["yes"],
    ],
    "extract__views__mfcc__kind": ["plp", None],
    "extract__views__mfcc__coefficients": [41, 0, 13.0],
    "extract__views__mfcc__mel_low_hz": [7600.0, -1.0],
    "extract__views__mfcc__mel_high_hz": [8001.0],
    "extract__views__mfcc__floor_db": ["low", 1.0],
    "extract__views__mfcc__frame_ms": [0, 1001],
    "extract__views__waveform__sample_rate_hz": [44_100],
    "validate__against": ["", 3],
    "validate__thresholds__max_missing_classes": [-1, 0.5, None],
    "validate__thresholds__max_class_share_difference": [-0.1, 1.1, "5%"],
    "validate__thresholds__max_coefficient_spread_ratio": [0.9],
    "validate__thresholds__max_loudness_difference_db": [-3.0],
    "validate__thresholds__silent_below_dbfs": [1.0, -91.0],
    "validate__thresholds__chance_standard_errors": [-1.0],
    "views": [[], ["absent"], "mfcc"],
    "models": [{}, {"absent": "mfcc"}, {"fit": "mfcc"}, {"cnn": "logmel"}],
}


@pytest.mark.parametrize("key", MISTAKES)
def test_a_wrong_value_is_refused_with_the_name_of_its_key(key: str, tmp_path: Path) -> None:
    for value in MISTAKES[key]:
        message = problem(tmp_path, parameters(**{key: value}))
        assert key.split("__")[-1] in message or key.split("__")[-2] in message, (value, message)


@pytest.mark.parametrize("key", ["ingest__shards", "select__seed", "extract__views", "corpus", "train__fit__epochs"])
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    content = parameters()
    *path, last = key.split("__")
    place = content
    for part in path:
        place = place[part]
    del place[last]
    assert f"{key.replace('__', '.')} is missing: add it" in problem(tmp_path, content)


@pytest.mark.parametrize("key", ["ingest__shard", "select__split__rato", "extra", "extract__views__mfcc__bands"])
def test_an_unknown_key_is_named(key: str, tmp_path: Path) -> None:
    message = problem(tmp_path, parameters(**{key: 1}))
    assert f"{key.split('__')[-1]} is not a known key" in message


@pytest.mark.parametrize(
    "text",
    ["", "a: [1", "- 1", "a: 2024-01-01", "a: !!binary aGk=", "? [1, 2]\n: 3", "a: .nan", "\x00", "a: !!set {b}"],
)
def test_what_is_no_table_of_parameters_is_refused(text: str, tmp_path: Path) -> None:
    assert problem(tmp_path, text).startswith(str(tmp_path / "params.yaml"))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(DataError, match=r"params\.yaml"):
        params.load(tmp_path / "params.yaml")


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing: run the command in the project's root"):
        params.load(tmp_path / "params.yaml")


def test_each_view_survives_its_definition_and_has_a_hash_of_its_own() -> None:
    views = params.load(ROOT / "params.yaml").extract.views
    for view in views.values():
        assert from_definition(definition(view)) == view
    assert len({definition_hash(view) for view in views.values()}) == len(views)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mfcc", (98, 40)),
        ("logmel", (98, 40)),
        ("spectrogram", (99, 161)),
        ("waveform", (16_000,)),
        ("waveform_8khz", (8_000,)),
    ],
)
def test_the_declared_views_have_their_known_shapes(name: str, shape: tuple[int, ...]) -> None:
    assert params.load(ROOT / "params.yaml").extract.views[name].shape == shape


def test_yes_no_on_and_off_are_words_whether_quoted_or_not(tmp_path: Path) -> None:
    written = (ROOT / "params.yaml").read_text()
    assert "[yes, no, up, down, left, right, on, off, stop, go]" in written
    path = tmp_path / "params.yaml"
    path.write_text(written.replace("[yes, no, up", '["yes", "no", up'))
    words = params.load(path).select.tasks["commands"].words
    assert words == params.load(ROOT / "params.yaml").select.tasks["commands"].words
    assert words[:2] == ("yes", "no")
