"""`python -m registry describe`: everything that a store says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import click
import numpy as np

from readers.store import open_store
from registry.commands.output import json_option, show_json, show_table
from registry.description import Description, describe

_COEFFICIENTS_SHOWN: Final = 8
_RULES_WIDTH: Final = 84


@click.command()
@click.argument("store")
@json_option
def main(store: str, as_json: bool) -> None:
    """Describe STORE: record, definition, classes, statistics, and the way from the archive to it.

    The statistics of every coefficient are in --json; the table shows a few, evenly spread.
    """
    description = describe(open_store(store))
    if as_json:
        show_json(asdict(description))
        return
    _show_head(description)
    _show_record(description)
    _show_classes(description)
    _show_quality(description)
    if description.statistics:
        _show_statistics(description)
    _show_lineage(description)


def _show_head(description: Description) -> None:
    click.echo(f"{description.name} {description.version}\n{description.summary}")
    rows = [
        ("folder", description.path),
        ("license of the audio", description.license or "unknown"),
        ("definition", _rules(description.definition or {}, _RULES_WIDTH) or "clips have none"),
        ("time and values", _rules(description.frames, _RULES_WIDTH)),
    ]
    width = max(len(name) for name, _ in rows) + 2
    for name, text in rows:
        click.echo(f"{name:<{width}}" + text.replace("\n", "\n" + " " * width))
    sizes = [
        (split, count, description.shards[split], f"{description.bytes[split] / 1e6:,.1f} MB")
        for split, count in description.records.items()
    ]
    show_table(sizes, ("split", "records", "shards", "size"), "Splits")
    made = [(split, kind, number) for split, kinds in description.copies.items() for kind, number in kinds.items()]
    if made:
        show_table(made, ("split", "kind", "copies"), "Copies among them, made by augmentation")


def _show_record(description: Description) -> None:
    rows = [
        (field["name"], field["kind"], " × ".join(f"{size:,}" for size in field["shape"]), field["meaning"])
        for field in description.fields
    ]
    show_table(rows, ("field", "kind", "shape", "meaning"), "Record")


def _show_classes(description: Description) -> None:
    splits = list(dict.fromkeys(split for counts in description.classes.values() for split in counts))
    rows: list[tuple[Any, ...]] = [
        (str(label), name, *(counts.get(split, 0) for split in splits), sum(counts.values()))
        for label, (name, counts) in enumerate(description.classes.items())
    ]
    if description.statistics:
        show_table(rows, ("label", "class", *splits, "all"), "Classes by split")
    else:
        show_table([row[1:] for row in rows], ("word", *splits, "all"), "Words by official split")


def _show_quality(description: Description) -> None:
    rows = [
        (split, each.clips, each.snr_tenth_db, each.snr_median_db, each.cut_start, each.cut_end, each.mostly_silent)
        for split, each in description.quality.items()
    ]
    headers = ("split", "clips", "10 % below [dB]", "median [dB]", "cut at start", "cut at end", "mostly silent")
    if rows:
        show_table(rows, headers, "Signal-to-noise estimate of the spoken clips, and speech cut off")


def _show_statistics(description: Description) -> None:
    rows = [(split, each.clips, each.mean, each.std, each.min, each.max) for split, each in description.overall.items()]
    headers = ("mean", "std", "min", "max")
    show_table(rows, ("split", "clips", *headers), f"Statistics, all values ({description.frames['unit']})")
    split, first = next(iter(description.statistics.items()))
    number = len(first["mean"])
    if number == 1:
        return
    places = np.unique(np.linspace(0, number - 1, min(number, _COEFFICIENTS_SHOWN)).round().astype(int)).tolist()
    rows_of_first = [(str(place), *(first[name][place] for name in headers)) for place in places]
    shown = f"{len(places)} of {number}" if number > len(places) else str(number)
    show_table(rows_of_first, (description.axis, *headers), f"Statistics of {split}, {shown}")


def _show_lineage(description: Description) -> None:
    click.echo("\nLineage")
    for step in description.lineage:
        click.echo(f"{step['step']:<11}{step['what']}")
        if step["sha256"]:
            click.echo(f"{'':<11}SHA-256 {step['sha256']}")
        if step["rules"] and step["step"] != "view":
            click.echo(f"{'':<11}" + _rules(step["rules"], _RULES_WIDTH).replace("\n", f"\n{'':<11}"))


def _rules(rules: Mapping[str, Any], width: int) -> str:
    """Rules as "name value, name value", broken into lines before they exceed a width."""
    lines = [""]
    for name, value in _flat(rules):
        part = f"{name} {value}"
        if lines[-1] and len(lines[-1]) + len(part) + 2 > width:
            lines[-1] += ","
            lines.append("")
        lines[-1] += f", {part}" if lines[-1] else part
    return "\n".join(lines)


def _flat(rules: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, text) of each value, names inside others joined by dots."""
    flat: list[tuple[str, str]] = []
    for name, value in rules.items():
        if isinstance(value, Mapping):
            flat += [(f"{name}.{inner}", text) for inner, text in _flat(value)]
        elif isinstance(value, list | tuple):
            flat.append((name, "[" + " ".join(str(each) for each in value) + "]"))
        else:
            flat.append((name, {None: "unknown", "": '""'}.get(value, str(value))))
    return flat
