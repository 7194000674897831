"""Ranks and DataLoader workers share a split's shards without overlap or loss, in an order that can be repeated."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from letter_store import expected_ids, letter_store, record_of

from base.errors import DataError
from readers.store import Store

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: run `make test-torch`")

from torch.utils.data import DataLoader  # noqa: E402

from readers.torch_dataset import _tensors, shuffled  # noqa: E402

FEW_SHARDS = (4, 3)
MANY_SHARDS = (3, 0, 5, 1, 4, 2, 0, 6, 1, 3, 2)
CONSUMERS = pytest.mark.parametrize(
    ("workers", "ranks"), [(workers, ranks) for workers in (0, 1, 2, 3) for ranks in (1, 2, 3)]
)
STORES = pytest.mark.parametrize("counts", [FEW_SHARDS, MANY_SHARDS], ids=["few shards", "many shards"])
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
"""Said of more workers than cores."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, ...], Store]:
    return {counts: letter_store(tmp_path_factory.mktemp("letters"), counts) for counts in (FEW_SHARDS, MANY_SHARDS)}


def ids(dataset: Any, workers: int = 0, **options: Any) -> list[str]:
    """The ids of one pass, by a DataLoader."""
    loader = DataLoader(dataset, batch_size=None, num_workers=workers, **options)
    return [name for batch in loader for name in batch["id"]]


@STORES
@CONSUMERS
@pytest.mark.parametrize("shuffle", [0, 5])
def test_ranks_and_workers_together_read_each_record_once(
    stores: dict[tuple[int, ...], Store], counts: tuple[int, ...], workers: int, ranks: int, shuffle: int
) -> None:
    datasets = [
        stores[counts].torch("train", 2, shuffle=shuffle, seed=1, columns=("id",), rank=rank, ranks=ranks)
        for rank in range(ranks)
    ]
    assert sorted(name for dataset in datasets for name in ids(dataset, workers)) == sorted(expected_ids(counts))


@STORES
@pytest.mark.parametrize("workers", [0, 2])
def test_an_order_follows_from_seed_epoch_and_division(
    stores: dict[tuple[int, ...], Store], counts: tuple[int, ...], workers: int
) -> None:
    def order(seed: int, epoch: int) -> list[str]:
        dataset = stores[counts].torch("train", 2, shuffle=4, seed=seed, columns=("id",))
        dataset.set_epoch(epoch)
        return ids(dataset, workers)

    orders = {(seed, epoch): order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)}
    assert orders == {(seed, epoch): order(seed, epoch) for seed, epoch in orders}
    assert len({tuple(each) for each in orders.values()}) == 4


def test_a_new_epoch_reaches_workers_that_outlive_the_last_one(stores: dict[tuple[int, ...], Store]) -> None:
    dataset = stores[MANY_SHARDS].torch("train", 2, shuffle=4, columns=("id",))
    loader = DataLoader(dataset, batch_size=None, num_workers=2, persistent_workers=True)
    orders = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        orders.append([name for batch in loader for name in batch["id"]])
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_workers_may_be_spawned(stores: dict[tuple[int, ...], Store]) -> None:
    dataset = stores[FEW_SHARDS].torch("train", 2, columns=("id",))
    assert sorted(ids(dataset, 2, multiprocessing_context="spawn")) == sorted(expected_ids(FEW_SHARDS))


@STORES
def test_without_shuffling_the_order_is_that_of_the_shards(
    stores: dict[tuple[int, ...], Store], counts: tuple[int, ...]
) -> None:
    assert ids(stores[counts].torch("train", 3)) == expected_ids(counts)


def test_batches_hold_the_tensors_of_the_records_and_texts_as_str(stores: dict[tuple[int, ...], Store]) -> None:
    batches = list(stores[FEW_SHARDS].torch("train", 3))
    assert [len(batch["id"]) for batch in batches] == [3, 3, 1]
    for name, dtype in {"mfcc": torch.float32, "label": torch.int64, "length": torch.int64}.items():
        found = torch.cat([batch[name] for batch in batches])
        expected = [record_of(shard, place)[name] for shard, count in enumerate(FEW_SHARDS) for place in range(count)]
        assert found.dtype == dtype and np.array_equal(found.numpy(), np.stack(expected))
    assert [name for batch in batches for name in batch["id"]] == expected_ids(FEW_SHARDS)


@pytest.mark.parametrize("workers", [0, 1])
def test_single_records_are_what_a_dataloader_makes_batches_of(
    stores: dict[tuple[int, ...], Store], workers: int
) -> None:
    store = stores[FEW_SHARDS]
    assert [record["id"] for record in store.torch("train")] == expected_ids(FEW_SHARDS)
    assert next(iter(store.torch("train")))["mfcc"].shape == (25, 12)
    made = list(DataLoader(store.torch("train"), batch_size=3, num_workers=workers))
    ready = list(DataLoader(store.torch("train", 3), batch_size=None, num_workers=workers))
    assert len(made) == len(ready) == 3
    for left, right in zip(made, ready, strict=True):
        assert left["id"] == right["id"] and left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in ("mfcc", "label", "length"))


def test_the_length_is_that_of_a_pass_and_unknown_where_ranks_differ(stores: dict[tuple[int, ...], Store]) -> None:
    store = stores[MANY_SHARDS]
    for batch in (None, 1, 4, 100):
        assert len(store.torch("train", batch)) == len(list(store.torch("train", batch)))
    assert len(DataLoader(store.torch("train"), batch_size=4)) == len(store.torch("train", 4))
    divided = store.torch("train", 4, rank=0, ranks=2)
    with pytest.raises(TypeError, match="has no length"):
        len(divided)
    assert 0 < len(list(divided)) < len(store.torch("train", 4))


def test_the_ranks_are_those_of_torch_distributed(stores: dict[tuple[int, ...], Store], tmp_path: Path) -> None:
    store = stores[FEW_SHARDS]
    assert (store.torch("train").rank, store.torch("train").ranks) == (0, 1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        assert (store.torch("train").rank, store.torch("train").ranks) == (0, 1)
        assert (store.torch("train", rank=1, ranks=2).rank, store.torch("train", rank=1, ranks=2).ranks) == (1, 2)
    finally:
        torch.distributed.destroy_process_group()


def _read_rank(rank: int, folder: str, group: str, results: Any) -> None:
    """What one of two processes of torch.distributed reads."""
    from readers.store import open_store

    torch.distributed.init_process_group("gloo", init_method=f"file://{group}", rank=rank, world_size=2)
    results.put(list(open_store(folder).torch("train", columns=("id",))))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_of_torch_distributed_share_a_split(stores: dict[tuple[int, ...], Store], tmp_path: Path) -> None:
    context = torch.multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = (stores[MANY_SHARDS].path, str(tmp_path / "group"), results)
    running = torch.multiprocessing.spawn(_read_rank, arguments, nprocs=2, join=False)
    parts = [[record["id"] for record in results.get(timeout=60)] for _ in range(2)]
    while not running.join():
        pass
    assert all(parts) and sorted(parts[0] + parts[1]) == sorted(expected_ids(MANY_SHARDS))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3), max_size=30), st.integers(1, 40), st.integers(0, 9))
def test_shuffling_keeps_every_item_and_none_comes_much_too_early(items: list[bytes], size: int, seed: int) -> None:
    numbered = [bytes([place]) + item for place, item in enumerate(items)]
    found = list(shuffled(numbered, size, random.Random(seed)))
    assert sorted(found) == numbered
    assert all(found.index(item) > place - size for place, item in enumerate(numbered))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch": 0}, "a batch of 0 records"),
        ({"shuffle": -1}, "shuffle is -1"),
        ({"rank": 2, "ranks": 2}, "rank 2 of 2; ranks count from 0"),
        ({"rank": 0}, "give both or neither"),
        ({"columns": ("audio",)}, "has no field audio"),
    ],
)
def test_what_makes_no_sense_is_refused(
    stores: dict[tuple[int, ...], Store], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        stores[FEW_SHARDS].torch("train", **options)


def test_damage_is_named_by_file_and_byte_also_from_a_worker(tmp_path: Path) -> None:
    store = letter_store(tmp_path, (2,))
    name = store.shards("train")[0].file
    content = bytearray((tmp_path / name).read_bytes())
    content[100] ^= 1
    (tmp_path / name).write_bytes(content)
    for workers in (0, 1):
        with pytest.raises(DataError, match=f"{name} is damaged at byte 0: the data does not match its checksum"):
            ids(store.torch("train", 1), workers)


IMPORTS = """
import sys
from readers.store import open_store
next(iter(open_store(sys.argv[1]).torch("train", 2, shuffle=3)))
print(sorted({name.partition(".")[0] for name in sys.modules} & {"tensorflow", "apache_beam", "pyarrow"}))
"""


def test_reading_with_pytorch_imports_neither_tensorflow_nor_beam_nor_pyarrow(
    stores: dict[tuple[int, ...], Store],
) -> None:
    root = str(Path(__file__).parent.parent)
    call = [sys.executable, "-c", IMPORTS, stores[FEW_SHARDS].path]
    assert subprocess.run(call, cwd=root, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_whole_numbers_without_a_sign_come_as_int32() -> None:
    values = np.array([[0, 1], [40_000, 65_535]], np.uint16)
    tensor = _tensors(values)
    assert tensor.dtype == torch.int32 and tensor.tolist() == values.tolist()
