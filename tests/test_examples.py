"""The examples train another model on the shards of a small store and tell its classes apart."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from training_store import COUNTS, feature_store

ROOT = Path(__file__).parent.parent
PRINTED = re.compile(r"test accuracy (\d+\.\d)% on N = (\d+) clips\n")


def accuracy(example: str, folder: Path, epochs: int) -> float:
    """What an example prints about its model, trained on a store whose four classes can be learned."""
    feature_store(folder)
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{example}", str(folder), f"--epochs={epochs}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = PRINTED.fullmatch(done.stdout)
    assert printed and int(printed[2]) == COUNTS["test"]
    return float(printed[1])


def test_scikit_learn_learns_from_numpy_batches(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed here: run `make test`")
    assert accuracy("sklearn_linear", tmp_path, epochs=10) > 90


def test_pytorch_learns_from_the_shards(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed here: run `make test-torch`")
    assert accuracy("pytorch_cnn", tmp_path, epochs=30) > 90
