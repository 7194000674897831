"""`python -m features validate`: looks for skew between the splits of a store and for drift from another store."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

import command
import params
from features.commands.output import json_option, show_json, show_table
from features.errors import DataError
from features.metadata import to_json
from features.registry.drift import REFERENCE_SPLIT, Comparison, comparable, drift, metrics, skew
from features.registry.measures import Thresholds
from features.registry.profile import Profile, profile
from features.store import open as open_store

_HEADERS: Final = ("split", "clips", "against", "clips", "measure", "at", "value", "threshold", "by chance", "ok")


@click.command()
@click.argument("store")
@click.option("--against", help="Another store, a folder of stores, or what --json printed of one.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the values as JSON for DVC.")
@json_option
def main(store: str, against: str | None, output: Path | None, as_json: bool) -> None:
    """Compare the splits of STORE with its train split, and each split with that of another store.

    The thresholds are in params.yaml under validate. A value may exceed its threshold by what chance explains with so
    many clips. Exit code 1 says that one exceeds both together.
    """
    numbers = params.load().validate
    found = profile(open_store(store))
    reference = against or numbers.against
    comparisons = skew(found, numbers.thresholds)
    if reference:
        comparisons += _drift(found, _reference_profile(reference, found.store), reference, numbers.thresholds)
    if not comparisons:
        raise DataError(f"{store} has no other split than {REFERENCE_SPLIT}: name another store with --against")
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(to_json(metrics(comparisons)), encoding="utf-8")
    if as_json:
        show_json({"profile": found.to_dict(), "comparisons": [asdict(each) for each in comparisons]})
    else:
        show_table([_row(each) for each in comparisons], _HEADERS)
    _judge(store, comparisons)


def _drift(found: Profile, reference: Profile, place: str, thresholds: Thresholds) -> list[Comparison]:
    comparisons = drift(found, reference, thresholds)
    if not comparisons:
        raise DataError(
            f"{place} has the splits {', '.join(reference.splits)}, expected one of {', '.join(found.splits)}"
        )
    if not comparable(found, reference):
        command.say(
            f"{place} has another definition ({reference.version}, here {found.version}): its coefficients are not "
            f"compared"
        )
    return comparisons


def _reference_profile(place: str, name: str) -> Profile:
    """The profile of a store, of the store of that name in a folder of stores, or in what `--json` printed of one."""
    if place.endswith(".json"):
        return _printed_profile(Path(place))
    inside = os.path.join(place, name)
    return profile(open_store(inside if os.path.isdir(inside) else place))


def _printed_profile(path: Path) -> Profile:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}): print it with validate --json") from error
    return Profile.from_dict(content.get("profile") if isinstance(content, dict) else None, str(path))


def _row(each: Comparison) -> tuple[object, ...]:
    return (
        each.split,
        each.clips,
        each.against,
        each.against_clips,
        each.measure,
        each.at,
        each.value,
        each.threshold,
        each.chance,
        each.ok,
    )


def _judge(store: str, comparisons: Sequence[Comparison]) -> None:
    """Say what exceeds its limit.

    Raises:
        DataError: something does.
    """
    exceeded = [each for each in comparisons if not each.ok]
    for each in exceeded:
        place = f" ({each.at})" if each.at else ""
        command.say(
            f"{each.kind}: {each.split} against {each.against}: {each.measure}{place} is {each.value:.3g}, at most "
            f"{each.threshold:.3g} (and {each.chance:.2g} by chance): {each.advice}"
        )
    if exceeded:
        raise DataError(f"{store}: {len(exceeded)} of {len(comparisons)} measures exceed their threshold")
