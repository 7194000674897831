"""The table of all checks, and the verification that runs them."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from base.errors import DataError
from readers.store import Store
from registry.verify import catalog, copies, files, leaks, records
from registry.verify.evidence import Evidence, gather
from registry.verify.findings import CheckResult, Findings, Report
from registry.verify.reading import holds_clip_audio


def _always(_: Store) -> bool:
    return True


def _has_view(store: Store) -> bool:
    return store.view is not None


def _has_clip_audio(store: Store) -> bool:
    return holds_clip_audio(store.view)


@dataclass(frozen=True)
class Check:
    """One claim about a store.

    Attributes:
        name: its name in reports.
        holds: what holds where the check finds no problem.
        unit: what it looks at.
        look: looks at the evidence and notes what contradicts the claim.
        applies: whether stores like this one make the claim.
    """

    name: str
    holds: str
    unit: str
    look: Callable[[Evidence, Findings], None]
    applies: Callable[[Store], bool] = _always


CHECKS: Final = (
    Check("files", "each shard is there with its name and size, no other one", "shards", files.check_files),
    Check("hashes", "SHA-256 of shards and tables as the manifest has it", "files", files.check_hashes),
    Check("checksums", "CRC-32C of each record's length and data", "records", records.check_checksums),
    Check("records", "each record has its fields, of their types and shapes", "records", records.check_records),
    Check("values", "finite numbers, zeros after a waveform's real length", "records", records.check_values),
    Check("ranges", "label and length in range", "records", records.check_ranges),
    Check("counts", "all files count the records that are there", "counts", files.check_counts),
    Check("ids", "no id twice", "ids", catalog.check_ids),
    Check("catalog", "each record is that of its row, each row has its record", "rows", catalog.check_catalog),
    Check("audio", "SHA-256 of the audio as the catalog has it", "clips", catalog.check_audio, _has_clip_audio),
    Check(
        "quality",
        "loudness, noise and cut edges as the catalog has them",
        "clips",
        catalog.check_quality,
        _has_clip_audio,
    ),
    Check("classes", "each label is that of the clip's word", "labels", catalog.check_classes, _has_view),
    Check("balance", "as many records of each class as were selected", "counts", catalog.check_balance, _has_view),
    Check("speakers", "no speaker in two splits", "speakers", leaks.check_speakers, _has_view),
    Check("duplicates", "no clip and no equal audio in two splits", "clips", leaks.check_duplicates, _has_view),
    Check("silence", "no second of a noise recording in two splits", "clips", leaks.check_silence, _has_view),
    Check("copies", "each in train, as its parent, of one word and speaker", "clips", copies.check_copies),
    Check("statistics", "equal to those of the records", "splits", files.check_statistics, _has_view),
    Check("metadata", "the files for TensorFlow Datasets follow from the manifest", "files", files.check_metadata),
    Check("version", "follows from the definition", "versions", files.check_version),
)
"""In the order in which they are shown."""


def verify(store: Store, advance: Callable[[int], object]) -> Report:
    """Check all that a store says about itself.

    Memory does not grow with the records: what is known of each, some 400 bytes, waits in a temporary file (`TMPDIR`).

    Args:
        store: a finished store.
        advance: called with the number of records done.

    Returns:
        The result of every check that applies to the store.

    Raises:
        DataError: there is no room for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="verify-") as folder, _naming_lack_of_room(folder):
        evidence = gather(store, folder, advance)
        results = tuple(_result(check, evidence) for check in CHECKS if check.applies(store))
    shards = store.manifest.shards
    return Report(store.path, store.name, store.version, sum(each.records for each in shards), len(shards), results)


@contextmanager
def _naming_lack_of_room(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        place = Path(folder).parent
        raise DataError(f"no room left for temporary files in {place}: set TMPDIR to a folder with more") from error


def _result(check: Check, evidence: Evidence) -> CheckResult:
    findings = Findings()
    check.look(evidence, findings)
    problems, remarks = tuple(findings.problems), tuple(findings.remarks)
    return CheckResult(check.name, check.holds, check.unit, findings.looked_at, problems, remarks)
