"""What the tests of all storage run: every stage on the small corpus, here and elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from corpus_tools import environment, run_stage

from base.remote_folders import below

STAGES = (
    ("ingest", "raw", "{root}/clips"),
    ("select", "{root}/clips", "{root}/selection.parquet"),
    ("augment", "{root}/clips", "{root}/selection.parquet", "{root}/augmented/ninefold"),
    ("extract", "{root}/clips", "{root}/selection.parquet", "{root}/features/mfcc", "{root}/features/waveform"),
)


def run_stages(folder: Path, root: str, stages: tuple[tuple[str, ...], ...] = STAGES) -> None:
    """Run stages in a folder, with their outputs below a root."""
    for stage, *arguments in stages:
        outcome = run_stage(folder, stage, *(each.format(root=root) for each in arguments))
        assert outcome.code == 0, outcome.stderr


def run_module(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m` in a folder to its end."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )


def start_and_kill(folder: Path, output: str) -> list[str]:
    """Start `ingest` and kill it as soon as it has sealed a shard; all that is there then."""
    before = set(below(output))
    command = [sys.executable, "-m", "pipelines.ingest", "raw", output, "--direct_num_workers=1"]
    process = subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.DEVNULL)
    while not any("/seal-" in path for path in set(below(output)) - before):
        assert process.poll() is None
    process.kill()
    process.wait()
    return below(output)
