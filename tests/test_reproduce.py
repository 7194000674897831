"""`make repro` says why the lock file differs from the committed one."""

from __future__ import annotations

from typing import Any

from reproduce import lock_remark, result_line

EXTRACT: dict[str, Any] = {"cmd": "extract", "deps": [{"path": "clips", "md5": "1"}], "outs": [{"md5": "2"}]}
TRAIN: dict[str, Any] = {"cmd": "train", "deps": [{"path": "features", "md5": "2"}], "outs": [{"md5": "3"}]}
BEFORE = {"extract@mfcc": EXTRACT, "train@cnn": TRAIN}


def test_an_equal_lock_needs_no_word() -> None:
    assert lock_remark(BEFORE, {name: dict(entry) for name, entry in BEFORE.items()}) is None


def test_equal_inputs_and_other_bytes_are_put_down_to_the_processor_at_the_first_such_stage() -> None:
    changed = {**EXTRACT, "outs": [{"md5": "9"}]}
    after = {"train@cnn": {**TRAIN, "deps": [{"path": "features", "md5": "9"}]}, "extract@mfcc": changed}
    assert "extract@mfcc gave other bytes than on the machine" in str(lock_remark(BEFORE, after))


def test_other_inputs_are_named_as_such() -> None:
    after = {**BEFORE, "train@cnn": {**TRAIN, "cmd": "train --more"}}
    assert "other code, parameters or inputs than in the last commit went into train@cnn" in str(
        lock_remark(BEFORE, after)
    )


def test_a_stage_that_is_gone_is_a_change() -> None:
    assert "has other stages" in str(lock_remark(BEFORE, {"extract@mfcc": EXTRACT}))


def test_an_accuracy_has_its_interval_and_number() -> None:
    figures = {"accuracy": 0.973, "low": 0.932, "high": 0.989, "clips": 147}
    assert result_line("cnn", figures) == "cnn: accuracy 97.3% (95 % interval 93.2% to 98.9%) on N = 147 test clips"
