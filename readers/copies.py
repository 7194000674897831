"""Copies among the clips of a store: how many augmentation made of each kind, apart from the originals."""

from __future__ import annotations

import json
from collections import Counter

from readers.store import Store


def copy_counts(store: Store) -> dict[str, dict[str, int]]:
    """The copies of each split by kind; of a store that holds originals alone, no split.

    Raises:
        DataError: the catalog is missing or damaged.
    """
    columns = ("augmentation",) if store.view is None else ("augmentation", "split")
    table = store.catalog(columns)
    splits = table.column("split").to_pylist() if store.view else [store.splits[0]] * len(table)
    made = zip(splits, table.column("augmentation").to_pylist(), strict=True)
    counts = Counter((split, json.loads(how)["kind"]) for split, how in made if how is not None)
    return {
        split: {kind: counts[split, kind] for of, kind in sorted(counts) if of == split}
        for split in store.splits
        if any(of == split for of, _ in counts)
    }
