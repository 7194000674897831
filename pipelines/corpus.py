"""The stage `corpus`: puts the raw archive in place, be it synthesised, downloaded and checked, or a local file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import click

import command
import params
from features.errors import DataError
from pipelines import download, synthesis
from pipelines.layouts import CORPUS_FILE

SYNTHETIC: Final = "synthetic"
SYNTHETIC_FILE: Final = "synthetic_speech_commands.tar.gz"

Role: TypeAlias = Literal["main", "test"]

RELEASES: Final[dict[Role, dict[str, download.Release]]] = {
    "main": {
        "speech_commands_v0.02": download.Release(
            file="speech_commands_v0.02.tar.gz",
            bytes=2_428_923_189,
            sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            license="CC BY 4.0",
        ),
        "speech_commands_v0.01": download.Release(
            file="speech_commands_v0.01.tar.gz",
            bytes=1_489_096_277,
            sha256="743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
            license="CC BY 4.0",
        ),
    },
    "test": {
        "speech_commands_test_set_v0.02": download.Release(
            file="speech_commands_test_set_v0.02.tar.gz",
            bytes=112_563_277,
            sha256="cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
            license="CC BY 4.0",
        ),
    },
}

_GZIP_MAGIC = b"\x1f\x8b"
_LOCAL_ENDINGS = (".tar.gz", ".tgz")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """Where one archive comes from: its role, what params.yaml says of it, and its name in the output folder."""

    role: Role
    given: str
    file: str

    @property
    def kind(self) -> str:
        """How corpus.json names it: "synthetic", the name of an official release, or "local"."""
        return self.given if self.given == SYNTHETIC or self.given in RELEASES[self.role] else "local"


@dataclass(frozen=True)
class Archive:
    """One archive in the output folder, as corpus.json describes it; the license is None where it is not known."""

    file: str
    role: Role
    bytes: int
    sha256: str
    source: str
    license: str | None


def resolve(role: Role, given: str) -> Source:
    """What a value of corpus.source ("main") or corpus.test_source ("test") means.

    Raises:
        DataError: it is neither a known name nor a gzip file whose name ends in .tar.gz or .tgz.
    """
    if role == "main" and given == SYNTHETIC:
        return Source(role, given, SYNTHETIC_FILE)
    if release := RELEASES[role].get(given):
        return Source(role, given, release.file)
    path = Path(given).expanduser()
    _check_local(role, path)
    return Source(role, str(path), path.name)


def _check_local(role: Role, path: Path) -> None:
    key, names = ("source", [SYNTHETIC, *RELEASES[role]]) if role == "main" else ("test_source", [*RELEASES[role]])
    if not path.is_file():
        raise DataError(f"corpus.{key} is {str(path)!r}: no such file, and not one of {', '.join(names)}")
    if not path.name.endswith(_LOCAL_ENDINGS):
        raise DataError(f"corpus.{key} is {str(path)!r}: expected a name that ends in {' or '.join(_LOCAL_ENDINGS)}")
    with path.open("rb") as file:
        start = file.read(len(_GZIP_MAGIC))
    if start != _GZIP_MAGIC:
        raise DataError(f"{path} is not a gzip file: it begins with {start!r}, expected {_GZIP_MAGIC!r}; make it anew")


def sources(config: params.Corpus) -> list[Source]:
    """The archives that the parameters ask for, the main one first.

    Raises:
        DataError: a value is neither a known name nor a usable file, or both archives have the same file name.
    """
    found = [resolve("main", config.source)]
    if config.test_source is not None:
        found.append(resolve("test", config.test_source))
    if len({source.file for source in found}) < len(found):
        raise DataError(f"corpus.source and corpus.test_source are both named {found[0].file}: rename one of the files")
    return found


def clear(folder: Path, wanted: Iterable[str]) -> None:
    """Remove from the output folder what earlier runs put there and is not wanted now, and corpus.json in any case.

    Args:
        folder: the output folder.
        wanted: file names to keep, with the parts of them that have arrived.

    Raises:
        DataError: the folder holds something else; nothing was removed.
    """
    kept = _with_parts(wanted)
    released = [release.file for by_name in RELEASES.values() for release in by_name.values()]
    known = _with_parts([CORPUS_FILE, SYNTHETIC_FILE, *released, *_listed(folder)])
    superfluous = [path for path in sorted(folder.iterdir()) if path.name not in kept and not path.name.startswith(".")]
    for path in superfluous:
        if path.name not in known:
            raise DataError(f"{path} was not put there by this command: move it away, or give another folder")
    for path in superfluous:
        path.unlink()


def _with_parts(names: Iterable[str]) -> set[str]:
    return {name + suffix for name in names for suffix in ("", download.PART_SUFFIX)}


def _listed(folder: Path) -> list[str]:
    try:
        return [str(archive["file"]) for archive in json.loads((folder / CORPUS_FILE).read_text())["archives"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def place(source: Source, folder: Path, config: params.Corpus) -> Archive:
    """Put one archive into the output folder and describe it.

    Raises:
        DataError: the download failed, or eSpeak NG does not work on this machine.
    """
    if release := RELEASES[source.role].get(source.given):
        download.fetch(release, folder)
        return Archive(release.file, source.role, release.bytes, release.sha256, source.kind, release.license)
    target = folder / source.file
    with written(target) as part:
        if source.kind == SYNTHETIC:
            synthesis.write_archive(part, config.synthesis)
        else:
            copy(Path(source.given), part)
    digest = download.sha256(target)
    return Archive(source.file, source.role, target.stat().st_size, digest, source.kind, _license(source, digest))


def _license(source: Source, sha256: str) -> str | None:
    if source.kind == SYNTHETIC:
        return synthesis.LICENSE_ID
    by_content = {release.sha256: release.license for by_name in RELEASES.values() for release in by_name.values()}
    return by_content.get(sha256)


def copy(source: Path, target: Path) -> None:
    """Copy a file with a progress bar."""
    with (
        source.open("rb") as reader,
        target.open("wb") as writer,
        command.progress_bar(source.stat().st_size, "B", f"copying {source.name}") as bar,
    ):
        while block := reader.read(_BLOCK_BYTES):
            writer.write(block)
            bar.update(len(block))


@contextmanager
def written(target: Path) -> Iterator[Path]:
    """A temporary name in the target's folder, renamed to the target at the end, or removed after an error.

    The target itself is never opened: it may be a link into DVC's cache.
    """
    part = target.with_name(target.name + download.PART_SUFFIX)
    part.unlink(missing_ok=True)
    try:
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def describe(folder: Path, archives: Sequence[Archive]) -> None:
    """Write corpus.json, which marks the folder as complete."""
    content = json.dumps({"archives": [asdict(archive) for archive in archives]}, indent=2)
    with written(folder / CORPUS_FILE) as part:
        part.write_text(content + "\n")


@click.command()
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
def main(output: Path) -> None:
    """Put the raw archive that params.yaml names into the folder OUTPUT, with corpus.json to describe it.

    The source is "synthetic" (synthesised here), the name of an official release (downloaded), or a local .tar.gz.
    """
    config = params.load().corpus
    wanted = sources(config)
    output.mkdir(parents=True, exist_ok=True)
    clear(output, [source.file for source in wanted])
    archives = [place(source, output, config) for source in wanted]
    describe(output, archives)
    for archive in archives:
        command.say(f"{output / archive.file}: {archive.bytes:,} bytes, SHA-256 {archive.sha256}")


if __name__ == "__main__":
    command.run(main)
