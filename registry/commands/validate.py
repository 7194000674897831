"""`python -m registry validate`: looks for skew between the splits of a store and for drift from another store."""

from __future__ import annotations

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports that take seconds

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Final

import click

from base import command, files, params
from base.claim import claimed, work_of_file
from base.errors import DataError
from readers.store import open_store
from registry.commands.output import json_option, show_json, show_table
from registry.drift.comparison import REFERENCE_SPLIT, Verdict, comparable, drift, skew
from registry.drift.measures import Thresholds, Validate
from registry.drift.profile import Profile, profile

_HEADERS: Final = ("split", "clips", "against", "clips", "measure", "at", "value", "threshold", "by chance", "ok")


@click.command()
@click.argument("store")
@click.option("--against", help="Another store, a folder of stores, or what --json printed of one.")
@click.option("--output", type=click.Path(dir_okay=False), help="Write a row for each comparison into this CSV file.")
@json_option
def main(store: str, against: str | None, output: str | None, as_json: bool) -> None:
    """Compare the splits of STORE with its train split, and each split with that of another store.

    The thresholds are in params.yaml under validate. A value may exceed its threshold by what sampling error
    explains with this number of clips. Exit code 1 says that one exceeds both together.
    """
    section = params.load("validate", Validate)
    found = profile(open_store(store))
    reference = against or section.against
    verdicts = skew(found, section.thresholds)
    if reference:
        verdicts += _drift(found, _reference_profile(reference, found.store), reference, section.thresholds)
    if not verdicts:
        raise DataError(f"{store} has no other split than {REFERENCE_SPLIT}: name another store with --against")
    if output:
        with claimed(output, work_of_file(output), partial(_foreign, output, verdicts)):
            files.write_text(output, _csv(verdicts))
    if as_json:
        show_json({"profile": found.to_dict(), "comparisons": [asdict(each) for each in verdicts]})
    else:
        show_table([_row(each) for each in verdicts], _HEADERS)
    _judge(store, verdicts)


def _foreign(path: str, verdicts: Sequence[Verdict]) -> str | None:
    """A path, if there is something at it that is no such table."""
    header = _csv(verdicts).partition("\n")[0].encode()
    return path if files.is_file(path) and files.read_bytes(path).partition(b"\n")[0] != header else None


def _csv(verdicts: Sequence[Verdict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(verdicts[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(each) for each in verdicts)
    return text.getvalue()


def _drift(found: Profile, reference: Profile, place: str, thresholds: Thresholds) -> list[Verdict]:
    verdicts = drift(found, reference, thresholds)
    if not verdicts:
        raise DataError(
            f"{place} has the splits {', '.join(reference.splits)}, expected one of {', '.join(found.splits)}"
        )
    if not comparable(found, reference):
        command.say(
            f"{place} has another definition ({reference.version}, here {found.version}): its coefficients are not "
            f"compared"
        )
    return verdicts


def _reference_profile(place: str, name: str) -> Profile:
    """The profile of a store, of the store of that name in a folder of stores, or in what `--json` printed of one."""
    if place.endswith(".json"):
        return _printed_profile(place)
    inside = files.join(place, name)
    return profile(open_store(inside if files.is_folder(inside) else place))


def _printed_profile(path: str) -> Profile:
    try:
        content = json.loads(files.read_text(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}): print it with validate --json") from error
    return Profile.from_dict(content.get("profile") if isinstance(content, dict) else None, path)


def _row(each: Verdict) -> tuple[object, ...]:
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


def _judge(store: str, verdicts: Sequence[Verdict]) -> None:
    """Say what exceeds its limit.

    Raises:
        DataError: something does.
    """
    exceeded = [each for each in verdicts if not each.ok]
    for each in exceeded:
        place = f" ({each.at})" if each.at else ""
        command.say(
            f"{each.kind}: {each.split} against {each.against}: {each.measure}{place} is {each.value:.3g}, at most "
            f"{each.threshold:.3g} (and {each.chance:.2g} by chance): {each.advice}"
        )
    if exceeded:
        raise DataError(f"{store}: {len(exceeded)} of {len(verdicts)} measures exceed their threshold")


if __name__ == "__main__":
    command.run(main)
