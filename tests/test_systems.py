"""Published systems: their files are valid, and each runs in a folder of its own that shares archive and clips."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from corpus_tools import ROOT, copy_project, corpus_files, tar_gz
from hypothesis import given
from hypothesis import strategies as st

from base import params
from base.errors import DataError
from pipelines.select.config import Select
from systems.__main__ import corpus_name, listing
from systems.entry import merged, names, parameters, read
from systems.workspace import prepare, rooms
from training.config import load_model

PROJECT: dict[str, Any] = params.read_yaml(ROOT / "params.yaml")
VARIANTS = [(name, variant) for name in names() for variant in read(name).variants]
tables = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)).filter(
    lambda value: isinstance(value, dict)
)


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_the_parameters_of_a_system_are_valid_and_its_models_alone_are_trained(
    name: str, variant: str, tmp_path: Path
) -> None:
    system = read(name)
    content = parameters(PROJECT, system, variant, "/a/b.tar.gz", "commands")
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(content))
    assert params.load("select", Select, path).task == content["select"]["task"]
    assert content["corpus"]["sources"] == ["/a/b.tar.gz"]
    assert content["models"].keys() == system.params["models"].keys()
    assert content["views"] == list(dict.fromkeys(load_model(model, path).source for model in content["models"]))
    assert set(content["views"]) <= content["extract"]["views"].keys()


def test_another_task_takes_the_place_of_commands_alone() -> None:
    tasks = {name: parameters(PROJECT, read(name), "", "synthetic", "eight_commands") for name in ("lstm", "m5")}
    assert {name: content["select"]["task"] for name, content in tasks.items()} == {
        "lstm": "eight_commands",
        "m5": "words_alone",
    }


@given(tables, tables)
def test_merging_keeps_what_only_one_table_has_and_prefers_the_second(below: Any, above: Any) -> None:
    found = merged(below, above)
    assert found.keys() == below.keys() | above.keys()
    for key, value in found.items():
        one, other = below.get(key), above.get(key, below.get(key))
        assert value == (merged(one, other) if isinstance(one, dict) and isinstance(other, dict) else other)
    assert merged(found, above) == found and merged(below, {}) == below


def test_the_list_has_a_row_for_each_model_of_each_variant() -> None:
    expected = sum(len(read(name).params["models"]) for name, _ in VARIANTS)
    assert len(listing().splitlines()) == 2 + expected


@pytest.mark.parametrize(
    ("entry", "name"), [("a/b.c.tar.gz", "b.c"), ("words", "words"), ("speech_commands_v0.02", "speech_commands_v0.02")]
)
def test_a_corpus_has_the_name_of_its_archive(entry: str, name: str) -> None:
    assert corpus_name(entry) == name


def test_a_system_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"there is no system 'lstn'; systems/ has .*lstm"):
        read("lstn")


def test_a_new_folder_begins_with_the_archive_and_clips_of_another_and_a_used_one_keeps_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    prepare(first, {"models": {}}, tmp_path, ROOT)
    assert {path.name for path in first.iterdir()} == {*rooms(ROOT), "dvc.yaml", "params.yaml", ".dvc", ".dvcignore"}
    for out in ("data/raw/a.tar.gz", "data/clips/manifest.json"):
        (first / out).parent.mkdir(parents=True)
        (first / out).write_text(out)
    stages = {name: {"cmd": name} for name in ("corpus", "ingest", "select")}
    (first / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))
    prepare(second, {"models": {}}, tmp_path, ROOT)
    assert (second / "data/clips/manifest.json").read_text() == "data/clips/manifest.json"
    taken = params.read_yaml(second / "dvc.lock")["stages"]
    assert taken == {name: {"cmd": name} for name in ("corpus", "ingest")}
    (second / "dvc.lock").write_text("mine")
    prepare(second, {"models": {}}, tmp_path, ROOT)
    assert (second / "dvc.lock").read_text() == "mine"


SMALL = """
title: small
original: none
corpus: speech_commands
params:
  select: {task: small, tasks: {small: {words: [yes, no], silence: true, unknown: true}}}
  models:
    one:
      network: cnn
      view: mfcc_small
      source: mfcc_small
      filters: [4]
      kernel_size: 3
      dense_units: []
      dropout: 0.0
      fit: {epochs: 1}
  validate:
    thresholds: {max_missing_classes: 9, max_class_share_difference: 1.0, max_coefficient_mean_shift_std: 99.0,
      max_coefficient_spread_ratio: 99.0, max_loudness_difference_db: 99.0, max_loudness_ks: 1.0,
      max_padded_share_difference: 1.0, max_silent_share_difference: 1.0, max_clipped_share_difference: 1.0}
variants:
  listed: {}
  spread: {select: {split: {method: random, ratio: [2, 1, 1]}}}
"""


@pytest.mark.slow
def test_the_command_runs_each_variant_once_and_says_what_came_out(tmp_path: Path) -> None:
    project = tmp_path / "project"
    copy_project(project)
    (project / "systems" / "small.yaml").write_text(SMALL)
    archive = tmp_path / "few.tar.gz"
    archive.write_bytes(tar_gz(corpus_files()))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-m", "systems", "small", "--archive", str(archive)]
    first, again = (
        subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert first.returncode == 0, first.stdout + first.stderr
    ran = [line.split("'")[1] for line in first.stdout.splitlines() if line.startswith("Running stage")]
    assert (ran.count("corpus"), ran.count("ingest"), ran.count("select"), ran.count("train@one")) == (1, 1, 2, 2)
    rows = [line for line in first.stdout.splitlines() if line.startswith("| small")]
    assert ["listed" in rows[0], "official" in rows[0], "spread" in rows[1], "random" in rows[1]] == [True] * 4
    assert "Running stage" not in again.stdout and again.stdout.endswith("\n".join(rows) + "\n")
    assert (project / "build/systems/few/small/spread/evaluation/one/report.html").exists()
