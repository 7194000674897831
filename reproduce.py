"""Runs `dvc repro` and says what came out: seconds of each stage, accuracy of each model, where its files are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from ruamel.yaml import YAML
from tabulate import tabulate

from base import command, params
from base.errors import DataError

LOCK_FILE: Final = "dvc.lock"
_RUNNING: Final = re.compile(r"Running stage '(?P<stage>[^']+)'")


def timed_repro(arguments: tuple[str, ...], folder: Path = Path()) -> tuple[int, dict[str, float]]:
    """Run `dvc repro`, passing on what it prints.

    Args:
        arguments: further arguments of `dvc repro`.
        folder: where to run it.

    Returns:
        Its exit code, and the seconds of each stage that ran, in order.
    """
    dvc = [sys.executable, "-m", "dvc", "repro", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    seconds: dict[str, float] = {}
    stage, started = None, time.monotonic()
    with subprocess.Popen(dvc, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder) as process:
        for line in process.stdout or ():
            click.echo(line, nl=False)
            if match := _RUNNING.search(line):
                now = time.monotonic()
                if stage:
                    seconds[stage] = now - started
                stage, started = match["stage"], now
    if stage:
        seconds[stage] = time.monotonic() - started
    return process.returncode, seconds


def result_line(model: str, metrics: dict[str, float]) -> str:
    """One model's accuracy on the test clips, with its interval and N."""
    low, high = metrics["low"], metrics["high"]
    return (
        f"{model}: accuracy {metrics['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}) "
        f"on N = {metrics['clips']} test clips"
    )


def committed_lock() -> dict[str, Any]:
    """The stages of the lock file that the last commit holds; none outside a repository, or where it holds no lock."""
    shown = subprocess.run(["git", "show", f"HEAD:./{LOCK_FILE}"], capture_output=True, text=True, check=False)
    return dict(YAML(typ="safe", pure=True).load(shown.stdout)["stages"]) if shown.returncode == 0 else {}


def lock_remark(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Why the lock file differs from the committed one, or None where it does not.

    Args:
        before, after: stage → its entry, in the order of the file.
    """
    if before == after:
        return None
    other_inputs = []
    for name, entry in after.items():
        old = before.get(name, {})
        made_from = [{key: value for key, value in each.items() if key != "outs"} for each in (old, entry)]
        if made_from[0] != made_from[1]:
            other_inputs.append(name)
        elif old.get("outs") != entry.get("outs"):
            return (
                f"{LOCK_FILE} has changed: {name} gave other bytes than on the machine that wrote the committed file; "
                "features and weights differ in their last bits from one kind of processor to another"
            )
    if other_inputs:
        names = ", ".join(other_inputs)
        return f"{LOCK_FILE} has changed: other code, parameters or inputs than in the last commit went into {names}"
    return f"{LOCK_FILE} has changed: it has other stages than in the last commit"


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("dvc_options", nargs=-1, type=click.UNPROCESSED)
def main(dvc_options: tuple[str, ...]) -> None:
    """Run the whole chain and say what came out. Further options are those of `dvc repro`."""
    models = params.load("models", dict[str, Any])
    exit_code, seconds = timed_repro(dvc_options)
    if exit_code:
        raise DataError(f"dvc repro ended with exit code {exit_code}: its last lines say why")
    rows = [*seconds.items(), ("all", sum(seconds.values()))]
    click.echo()
    click.echo(tabulate(rows, headers=("stage", "seconds"), floatfmt=".0f"))
    for model in models:
        folder = Path("evaluation") / model
        click.echo(f"\n{result_line(model, json.loads((folder / 'metrics.json').read_text()))}")
        click.echo(f"pictures: {folder / 'report.html'}")
        click.echo(f"try it: python -m serving.predict {Path('exports') / model} FILE.wav")
    if remark := lock_remark(committed_lock(), params.read_yaml(Path(LOCK_FILE))["stages"]):
        click.echo(f"\n{remark}")


if __name__ == "__main__":
    command.run(main)
