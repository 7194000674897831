"""Runs stages as processes of their own, each in a session, to be killed, interrupted, or refused by one another."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from corpus_tools import Outcome, corpus_files, environment, tar_gz, write_parameters, write_raw

SHARDS = 24
"""Enough for a kill to find some finished and some not."""
EPOCHS = 12
PATIENCE_S = 240


@dataclass(frozen=True)
class Stage:
    """A stage as the command line has it.

    Attributes:
        name: of the stage.
        module: that `python -m` runs.
        arguments: of the command, inputs first.
        output: what it writes, in the folder of the run.
        lock: the file that says that it is at work.
        workers: processes of its pool; 0 for a stage without one.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    output: str
    lock: str
    workers: int = 2

    @property
    def command(self) -> list[str]:
        """The whole command."""
        workers = [f"--direct_num_workers={self.workers}"] if self.workers else []
        return [sys.executable, "-m", self.module, *self.arguments, *workers]


STAGES = {
    stage.name: stage
    for stage in (
        Stage("ingest", "pipelines.ingest", ("raw", "clips"), "clips", "clips/_work/lock"),
        Stage(
            "select",
            "pipelines.select",
            ("clips", "selection.parquet"),
            "selection.parquet",
            "_work/selection.parquet/lock",
            workers=1,
        ),
        Stage(
            "augment",
            "pipelines.augment",
            ("clips", "selection.parquet", "augmented/few"),
            "augmented",
            "augmented/few/_work/lock",
        ),
        Stage(
            "extract",
            "pipelines.extract",
            ("clips", "selection.parquet", "features/mfcc_small"),
            "features",
            "features/mfcc_small/_work/lock",
        ),
        Stage(
            "train",
            "training.train",
            ("tiny", "features/mfcc_small", "models/tiny"),
            "models",
            "models/tiny/_work/lock",
            workers=0,
        ),
        Stage(
            "evaluate",
            "training.evaluate",
            ("models/tiny", "features/mfcc_small", "evaluation/tiny"),
            "evaluation",
            "evaluation/tiny/_work/lock",
            workers=0,
        ),
    )
}
CHAIN = tuple(STAGES)


def prepare_chain(folder: Path) -> None:
    """A folder with the parameters and the small corpus, for all stages."""
    tiny = {
        "network": "cnn",
        "view": "mfcc_small",
        "source": "mfcc_small",
        "filters": [4, 4],
        "kernel_size": 3,
        "dense_units": [8],
        "dropout": 0.2,
        "fit": {"epochs": EPOCHS, "early_stopping_epochs": EPOCHS},
    }
    write_parameters(
        folder,
        ingest__shards=SHARDS,
        augment__recipes__few=[{"kind": "gain", "copies": 4, "gain_db": [-6.0, 6.0]}],
        models={"tiny": tiny},
    )
    write_raw(folder / "raw", {"small.tar.gz": tar_gz(corpus_files())})


def inputs_of(stage: Stage, made: Path, folder: Path) -> None:
    """Give a run what the stage reads, from a folder in which the chain has run; no output yet."""
    for name in ("params.yaml", "raw", "clips", "selection.parquet", "features", "models"):
        if name != stage.output and (made / name).exists():
            (folder / name).symlink_to(made / name)


def start(stage: Stage, folder: Path) -> subprocess.Popen[str]:
    """Start a stage in a session of its own, as a terminal does; its errors go to a pipe."""
    return subprocess.Popen(
        stage.command,
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )


def end(process: subprocess.Popen[str]) -> Outcome:
    """Wait for a stage; how it ended."""
    stderr = process.communicate(timeout=PATIENCE_S)[1]
    return Outcome(process.returncode, stderr)


def run(stage: Stage, folder: Path) -> Outcome:
    """Run a stage to its end."""
    return end(start(stage, folder))


@contextmanager
def started(stage: Stage, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A stage that is running; it is killed at the end of the block, if it still does."""
    process = start(stage, folder)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(true: Callable[[], object], process: subprocess.Popen[str]) -> bool:
    """Wait for something to be true; whether it was before the process ended."""
    give_up = time.monotonic() + PATIENCE_S
    while not true():
        if process.poll() is not None:
            return False
        assert time.monotonic() < give_up
        time.sleep(0.002)
    return True


def at_work(stage: Stage, folder: Path, process: subprocess.Popen[str]) -> bool:
    """Whether this run of the stage has its output for itself; what was killed leaves its name, too."""
    try:
        return f'"pid": {process.pid},' in (folder / stage.lock).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return False


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that do the steps: the children of the server of processes."""
    try:
        return [worker for server in psutil.Process(process.pid).children() for worker in server.children()]
    except psutil.NoSuchProcess:
        return []


def outputs(stage: Stage, folder: Path) -> dict[str, int]:
    """What a stage has finished so far: each finished file by its time, or the epochs of a training."""
    if stage.name == "train":
        try:
            state = json.loads((folder / "models" / "tiny" / "checkpoint" / "state.json").read_text())
        except FileNotFoundError:
            return {}
        return {"epochs": len(state["history"])}
    found: dict[str, int] = {}
    for report in (folder / stage.output).rglob("_work/*/*-?????.json"):
        try:
            content = json.loads(report.read_text())
        except FileNotFoundError:  # it has just taken its place
            continue
        shards = [content["shard"]] if "shard" in content else content.get("shards", [])
        for shard in shards:
            made = report.parent / "output" / shard["file"]
            placed = report.parent.parent.parent / shard["file"]
            path = made if made.exists() else placed
            if path.exists():
                found[shard["file"]] = path.stat().st_mtime_ns
    return found


def kept(stage: Stage, folder: Path, before: dict[str, int]) -> int:
    """How many of the files that were finished before are still those that were made then, wherever they are now."""
    found = {(path.name, path.stat().st_mtime_ns) for path in (folder / stage.output).rglob("*.tfrecord-*")}
    return len(found & before.items())


def resumed_epochs(outcome: Outcome) -> int:
    """The epochs that a training that has ended had not to run."""
    resumed = re.search(r"^resuming after epoch (\d+)$", outcome.stderr, re.MULTILINE)
    return int(resumed[1]) if resumed else 0


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that come from a process now."""
    try:
        return list(psutil.Process(process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def of_session(session: int) -> list[psutil.Process]:
    """All processes of a session that still run."""
    found = []
    for each in psutil.process_iter():
        try:
            if os.getsid(each.pid) == session and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            continue
    return found
