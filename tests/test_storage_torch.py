"""PyTorch reads stores on object storage as from a disk, in an environment without TensorFlow and Beam."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from corpus_tools import environment
from letter_store import letter_store
from object_store import BUCKET, reached

TORCH_PYTHON = os.environ.get("TORCH_PYTHON")
SHARDS = (3, 0, 5, 1, 4, 2)

READ = """
import sys
from torch.utils.data import DataLoader
from readers import open_store

for workers in (0, 2):
    dataset = open_store(sys.argv[1]).torch("train", 2, shuffle=4, seed=1)
    for epoch in range(2):
        dataset.set_epoch(epoch)
        context = "forkserver" if workers else None
        for batch in DataLoader(dataset, None, num_workers=workers, multiprocessing_context=context):
            print(workers, epoch, batch["id"], *(f"{name} {batch[name].tolist()}" for name in batch if name != "id"))
"""


@pytest.mark.skipif(not TORCH_PYTHON, reason="TORCH_PYTHON names no Python with PyTorch: run `make test-torch`")
def test_pytorch_reads_a_remote_store_as_a_local_one(tmp_path: Path) -> None:
    letter_store(tmp_path, SHARDS)
    with reached() as store:
        store.put("letters", tmp_path)
        local, far = (read(path) for path in (str(tmp_path), f"s3://{BUCKET}/letters"))
    assert far == local
    assert len(far.splitlines()) >= 4 * sum(SHARDS) // 2


def read(path: str) -> str:
    """The batches of a store, as text."""
    command = [str(TORCH_PYTHON), "-W", "ignore:This DataLoader will create", "-c", READ, path]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
