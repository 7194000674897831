"""`python -m registry diff`: how two stores differ."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from typing import Any, Final

import click

from readers.store import open_store
from registry.commands.output import json_option, show_json, show_table
from registry.diff import Change, ComparedClip, Shift, StoreDiff, counts_by_class, diff_stores

_EXAMPLES_WIDTH: Final = 88
_KINDS: Final = {
    "added": "added",
    "removed": "removed",
    "relabeled": "relabeled",
    "moved": "moved",
    "audio": "other audio",
}
_SHIFTS_SHOWN: Final = 6
_LONGEST_CELL: Final = 36
_UNCHANGED: Final = 1e-9


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--exit-code", is_flag=True, help="End with exit code 1 if the stores differ.")
@json_option
def main(first: str, second: str, exit_code: bool, as_json: bool) -> None:
    """Compare the stores FIRST and SECOND: parameters, classes, clips, statistics and sizes.

    Clips are told apart by their ids and catalogs, so different views of the same clips can be compared. Every
    changed clip and coefficient is in --json.
    """
    diff = diff_stores(open_store(first), open_store(second))
    if as_json:
        show_json({**asdict(diff), "differ": diff.differ, "by_class": _by_class(diff)})
    else:
        _show(diff)
    if exit_code and diff.differ:
        sys.exit(1)


def _by_class(diff: StoreDiff) -> list[dict[str, Any]]:
    counts = counts_by_class(diff.clips)
    return [{"split": split, "class": name, **cell} for (split, name), cell in counts.items()]


def _show(diff: StoreDiff) -> None:
    click.echo(f"first   {diff.first}\nsecond  {diff.second}")
    if not diff.differ:
        click.echo("\nNothing differs: every shard is byte-identical, and manifests and catalogs say the same.")
        return
    if diff.identical:
        click.echo("\nEvery shard is byte-identical.")
    _show_parameters(diff)
    _show_classes(diff)
    _show_clips(diff)
    _show_statistics(diff)
    _show_sizes(diff)


def _show_parameters(diff: StoreDiff) -> None:
    rows = [(each.name, _cell(each.before), _cell(each.after)) for each in diff.parameters]
    if rows:
        show_table(rows, ("name", "first", "second"), "Parameters")
    else:
        click.echo("\nParameters: the same")


def _cell(value: Any) -> str:
    text = "none" if value is None else '""' if value == "" else str(value)
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 3]}..."


def _show_classes(diff: StoreDiff) -> None:
    changes = diff.classes
    rows: list[tuple[Any, ...]] = [(name, "added", "", "") for name in changes.added]
    rows += [(name, "removed", "", "") for name in changes.removed]
    rows += [(each.name, "another label", str(each.before), str(each.after)) for each in changes.relabeled]
    if rows:
        show_table(rows, ("class", "change", "first", "second"), "Classes")
    else:
        click.echo("\nClasses: the same")


def _show_clips(diff: StoreDiff) -> None:
    kinds = diff.clips.kinds()
    if not any(kinds.values()):
        click.echo(f"\nClips: the same {diff.clips.same:,}, with the same classes, splits and audio")
        return
    rows = [(_KINDS[kind], len(changes), _examples(changes)) for kind, changes in kinds.items() if changes]
    show_table([("same", diff.clips.same, ""), *rows], ("clips", "number", "such as"), "Clips")
    if moves := Counter((each.before.split, each.after.split) for each in diff.clips.moved):
        counted = [(before, after, count) for (before, after), count in moves.most_common()]
        show_table(counted, ("from", "to", "clips"), "Moves between splits")
    shown = [kind for kind, changes in kinds.items() if changes]
    cells = [(row["split"], row["class"], *(row[kind] for kind in shown)) for row in _by_class(diff)]
    headers = ("split", "class", *(_KINDS[kind] for kind in shown))
    show_table(cells, headers, "Changed clips by split and class, those of the second store where it has the clip")


def _examples(changes: tuple[Change, ...]) -> str:
    """The first changes, as many as a line holds and at least one."""
    text = _example(changes[0])
    for change in changes[1:]:
        longer = f"{text}, {_example(change)}"
        if len(longer) > _EXAMPLES_WIDTH:
            break
        text = longer
    return text


def _example(change: Change) -> str:
    before, after = change.before, change.after
    if not isinstance(before, ComparedClip) or not isinstance(after, ComparedClip):
        return change.name
    if before.class_name != after.class_name:
        return f"{change.name} ({before.class_name} → {after.class_name})"
    if before.split != after.split:
        return f"{change.name} ({before.split} → {after.split})"
    return change.name


def _show_statistics(diff: StoreDiff) -> None:
    if diff.not_compared:
        click.echo(f"\nStatistics: not compared, {diff.not_compared}")
        return
    moved = [each for each in diff.statistics if _moved(each)]
    if not moved:
        click.echo("\nStatistics: the same")
        return
    largest = sorted(moved, key=lambda each: (-abs(each.shift), each.split, each.coefficient))[:_SHIFTS_SHOWN]
    rows = [(each.split, str(each.coefficient), f"{each.shift:+.4f}", f"{each.ratio:.4f}") for each in largest]
    title = f"Statistics: {len(rows)} largest shifts of the mean, of {len(moved)} coefficients that moved"
    show_table(rows, ("split", "coefficient", "shift, in first's std", "ratio of std"), title)


def _moved(shift: Shift) -> bool:
    return abs(shift.shift) > _UNCHANGED or abs(shift.ratio - 1) > _UNCHANGED


def _show_sizes(diff: StoreDiff) -> None:
    rows = [
        (
            each.split,
            *each.records,
            f"{each.records[1] - each.records[0]:+,}",
            *(f"{size / 1e6:,.1f} MB" for size in each.bytes),
        )
        for each in diff.sizes
    ]
    headers = ("split", "records, first", "second", "change", "size, first", "second")
    show_table(rows, headers, "Sizes")
