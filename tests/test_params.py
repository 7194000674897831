"""params.yaml is read strictly: each mistake is one sentence that names the key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from corpus_tools import ROOT, parameters

from base import params
from base.errors import DataError
from pipelines.augment.config import Augment
from pipelines.corpus.corpus import Corpus
from pipelines.extract.extract import Extract
from pipelines.ingest.config import Ingest
from pipelines.select.config import Select
from registry.drift.measures import Validate
from reports.evaluation import Report
from serving.export import ExportNumbers
from serving.stream_test.settings import StreamNumbers
from training.config import Train, load_model
from training.evaluate import Evaluate

SECTIONS: dict[str, Any] = {
    "corpus": Corpus,
    "ingest": Ingest,
    "select": Select,
    "augment": Augment,
    "extract": Extract,
    "validate": Validate,
    "train": Train,
    "evaluate": Evaluate,
    "report": Report,
    "export": ExportNumbers,
    "stream_test": StreamNumbers,
}


def load(folder: Path, content: Any, section: str) -> Any:
    path = folder / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return params.load(section, SECTIONS[section], path)


def problem(folder: Path, content: Any, section: str = "ingest") -> str:
    with pytest.raises(DataError) as caught:
        load(folder, content, section)
    return str(caught.value)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_projects_own_parameters_are_valid(section: str) -> None:
    assert isinstance(params.load(section, SECTIONS[section], ROOT / "params.yaml"), SECTIONS[section])


def test_the_projects_models_read_views_that_are_made_and_every_section_is_some_stages() -> None:
    content = params.read_yaml(ROOT / "params.yaml")
    assert set(content) == {*SECTIONS, "views", "models", "distilled", "finetuned", "augmented", "clips_from"}
    assert set(content["augmented"]) <= set(content["augment"]["recipes"])
    assert set(content["views"]) <= set(content["extract"]["views"])
    assert {load_model(name, ROOT / "params.yaml").view for name in content["models"]} <= set(content["views"])


def test_values_arrive_as_written(tmp_path: Path) -> None:
    content = parameters(select__unknown=0.25, select__silence=7, ingest__silence__gain_db=[-6, 0.0])
    select, ingest = load(tmp_path, content, "select"), load(tmp_path, content, "ingest")
    assert (select.unknown, select.silence) == (0.25, 7)
    assert isinstance(select.silence, int)
    assert ingest.silence.gain_db == (-6.0, 0.0)


MISTAKES: dict[str, list[Any]] = {
    "augment__seed": [-1, "x"],
    "augment__recipes__varied": [
        [],
        [{"kind": "echo"}],
        [{"kind": "gain", "copies": 0, "gain_db": [0.0, 1.0]}],
        [{"kind": "gain", "copies": 1, "gain_db": [1.0, 0.0]}],
        [{"kind": "noise", "copies": 1}],
        [{"kind": "noise", "copies": 1, "snr_db": [0.0, 1.0], "colour": "pink"}],
        [{"kind": "ninefold"}, {"kind": "ninefold"}],
        [{"kind": "room", "copies": 1}],
        [{"kind": "room", "copies": 1, "decay_ms": [200, 300], "impulse_responses": "rooms"}],
    ],
    "ingest__shards": ["3", 3.5, 0, 4097, None, True],
    "ingest__seed": [-1, 2**32, "x"],
    "ingest__second": ["centre", "first", 0, None],
    "ingest__max_reject_fraction": [1.5, -0.1, "1%"],
    "ingest__silence__hop_ms": [0, 1.5],
    "ingest__silence__gain_db": [[0.0, -30.0], [-3.0], -3.0, [-3.0, 1.0]],
    "select__task": ["absent", 3, None],
    "select__unknown": ["median", -1, 1.5, True, None],
    "select__where": [3, True, "", "snr > 10", "snr_db", ["cut_end"], "word == 3", "cut_end or " * 100 + "cut_end"],
    "select__split__method": ["clip", None],
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
    "validate__against": ["", 3],
    "validate__thresholds__max_missing_classes": [-1, 0.5, None],
    "validate__thresholds__max_class_share_difference": [-0.1, 1.1, "5%"],
    "validate__thresholds__max_coefficient_spread_ratio": [0.9],
    "validate__thresholds__max_loudness_difference_db": [-3.0],
    "validate__thresholds__silent_below_dbfs": [1.0, -91.0],
    "validate__thresholds__chance_standard_errors": [-1.0],
}


@pytest.mark.parametrize("key", MISTAKES)
def test_a_wrong_value_is_refused_with_the_name_of_its_key(key: str, tmp_path: Path) -> None:
    for value in MISTAKES[key]:
        message = problem(tmp_path, parameters(**{key: value}), key.split("__")[0])
        assert key.split("__")[-1] in message or key.split("__")[-2] in message, (value, message)


@pytest.mark.parametrize("key", ["ingest__shards", "select__seed", "extract__views", "corpus", "train__fit__epochs"])
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    content = parameters()
    *path, last = key.split("__")
    place = content
    for part in path:
        place = place[part]
    del place[last]
    assert f"{key.replace('__', '.')} is missing: add it" in problem(tmp_path, content, key.split("__")[0])


@pytest.mark.parametrize("key", ["ingest__shard", "select__split__rato", "extract__views__mfcc__bands"])
def test_an_unknown_key_is_named(key: str, tmp_path: Path) -> None:
    message = problem(tmp_path, parameters(**{key: 1}), key.split("__")[0])
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
        params.load("ingest", Ingest, tmp_path / "params.yaml")


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing: run the command in the project's root"):
        params.load("ingest", Ingest, tmp_path / "params.yaml")


def test_yes_no_on_and_off_are_words_whether_quoted_or_not(tmp_path: Path) -> None:
    written = (ROOT / "params.yaml").read_text()
    assert "[yes, no, up, down, left, right, on, off, stop, go]" in written
    expected = params.load("select", Select, ROOT / "params.yaml").tasks["commands"].words
    assert expected[:2] == ("yes", "no") and "off" in expected
    assert (
        load(tmp_path, written.replace("[yes, no, up", '["yes", "no", up'), "select").tasks["commands"].words
        == expected
    )


WRITTEN = (ROOT / "params.yaml").read_text()
SHARDS_LINE = 1 + WRITTEN[: WRITTEN.index("  shards:")].count("\n")
BOMB = "a: &a0 [x, x, x, x]\n" + "".join(f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
BROKEN: dict[str, tuple[str, str]] = {
    "a bracket that stays open": (
        WRITTEN.replace("  shards: ", "  shards: [[", 1),
        r", line \d+, column \d+: not",
    ),
    "a tab": (
        WRITTEN.replace("  shards:", "\tshards:", 1),
        rf", line {SHARDS_LINE}, column 1: not valid YAML: found character .* that cannot start any token",
    ),
    "two colons": (
        WRITTEN.replace("  shards:", "  shards: :", 1),
        rf", line {SHARDS_LINE}, column \d+: not valid YAML: mapping values are not allowed here",
    ),
    "a key twice": (
        WRITTEN.replace("  shards:", "  shards: 3\n  shards:", 1),
        rf', line {SHARDS_LINE + 1}, column 3: not valid YAML: found duplicate key "shards"',
    ),
    "two documents": (WRITTEN + "\n---\na: 1\n", ", line .* but found another document"),
    "a tag of Python": ("a: !!python/object:os.system x\n" + WRITTEN, ", line 1, column 4: .* constructor for the tag"),
    "a byte that YAML does not allow": (WRITTEN + "\0", " is not valid YAML: unacceptable character"),
    "a merge of a number": ("<<: 3\n" + WRITTEN, ", line 1, column 5: .* expected a mapping"),
    "1,000 brackets": (f"a: {'[' * 1000}{']' * 1000}\n{WRITTEN}", ", line 1, .* nested deeper than 30"),
    "a list in each line": (
        "a:\n" + "".join(f"{' ' * n}-\n" for n in range(1, 1000)),
        ", line .* nested deeper than 30",
    ),
    "an alias of what it stands in": (f"a: &a [*a]\n{WRITTEN}", ", line 1, .* an alias stands in what it stands for"),
    "an alias of nothing": (f"a: *b\n{WRITTEN}", ", line 1, column 4: .* found undefined alias"),
    "aliases of aliases": (BOMB + WRITTEN, ", line .*: there are more than 100000 values, with aliases replaced"),
    "a number of 5,000 digits": (f"a: {'9' * 5000}\n{WRITTEN}", " is not valid YAML: Exceeds the limit"),
    "a large file": (f"# {'x' * (1 << 20)}\n{WRITTEN}", r" has 10\d+ bytes, expected at most 1048576"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_yaml_that_people_write_is_refused_in_one_short_sentence_with_its_line(
    what: str, tmp_path: Path
) -> None:
    text, said = BROKEN[what]
    message = problem(tmp_path, text)
    assert re.match(rf"{re.escape(str(tmp_path))}/params\.yaml{said}", message), message
    assert len(message) < 500 and "\n" not in message


@pytest.mark.parametrize(
    ("key", "given", "said"),
    [
        ("ingest__max_reject_fraction", float("nan"), "ingest.max_reject_fraction: got nan"),
        ("ingest__silence__gain_db", [float("-inf"), 0.0], "ingest.silence.gain_db.0: got -inf"),
        ("train__fit__learning_rate", float("inf"), "train.fit.learning_rate: got inf"),
        ("evaluate__unheard_of", float("inf"), "evaluate.unheard_of: got inf"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(
    key: str, given: Any, said: str, tmp_path: Path
) -> None:
    assert f"{said}, expected texts, finite numbers" in problem(
        tmp_path, parameters(**{key: given}), key.split("__")[0]
    )


def test_a_message_shows_the_beginning_of_a_long_value_and_the_first_of_many_mistakes(tmp_path: Path) -> None:
    content = parameters(ingest__second="x" * 5_000)
    content["ingest"] |= {f"{'k' * 400}{n}": 1 for n in range(50)}
    message = problem(tmp_path, content)
    assert "and 46 more" in message and len(message) < 2_000


def test_anchors_and_merges_of_a_usual_size_are_read(tmp_path: Path) -> None:
    text = WRITTEN.replace("  seed:", "  seed: &seed 7 #", 1) + "\nother: {a: *seed, b: *seed}\n"
    (tmp_path / "params.yaml").write_text(text)
    assert params.read_yaml(tmp_path / "params.yaml")["other"] == {"a": 7, "b": 7}
