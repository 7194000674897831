"""The benchmark of the readers counts every record of the split once an epoch and shows each reader that it ran."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_tools import exit_code
from letter_store import letter_store

from benchmarks.readers import READERS, measure
from benchmarks.reading import TORCH_PYTHON, main
from readers.store import Store

COUNTS = (30, 0, 12)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return letter_store(tmp_path_factory.mktemp("letters"), COUNTS)


@pytest.mark.parametrize("reader", ["tf.data", "NumPy", "TensorFlow Datasets"])
def test_an_epoch_of_a_reader_has_every_record(reader: str, store: Store) -> None:
    epochs = READERS[reader](store, None)
    assert [sum(next(epochs)) for _ in range(3)] == [sum(COUNTS)] * 3


def test_measuring_counts_whole_epochs_after_the_first() -> None:
    epochs = iter([iter([100]), iter([3, 2]), iter([4, 1]), iter([5])])
    reading = measure(epochs, 6)
    assert reading.records == 10 and reading.rate == 10 / reading.seconds > 0
    assert list(next(epochs)) == [5]


def test_the_wait_for_the_first_batch_is_that_of_the_epochs_start_alone() -> None:
    def epoch(start_s: float) -> Iterator[int]:
        time.sleep(start_s)
        yield 1
        time.sleep(0.2)
        yield 1

    reading = measure((epoch(start_s) for start_s in (0.3, 0.05, 0.05, 0.15)), 6)
    assert reading.records == 6
    assert 50 <= reading.first_batch_ms < 200


@pytest.mark.slow
def test_the_command_shows_the_readers_that_can_run_here(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rates.json"
    arguments = [store.path, "--records=42", "--repetitions=1", f"--output={output}"]
    assert exit_code(main, *arguments) == 0
    printed = capfd.readouterr()
    read = json.loads(output.read_text())["rates"]
    assert all(len(each["first_batch_ms"]) == 1 and min(each["first_batch_ms"]) > 0 for each in read)
    found = {each["reader"]: each["rates"] for each in read}
    expected = {"tf.data", "NumPy", "TensorFlow Datasets"} | ({"PyTorch"} if TORCH_PYTHON.exists() else set())
    assert found.keys() == expected
    assert all(len(rates) == 1 and min(rates) > 0 for rates in found.values())
    assert all(f"letters  {reader} " in printed.out for reader in expected)
    assert "Hugging Face datasets is left out: --parquet names no export" in printed.err


def test_exports_of_some_stores_only_are_refused(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [store.path, store.path, f"--parquet={store.path}"]
    assert exit_code(main, *arguments) == 1
    assert "error: 1 times --parquet for 2 stores: give it once for each" in capfd.readouterr().err
