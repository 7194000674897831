"""The benchmark of the ninefold compares the same copies, and counts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_tools import exit_code
from corpus_tools import voice

from benchmarks.ninefold import COPIES, agreement_db, loop, main, ours


def test_both_ways_make_the_same_eight_copies() -> None:
    pairs = list(zip(ours(voice(1, 12_000)), loop(voice(1, 12_000)), strict=True))
    assert len(pairs) == COPIES == 8
    assert min(agreement_db(*pair) for pair in pairs) > 40
    one, other = pairs[0][0], pairs[1][1]
    assert agreement_db(one, np.resize(other, one.size)) < 20


def test_it_prints_the_rates_of_both_and_n(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(main, finished / "clips", "--count", "2", "--repetitions", "1") == 0
    printed = capsys.readouterr().out
    assert "pipelines.augment" in printed and "librosa's loop" in printed and "N = 16 copies" in printed
