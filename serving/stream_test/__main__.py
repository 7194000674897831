"""`python -m serving.stream_test`: misses and false accepts per hour of a model that listens to continuous audio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import click

from base import command, params
from serving.stream_test import cost, summary, thresholds
from serving.stream_test.listening import listener
from serving.stream_test.settings import RULES, RulesName, StreamNumbers, numbers_of


@click.command()
@click.argument("export", type=click.Path(path_type=Path))
@click.argument("features")
@click.argument("clips")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rules", "rules_name", type=click.Choice(get_args(RulesName)), default="house", show_default=True)
@click.option("--word", help="Listen for this word alone; the model's other words are then unknown ones.")
@click.option("--speech", type=click.Path(path_type=Path), help="Folder of long recordings without any of the words.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Of words, instead of stream_test.hours.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Processes, one core each.")
def main(
    export: Path,
    features: str,
    clips: str,
    folder: Path,
    rules_name: RulesName,
    word: str | None,
    speech: Path | None,
    hours: float | None,
    workers: int,
) -> None:
    """Let the export in EXPORT listen to hours of words over noise, and write into FOLDER what it misses and mishears.

    FEATURES is the store that the model was trained on, CLIPS the store of clips that FEATURES were made from. A stream
    of the validation split chooses the thresholds, one of the test split is what is reported. The section stream_test
    of params.yaml says what they are made of.
    """
    numbers: StreamNumbers = numbers_of(rules_name, params.load("stream_test", StreamNumbers))
    numbers = numbers if hours is None else replace(numbers, hours=hours)
    listening = listener(export, features, clips, numbers, RULES[rules_name], word, workers)
    validation, test = (listening.listen(split, speech, folder) for split in ("validation", "test"))
    curves = {"validation": thresholds.sweep(validation), "test": thresholds.sweep(test)}
    most = numbers.false_accepts_per_hour
    for_all = thresholds.for_all(curves["validation"], validation.stream.hours, most)
    of_each = thresholds.for_each(validation, for_all, most)
    measured = cost.measured(export, listening.rules.listening.step_ms)
    found = summary.summary(listening, rules_name, validation, test, of_each, for_all, measured)
    outcome = test.outcome(of_each)
    summary.write(folder, found, curves, outcome)
    click.echo(summary.for_people(found, outcome), nl=False)


if __name__ == "__main__":
    command.run(main)
