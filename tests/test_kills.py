"""A stage that is killed at any moment, or whose worker is, goes on to the same bytes and does nothing twice.

KILLS is the number of kills for each stage and kind: two by default, 50 by `make test-kills`.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from corpus_tools import contents
from stage_processes import (
    EPOCHS,
    SHARDS,
    STAGES,
    Stage,
    at_work,
    end,
    inputs_of,
    kept,
    outputs,
    remove,
    resumed_epochs,
    run,
    start,
    wait_until,
    workers_of,
)

KILLS = int(os.environ.get("KILLS", "2"))
IN_A_ROW = 5
"""Kills of one run and of those that resume it, at most."""
BEFORE_THE_WORK = 0.2
"""Share of the kills that come while the stage starts."""
AT_A_RANDOM_TIME = 0.3
"""Share of the others that come at a random time; the rest come when a random share of the output is finished."""


def seconds_at_work(stage: Stage, folder: Path) -> tuple[float, float]:
    """Seconds that a whole run takes before it has its output for itself, and after."""
    began = time.monotonic()
    process = start(stage, folder)
    wait_until(lambda: at_work(stage, folder, process), process)
    worked = time.monotonic()
    assert end(process).code == 0
    return worked - began, time.monotonic() - worked


def count(finished: dict[str, int]) -> int:
    """How many shards, or epochs, are finished."""
    return finished.get("epochs", len(finished))


def killed(stage: Stage, folder: Path, moments: random.Random, seconds: tuple[float, float], of_worker: bool) -> bool:
    """Run a stage and kill it, or one of its workers, at a random moment; False where it had ended before."""
    starting, working = seconds
    process = start(stage, folder)
    if not of_worker and moments.random() < BEFORE_THE_WORK:
        time.sleep(moments.uniform(0, starting))
    else:
        wait_until(lambda: at_work(stage, folder, process), process)
        if of_worker:
            wait_until(lambda: workers_of(process), process)
        if moments.random() < AT_A_RANDOM_TIME:
            time.sleep(moments.uniform(0, working))
        else:
            wanted = moments.randint(0, EPOCHS if stage.name == "train" else SHARDS)
            wait_until(lambda: count(outputs(stage, folder)) >= wanted, process)
            time.sleep(moments.uniform(0, working / SHARDS))
    victims = workers_of(process) if of_worker else []
    if process.poll() is not None or (of_worker and not victims):
        return end(process).code != 0
    if not of_worker:
        process.kill()
        end(process)
        return process.returncode == -9
    moments.choice(victims).kill()
    outcome = end(process)
    if outcome.code == 0:  # it had nothing left to do
        return False
    assert outcome.code == 1, outcome.stderr
    assert outcome.errors == [outcome.stderr.splitlines()[-1]] and "a worker process was killed" in outcome.errors[0]
    return True


CASES = [(name, False) for name in ("ingest", "augment", "extract", "train")]
CASES += [(name, True) for name in (("ingest", "augment", "extract") if "KILLS" in os.environ else ("extract",))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "of_worker"), CASES, ids=[f"{n}{' worker' if w else ''}" for n, w in CASES])
def test_kills_at_random_moments_change_no_byte_and_nothing_is_done_twice(
    name: str,
    of_worker: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    made: Path = request.getfixturevalue("trained" if name == "train" else "chain")
    stage, moments = STAGES[name], random.Random(f"{name} {of_worker}")
    inputs_of(stage, made, tmp_path)
    seconds = seconds_at_work(stage, tmp_path)
    expected = contents(made / stage.output)
    assert contents(tmp_path / stage.output) == expected
    kills = runs = finished = not_again = 0
    while kills < KILLS:
        remove(tmp_path / stage.output)
        most = kills + moments.randint(1, IN_A_ROW)
        while kills < min(most, KILLS):
            before = outputs(stage, tmp_path)
            if not killed(stage, tmp_path, moments, seconds, of_worker):
                break
            kills += 1
            assert name == "train" or kept(stage, tmp_path, before) == len(before)
        before = outputs(stage, tmp_path)
        outcome = run(stage, tmp_path)
        assert outcome.code == 0, outcome.stderr
        assert contents(tmp_path / stage.output) == expected
        runs += 1
        finished += count(before)
        not_again += resumed_epochs(outcome) if name == "train" else kept(stage, tmp_path, before)
        with capsys.disabled():
            whose, what = ", one worker" if of_worker else "", "epochs" if name == "train" else "shards"
            print(
                f"\n{name}{whose}: {kills} kills, {runs} outputs of equal bytes, {not_again} of {finished} {what} kept"
            )
        assert not_again == finished
