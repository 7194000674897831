"""Fetches an official archive: resumes what broke off, and accepts only the published size and SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from base.command import progress_bar
from base.errors import DataError
from stores.lineage import ArchiveRole

ADDRESS_BASE: Final = "http://download.tensorflow.org/data/"
PART_SUFFIX: Final = ".part"

_FAILURES_IN_A_ROW = 5
_FIRST_PAUSE_S = 0.5
_TIMEOUTS_S = (10, 60)  # to connect, and between two packets
_PASSING_STATUS = {408, 429, 500, 502, 503, 504}
_BLOCK_BYTES = 1 << 20
_PACKET_BYTES = 1 << 16  # what is lost of the last packet when a connection breaks
_OTHER_WAYS = (
    "run the command again, or set corpus.sources in params.yaml to [synthetic] or to local archives "
    "(the test archive may be left out)"
)


@dataclass(frozen=True)
class Release:
    """A published archive.

    Attributes:
        file: its file name.
        bytes: its size.
        sha256: its SHA-256 in hexadecimal digits.
        license: the license of its content.
        role: what it is for.
    """

    file: str
    bytes: int
    sha256: str
    license: str
    role: ArchiveRole = "main"


def fetch(release: Release, folder: Path, base: str = ADDRESS_BASE, first_pause_s: float = _FIRST_PAUSE_S) -> Path:
    """Download an archive unless the folder already holds it.

    What arrives is kept in a file with the suffix ".part" until it is whole, also when the program is interrupted.

    Args:
        release: what to download.
        folder: where to put it.
        base: address of the folder that holds it.
        first_pause_s: pause after the first failure; it doubles with each further failure in a row.

    Returns:
        Path of the archive, whose size and SHA-256 are as published.

    Raises:
        DataError: the host can't be reached, refuses, or offers another file.
    """
    target = folder / release.file
    if is_whole(target, release):
        return target
    part = folder / (release.file + PART_SUFFIX)
    if part.is_file() and part.stat().st_size > release.bytes:
        part.unlink()
    _check_space(folder, release.bytes - _size(part))
    _complete(part, base + release.file, release.bytes, first_pause_s)
    if (digest := sha256(part)) != release.sha256:
        part.unlink()
        raise DataError(
            f"the download of {base}{release.file} has SHA-256 {digest}, expected {release.sha256}; it was deleted: "
            f"{_OTHER_WAYS}"
        )
    os.replace(part, target)
    return target


def is_whole(path: Path, release: Release) -> bool:
    """Whether a file has the size and SHA-256 of an archive."""
    return path.is_file() and path.stat().st_size == release.bytes and sha256(path) == release.sha256


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits, with a progress bar."""
    digest = hashlib.sha256()
    with path.open("rb") as file, progress_bar(path.stat().st_size, "B", f"checking {path.name}") as bar:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def _complete(part: Path, address: str, total: int, first_pause_s: float) -> None:
    failures = 0
    while (size := _size(part)) < total:
        try:
            _append(part, address, total)
        except requests.RequestException as error:
            failures = 1 if _size(part) > size else failures + 1
            if failures == _FAILURES_IN_A_ROW or not _may_pass(error):
                raise DataError(_explain(error, address)) from error
            time.sleep(first_pause_s * 2 ** (failures - 1))


def _append(part: Path, address: str, total: int) -> None:
    """Ask for what is missing and write what comes, until all is there or the connection breaks."""
    # Without "identity" a server may send the archive compressed once more, and its length would be unknown.
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={_size(part)}-"}
    with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUTS_S) as response:
        response.raise_for_status()
        start, offered = _offer(response)
        if offered not in (total, None) or start > _size(part):
            raise DataError(f"{address} offers {offered} bytes from {start}, expected {total}: {_OTHER_WAYS}")
        with part.open("r+b" if start else "wb") as file, progress_bar(total, "B", part.stem) as bar:
            file.truncate(start)
            file.seek(start)
            bar.update(start)
            for block in response.iter_content(_PACKET_BYTES):
                file.write(block)
                bar.update(len(block))
                if file.tell() > total:
                    raise DataError(f"{address} sends more than the expected {total} bytes: {_OTHER_WAYS}")
    if _size(part) < total:
        raise requests.ConnectionError(f"the connection ended after {_size(part)} of {total} bytes")


def _offer(response: requests.Response) -> tuple[int, int | None]:
    """Which byte the body begins with, and how long the whole file is (None if the server does not say)."""
    if response.status_code == requests.codes.partial_content:
        parts = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if parts is None:
            raise requests.ConnectionError("the server does not say which part it sends")
        return int(parts[1]), None if parts[2] == "*" else int(parts[2])
    length = response.headers.get("Content-Length")
    return 0, None if length is None else int(length)


def _may_pass(error: requests.RequestException) -> bool:
    return error.response is None or error.response.status_code in _PASSING_STATUS


def _explain(error: requests.RequestException, address: str) -> str:
    if error.response is not None:
        return f"{address} answered {error.response.status_code} {error.response.reason}: {_OTHER_WAYS}"
    cause = getattr(error.args[0], "reason", error) if error.args else error
    return f"cannot download {address} ({type(cause).__name__}): check the network and {_OTHER_WAYS}"


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(f"{folder} has {free:,} bytes free, the download needs {needed:,}: make room there")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
