"""The load test in its short form: good clients get right answers beside hostile ones, and memory stays the same."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from browser_tools import needs_export
from corpus_tools import ROOT, environment

from benchmarks.hostile import damaged, files

pytestmark = pytest.mark.load
MOST_GROWTH = 1.15


@needs_export
def test_good_clients_notice_nothing_of_hostile_ones() -> None:
    command = [sys.executable, "-m", "benchmarks.web_load", "exports/cnn", "data/clips"]
    short = ["--seconds", "30", "--clients", "10", "--bodies", "1000", "--json"]
    done = subprocess.run([*command, *short], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["errors"] == 0 and found["good files"] > 50 and found["windows of good streams"] > 300
    first, last, _ = found["memory in the first third, the last, and most, MB"]
    assert last <= first * MOST_GROWTH
    assert sum(found["damaged files"].values()) == 1000 and sum(found["hostile clients"].values()) >= 1


def test_damaged_files_are_many_kinds_and_the_same_each_time() -> None:
    originals = files(np.random.default_rng(0).integers(-3000, 3000, 16_000).astype(np.int16))
    found = [damaged(originals, number) for number in range(200)]
    assert found == [damaged(originals, number) for number in range(200)]
    assert len(set(found)) > 190 and not set(found) & set(originals)
