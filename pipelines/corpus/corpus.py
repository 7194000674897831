"""The stage `corpus`: puts the raw archive in place, synthesized, downloaded and checked, or copied."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import click
from pydantic import Field
from pydantic.dataclasses import dataclass as checked_dataclass

from base import command, files, params
from base.errors import DataError
from base.types import STRICT
from pipelines.archives import CORPUS_FILE, ENDINGS, GZIP_MAGIC, is_compressed, read_corpus, write_corpus
from pipelines.corpus import download, synthesis
from pipelines.corpus.synthesis import Synthesis
from stores.lineage import Archive, ArchiveRole

SYNTHETIC: Final = "synthetic"
SYNTHETIC_FILE: Final = "synthetic_speech_commands.tar.gz"

RELEASES: Final[dict[ArchiveRole, dict[str, download.Release]]] = {
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


@checked_dataclass(frozen=True, config=STRICT, kw_only=True)
class Corpus:
    """The section `corpus` of params.yaml: where the raw archives come from.

    Attributes:
        source: "synthetic", the name of an official release, or a path to a .tar.gz or .tar; several workers can read
            a large .tar.
        test_source: the official test archive: the name of a release, a path, or null.
        synthesis: the embedded default corpus.
    """

    source: Annotated[str, Field(min_length=1)]
    test_source: str | None
    synthesis: Synthesis


_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """Where one archive comes from: its role, what params.yaml says of it, and its name in the output folder."""

    role: ArchiveRole
    given: str
    file: str

    @property
    def kind(self) -> str:
        """How corpus.json names it: "synthetic", the name of an official release, or "local"."""
        return self.given if self.given == SYNTHETIC or self.given in RELEASES[self.role] else "local"


def resolve(role: ArchiveRole, given: str) -> Source:
    """What a value of corpus.source ("main") or corpus.test_source ("test") means.

    Raises:
        DataError: it is neither a known name nor an archive whose name says its format.
    """
    if role == "main" and given == SYNTHETIC:
        return Source(role, given, SYNTHETIC_FILE)
    if release := RELEASES[role].get(given):
        return Source(role, given, release.file)
    path = Path(given).expanduser()
    _check_local(role, path)
    return Source(role, str(path), path.name)


def _check_local(role: ArchiveRole, path: Path) -> None:
    key, names = ("source", [SYNTHETIC, *RELEASES[role]]) if role == "main" else ("test_source", [*RELEASES[role]])
    if not path.is_file():
        raise DataError(f"corpus.{key} is {str(path)!r}: no such file, and not one of {', '.join(names)}")
    if not path.name.endswith(ENDINGS):
        raise DataError(f"corpus.{key} is {str(path)!r}: expected a name that ends in {' or '.join(ENDINGS)}")
    with path.open("rb") as file:
        start = file.read(len(GZIP_MAGIC))
    if is_compressed(path.name) and start != GZIP_MAGIC:
        raise DataError(f"{path} is not a gzip file: it begins with {start!r}, expected {GZIP_MAGIC!r}; make it again")
    if not is_compressed(path.name):
        _check_tar(path)


def _check_tar(path: Path) -> None:
    try:
        tarfile.open(path, "r:").close()
    except tarfile.ReadError as error:
        raise DataError(f"{path} is not an uncompressed tar archive ({error}); name it by its format") from error


def sources(config: Corpus) -> list[Source]:
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
    superfluous = [path for path in sorted(folder.iterdir()) if path.name not in kept]
    superfluous = [path for path in superfluous if path.name in known or not path.name.startswith(".")]
    for path in superfluous:
        if path.name not in known:
            raise DataError(f"{path} was not put there by this command: move it away, or give another folder")
    for path in superfluous:
        path.unlink()


def _with_parts(names: Iterable[str]) -> set[str]:
    suffix = download.PART_SUFFIX
    return {each for name in names for each in (name, f"{name}{suffix}", f".{name}{suffix}")}


def _listed(folder: Path) -> list[str]:
    try:
        return [archive.file for archive in read_corpus(str(folder))]
    except DataError:
        return []


def place(source: Source, folder: Path, config: Corpus) -> Archive:
    """Put one archive into the output folder and describe it.

    Raises:
        DataError: the download failed, or eSpeak NG does not work on this machine.
    """
    if release := RELEASES[source.role].get(source.given):
        download.fetch(release, folder)
        return Archive(release.file, source.role, release.bytes, release.sha256, source.kind, release.license)
    target = folder / source.file
    with files.published_path(str(target)) as part:
        if source.kind == SYNTHETIC:
            synthesis.write_archive(Path(part), config.synthesis)
        else:
            copy(Path(source.given), Path(part))
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


@click.command()
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
def main(output: Path) -> None:
    """Put the raw archive that params.yaml names into the folder OUTPUT, with corpus.json to describe it.

    The source is "synthetic" (synthesized here), the name of an official release (downloaded), or a local .tar.gz or
    .tar.
    """
    config = params.load("corpus", Corpus)
    wanted = sources(config)
    output.mkdir(parents=True, exist_ok=True)
    clear(output, [source.file for source in wanted])
    archives = [place(source, output, config) for source in wanted]
    write_corpus(str(output), archives)
    for archive in archives:
        command.say(f"{output / archive.file}: {archive.bytes:,} bytes, SHA-256 {archive.sha256}")
