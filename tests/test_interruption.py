"""Ctrl-C ends any stage at any moment: at once, with one sentence and code 130, and with all of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from corpus_tools import ROOT, contents
from stage_processes import (
    STAGES,
    Stage,
    at_work,
    descendants,
    inputs_of,
    of_session,
    outputs,
    run,
    started,
    wait_until,
    workers_of,
)

from base.interruption import EXIT_CODE, MESSAGE

MOST_SECONDS = 15.0
"""Five on two cores of their own; tests share them, and there are slower ones."""

Moment = Callable[[Stage, Path, "subprocess.Popen[str]"], object]
MOMENTS: dict[str, Moment] = {
    "imports": lambda stage, folder, process: psutil.Process(process.pid).num_threads() > 1,
    "server of processes": lambda stage, folder, process: psutil.Process(process.pid).children(),
    "workers": lambda stage, folder, process: workers_of(process),
    "work": at_work,
    "first output": lambda stage, folder, process: at_work(stage, folder, process) and outputs(stage, folder),
}
"""When Ctrl-C comes: as soon as there is a thread that waits for it, then such processes, then such files."""


def interrupted(stage: Stage, folder: Path, moment: str, everyone: bool) -> tuple[float, str] | None:
    """Run a stage until a moment, and send Ctrl-C to it, or to all of its session as a terminal does.

    Returns:
        Seconds until no process of it was left, and what it wrote; None where it had ended before.
    """
    with started(stage, folder) as process:
        if not wait_until(lambda: MOMENTS[moment](stage, folder, process), process):
            return None
        others = descendants(process)
        sent = time.monotonic()
        if everyone:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=30)[1]
        left = psutil.wait_procs(others, timeout=30)[1]
        seconds = time.monotonic() - sent
        assert not left and not of_session(process.pid)
        if process.returncode == 0:
            return None
        assert process.returncode == EXIT_CODE, stderr
        return seconds, stderr


CASES = [
    ("ingest", "imports", True),
    ("ingest", "server of processes", True),
    ("ingest", "workers", True),
    ("ingest", "workers", False),
    ("ingest", "work", False),
    ("ingest", "first output", True),
    ("augment", "first output", False),
    ("extract", "workers", True),
    ("extract", "first output", False),
    ("select", "work", True),
    ("train", "imports", True),
    ("train", "work", False),
    ("train", "first output", True),
    ("evaluate", "imports", False),
    ("evaluate", "work", True),
]
QUICK = [("ingest", "workers", True)]


@pytest.mark.parametrize(
    ("name", "moment", "everyone"),
    [pytest.param(*each, marks=() if each in QUICK else pytest.mark.slow) for each in CASES],
)
def test_ctrl_c_ends_a_stage_within_five_seconds_with_one_sentence_and_no_process_left(
    name: str,
    moment: str,
    everyone: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    stage = STAGES[name]
    inputs_of(stage, request.getfixturevalue("trained" if name == "evaluate" else "chain"), tmp_path)
    ended = interrupted(stage, tmp_path, moment, everyone)
    assert ended is not None
    seconds, stderr = ended
    with capsys.disabled():
        print(f"\n{name}, {moment}, {'all processes' if everyone else 'main process'}: {seconds:.1f} s")
    assert seconds < MOST_SECONDS
    errors = [line for line in stderr.splitlines() if "elapsed" not in line and not line.startswith("epoch ")]
    assert errors == [MESSAGE.strip()], stderr


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(chain: Path, tmp_path: Path) -> None:
    stage = STAGES["extract"]
    inputs_of(stage, chain, tmp_path)
    for moment in ("workers", "first output", "work"):
        interrupted(stage, tmp_path, moment, everyone=True)
    assert run(stage, tmp_path).code == 0
    assert contents(tmp_path / stage.output) == contents(chain / stage.output)


def test_a_command_in_the_background_of_a_shell_ignores_ctrl_c(tmp_path: Path) -> None:
    code = (
        "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); from base import interruption; "
        "interruption.answer(); os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1); print('went on')"
    )
    assert python(code).stdout == "went on\n"


@pytest.mark.parametrize("busy", ["while True: pass", "time.sleep(60)", "threading.Lock().acquire(); lock.acquire()"])
def test_ctrl_c_ends_a_process_whatever_its_main_thread_is_doing(busy: str) -> None:
    code = (
        "import os, signal, threading, time; from base import interruption; interruption.answer(); "
        "lock = threading.Lock(); lock.acquire(); "
        "threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n" + busy
    )
    began = time.monotonic()
    done = python(code)
    assert (done.returncode, done.stderr) == (EXIT_CODE, MESSAGE) and time.monotonic() - began < 30


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
