"""Readers of foreign data take what is made up, and what was once found, with a value or a documented error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from corpus_tools import ROOT
from fuzz_targets import TARGETS, kept
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = {name: list(target.seeds()) for name, target in TARGETS.items()}


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with some stretches replaced, removed, repeated, or cut off."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(start + draw(st.sampled_from([0, 1, 2, 4, 30, 512])), len(data))
        new = draw(st.one_of(st.binary(max_size=6), st.just(data[start:stop] * 2), st.just(b"")))
        data = data[:start] + new + data[stop:]
    return data[: draw(st.sampled_from([len(data), len(data) // 2]))]


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=25)
@given(data=st.data())
def test_what_is_made_of_good_input_is_a_value_or_a_documented_error(name: str, data: st.DataObject) -> None:
    TARGETS[name].feed(data.draw(mutated(SEEDS[name])))


@pytest.mark.parametrize(
    "path", [path for name in TARGETS for path in kept(name)], ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_inputs_that_were_once_of_interest_are_a_value_or_a_documented_error(path: Path) -> None:
    TARGETS[path.parent.name].feed(path.read_bytes())


def test_the_seeds_of_every_target_are_taken_and_fit() -> None:
    for name, target in TARGETS.items():
        assert SEEDS[name], name
        for seed in SEEDS[name]:
            assert len(seed) <= target.longest
            target.feed(seed)


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(
        [sys.executable, "tests/fuzz.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_the_fuzzer_feeds_a_target_and_says_how_often(tmp_path: Path) -> None:
    done = fuzz("condition", "--seconds", "60", "--runs", "200", "--found", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"condition: 2\d\d inputs in \d+ s, \d+ of them of interest; 0 found\n", done.stdout)


@pytest.mark.slow
def test_the_fuzzer_keeps_what_it_finds_and_fails(tmp_path: Path) -> None:
    """A target of which every input is wrong, since its file can't be written."""
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim" / "sitecustomize.py").write_text(
        "import sys\n"
        "if '--inside' in sys.argv:\n"
        "    import pipelines.select.condition as condition\n"
        "    def checked(text): raise RuntimeError('not documented')\n"
        "    condition.checked = checked\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'shim'}:{ROOT}", "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [
        sys.executable,
        "tests/fuzz.py",
        "condition",
        "--seconds",
        "60",
        "--runs",
        "50",
        "--found",
        str(tmp_path / "found"),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.match(r"condition: .*; 1 found$", done.stdout.splitlines()[0]), done.stdout + done.stderr
    assert "RuntimeError: not documented" in done.stdout and f"{tmp_path / 'found'}/condition/crashes" in done.stdout


def test_an_unknown_target_is_named() -> None:
    done = fuzz("absent")
    assert done.returncode != 0 and "there is no target absent; there are audio, tar" in done.stderr
