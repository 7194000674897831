"""Runs `dvc repro` and ends with what came out: seconds of each stage, accuracy of each model, where pictures are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import click
from tabulate import tabulate

import command
import params
from features.errors import DataError

_RUNNING = re.compile(r"Running stage '(?P<stage>[^']+)'")


def timed_repro(arguments: tuple[str, ...]) -> tuple[int, dict[str, float]]:
    """Run `dvc repro`, passing on what it prints.

    Args:
        arguments: further arguments of `dvc repro`.

    Returns:
        Its exit code, and the seconds of each stage that ran, in order.
    """
    dvc = [sys.executable, "-m", "dvc", "repro", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    seconds: dict[str, float] = {}
    stage, started = None, time.monotonic()
    with subprocess.Popen(dvc, stdout=subprocess.PIPE, text=True, env=environment) as process:
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
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    return (
        f"{model}: accuracy {metrics['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}) "
        f"on N = {metrics['clips']} test clips"
    )


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("dvc_options", nargs=-1, type=click.UNPROCESSED)
def main(dvc_options: tuple[str, ...]) -> None:
    """Run the whole chain and say what came out. Further options are those of `dvc repro`."""
    models = params.load().models
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


if __name__ == "__main__":
    command.run(main)
