"""Reads a split by one of the ways to read it, over and over, and prints how fast it gave records and began epochs.

Run by `benchmarks.reading` in a process for each way. Imports no library that the way itself does not need.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from readers.store import Store, open_store

BATCH: Final = 256
SHUFFLE: Final = 1024
SPLIT: Final = "train"

Epochs: TypeAlias = Iterator[Iterator[int]]
"""Without end: for each epoch the number of records in each batch."""


def tf_data(store: Store, _: Path | None) -> Epochs:
    """`Store.dataset`, shuffled."""
    dataset = store.dataset(SPLIT, BATCH, shuffle=SHUFFLE, seed=0)
    while True:
        yield (len(batch["id"]) for batch in dataset)


def numpy(store: Store, _: Path | None) -> Epochs:
    """`Store.numpy`, shuffled."""
    reader, epoch = store.numpy(SPLIT), 0
    while True:
        yield (len(batch["id"]) for batch in reader.batches(BATCH, shuffle=True, epoch=epoch))
        epoch += 1


def pytorch(store: Store, _: Path | None) -> Epochs:
    """`Store.torch`, shuffled, read in this process."""
    from torch.utils.data import DataLoader

    dataset, epoch = store.torch(SPLIT, BATCH, shuffle=SHUFFLE), 0
    while True:
        dataset.set_epoch(epoch)
        yield (len(batch["id"]) for batch in DataLoader(dataset, batch_size=None))
        epoch += 1


def tensorflow_datasets(store: Store, _: Path | None) -> Epochs:
    """The reader of TensorFlow Datasets, which shuffles the files only."""
    import tensorflow_datasets as tfds

    dataset = tfds.builder_from_directory(store.path).as_dataset(split=SPLIT, shuffle_files=True, batch_size=BATCH)
    while True:
        yield (len(batch["id"]) for batch in dataset)


def hugging_face(store: Store, parquet: Path | None) -> Epochs:
    """The library `datasets` on the same clips in Parquet, shuffled; audio files decoded by libsndfile."""
    import datasets

    with tempfile.TemporaryDirectory() as cache:
        files = str(Path(parquet or "") / "data" / f"{SPLIT}-*.parquet")
        table = datasets.load_dataset("parquet", data_files={SPLIT: files}, split=SPLIT, cache_dir=cache)
        if "audio" in table.column_names:
            table = table.cast_column("audio", datasets.Audio(decode=False))
        table, epoch = table.with_format("numpy"), 0
        while True:
            yield (len(_decoded(batch)["id"]) for batch in table.shuffle(seed=epoch).iter(BATCH))
            epoch += 1


def _decoded(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch with its audio files as samples."""
    if "audio" not in batch:
        return batch
    import soundfile

    samples = [soundfile.read(io.BytesIO(each["bytes"]), dtype="int16")[0] for each in batch["audio"]]
    return {**batch, "audio": np.stack(samples)}


READERS: Final[dict[str, Callable[[Store, Path | None], Epochs]]] = {
    "tf.data": tf_data,
    "NumPy": numpy,
    "PyTorch": pytorch,
    "TensorFlow Datasets": tensorflow_datasets,
    "Hugging Face datasets": hugging_face,
}


@dataclass(frozen=True)
class Reading:
    """What reading whole epochs took.

    Attributes:
        records: that were read.
        seconds: for all of them.
        first_batch_ms: milliseconds from the start of an epoch to its first batch, the median.
    """

    records: int
    seconds: float
    first_batch_ms: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds


def measure(epochs: Epochs, records: int) -> Reading:
    """Read whole epochs, with at least this number of records, after one that is not counted."""
    for _ in next(epochs):
        pass
    found, waits_ms, started = 0, [], time.perf_counter()
    while found < records:
        epoch_started = time.perf_counter()
        batches = next(epochs)
        found += next(batches)
        waits_ms.append(1000 * (time.perf_counter() - epoch_started))
        found += sum(batches)
    return Reading(found, time.perf_counter() - started, statistics.median(waits_ms))


def main() -> None:
    """Print the `Reading` of one reader as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("store", type=Path)
    parser.add_argument("records", type=int)
    parser.add_argument("--parquet", type=Path)
    arguments = parser.parse_args()
    epochs = READERS[arguments.reader](open_store(arguments.store), arguments.parquet)
    print(json.dumps(asdict(measure(epochs, arguments.records))))


if __name__ == "__main__":
    main()
