"""The stage `corpus`: puts the raw archives in place, synthesized, downloaded and checked, copied, or packed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import click
from pydantic import Field
from pydantic.dataclasses import dataclass as checked_dataclass

from base import command, files, params
from base.errors import DataError
from base.types import STRICT, Name
from features.splits import hash64
from pipelines import layouts
from pipelines.archives import CORPUS_FILE, FORMATS, described, write_corpus
from pipelines.corpus import download, foreign, local, synthesis
from pipelines.corpus.foreign import Foreign
from pipelines.corpus.synthesis import Synthesis
from stores.lineage import Archive, ArchiveRole, SpeakerPattern

SYNTHETIC: Final = "synthetic"
FOREIGN: Final = "foreign_words"
HELD_OUT: Final = "held_out_foreign_words"
SYNTHETIC_FILES: Final = {
    SYNTHETIC: "synthetic_speech_commands.tar.gz",
    FOREIGN: "synthetic_foreign_words.tar.gz",
    HELD_OUT: "synthetic_held_out_foreign_words.tar.gz",
}
"""What is synthesized here, and the names of the archives."""
OFFICIAL_LAYOUT: Final = "speech_commands"
"""The layout of the releases and of the synthetic archives."""

RELEASES: Final[dict[str, download.Release]] = {
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
    "speech_commands_test_set_v0.02": download.Release(
        file="speech_commands_test_set_v0.02.tar.gz",
        bytes=112_563_277,
        sha256="cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
        license="CC BY 4.0",
        role="test",
    ),
}


@checked_dataclass(frozen=True, config=STRICT, kw_only=True)
class Source:
    """An entry of corpus.sources: an archive, and what can't be seen by looking at it.

    Attributes:
        path: what is synthesized here, the name of an official release, or a path to an archive or a folder.
        role: main, test or noise; by default as the release or the layout has it.
        layout: name of a file of pipelines/layouts, or "auto" to find it by looking.
        corpus: what ids, speakers and recordings bear after an @; by default as the layout or the file's name has it.
        speaker: regular expression with a group "speaker", searched in each path, for layouts whose paths have no place
            for the speaker.
    """

    path: Annotated[str, Field(min_length=1)]
    role: ArchiveRole | None = None
    layout: Name = layouts.AUTO
    corpus: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = None
    speaker: SpeakerPattern | None = None


@checked_dataclass(frozen=True, config=STRICT, kw_only=True)
class Corpus:
    """The section `corpus` of params.yaml: where the raw archives come from.

    Attributes:
        sources: the archives; of a clip that two have, the first is kept. A text stands for an entry with this path.
        synthesis: the embedded default corpus.
        foreign: the synthetic words of other languages.
    """

    sources: Annotated[tuple[str | Source, ...], Field(min_length=1)]
    synthesis: Synthesis
    foreign: Foreign


@dataclass(frozen=True)
class Origin:
    """Where one archive comes from, and what corpus.json will say of it.

    Attributes:
        given: the name of what is synthesized, the name of a release, or a path on this machine.
        file: name of the archive in the output folder.
        role, layout, corpus, speaker: of the archive.
    """

    given: str
    file: str
    role: ArchiveRole
    layout: str
    corpus: str
    speaker: str | None = None

    @property
    def kind(self) -> str:
        """How corpus.json names it: by what is synthesized, the name of an official release, or "local"."""
        return self.given if self.given in SYNTHETIC_FILES or self.given in RELEASES else "local"

    def archive(self, size: int, sha256: str, license_id: str | None) -> Archive:
        """The description of the archive once it is in its place."""
        return Archive(
            self.file, self.role, size, sha256, self.kind, license_id, self.layout, self.corpus, self.speaker
        )


def resolve(source: Source, key: str) -> Origin:
    """What an entry of corpus.sources means.

    Args:
        source: the entry.
        key: its place in params.yaml, for errors.

    Raises:
        DataError: it is neither a known name nor an archive or a folder, or its values contradict one another.
    """
    role: ArchiveRole = "main"
    if source.path in SYNTHETIC_FILES:
        given, file, by_default = source.path, SYNTHETIC_FILES[source.path], OFFICIAL_LAYOUT
    elif release := RELEASES.get(source.path):
        given, file, by_default, role = source.path, release.file, OFFICIAL_LAYOUT, release.role
    else:
        path = Path(source.path).expanduser()
        local.check(path, key, [*SYNTHETIC_FILES, *RELEASES])
        given, file = str(path), f"{path.resolve().name}.tar" if path.is_dir() else path.name
        looks = source.layout == layouts.AUTO
        by_default = local.recognize(path, source.role == "noise") if looks else source.layout
    name = by_default if source.layout == layouts.AUTO else source.layout
    layout = layouts.find(name)
    role = source.role or ("noise" if layout.holds_noise else role)
    _check_consistent(source, key, role, name)
    corpus = _corpus_of(file) if layout.corpus_name is None else layout.corpus_name
    return Origin(given, file, role, name, source.corpus or corpus, source.speaker)


def _check_consistent(source: Source, key: str, role: ArchiveRole, name: str) -> None:
    layout = layouts.find(name)
    if (role == "noise") != layout.holds_noise:
        raise DataError(
            f"{key} has the role {role} and the layout {name}: the layouts of noise are "
            f"{', '.join(layouts.names(noise=True))}, those of speech {', '.join(layouts.names(noise=False))}"
        )
    if layout.corpus_name == "" and (source.corpus or source.speaker):
        raise DataError(f"{key} has a corpus or a speaker, which the layout {name} does not take: remove them")


def _corpus_of(file: str) -> str:
    """The name of a corpus by that of its archive: in small letters and digits, with hyphens for what is neither."""
    stem = next((file.removesuffix(ending) for ending in FORMATS if file.endswith(ending)), file)
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return name or f"corpus-{hash64(stem) % 10**6}"


def origins(config: Corpus) -> list[Origin]:
    """The archives that the parameters ask for, in their order.

    Raises:
        DataError: a value is neither a known name nor a usable archive or folder, or two archives have the same name.
    """
    entries = [Source(path=each) if isinstance(each, str) else each for each in config.sources]
    found = [resolve(each, f"corpus.sources[{number}]") for number, each in enumerate(entries)]
    for number, origin in enumerate(found):
        for before in found[:number]:
            if origin.file == before.file:
                raise DataError(f"two of corpus.sources are named {origin.file}: rename one of them")
            if origin.corpus == before.corpus and not entries[number].corpus and not _is_one_corpus(origin):
                raise DataError(
                    f"{before.file} and {origin.file} are both of the corpus {origin.corpus!r} by their names: "
                    f"say corpus: in one of corpus.sources, the same name if they are parts of one corpus"
                )
    return found


def _is_one_corpus(origin: Origin) -> bool:
    """Whether all archives of a layout are of one corpus."""
    return layouts.find(origin.layout).corpus_name is not None


def clear(folder: Path, wanted: Iterable[str]) -> None:
    """Remove from the output folder what earlier runs put there and is not wanted now, and corpus.json in any case.

    Args:
        folder: the output folder.
        wanted: file names to keep, with the parts of them that have arrived.

    Raises:
        DataError: the folder holds something else; nothing was removed.
    """
    kept = _with_parts(wanted)
    released = [release.file for release in RELEASES.values()]
    known = _with_parts([CORPUS_FILE, *SYNTHETIC_FILES.values(), *released, *_listed(folder)])
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
        return [archive.file for archive in described(str(folder))]
    except DataError:
        return []


def place(origin: Origin, folder: Path, config: Corpus) -> Archive:
    """Put one archive into the output folder and describe it.

    Raises:
        DataError: the download failed, a folder can't be packed, or eSpeak NG does not work on this machine.
    """
    if release := RELEASES.get(origin.given):
        download.fetch(release, folder)
        return origin.archive(release.bytes, release.sha256, release.license)
    target = folder / origin.file
    with files.published_path(str(target)) as part:
        if origin.kind in SYNTHETIC_FILES:
            _synthesize(origin.kind, Path(part), config)
        elif Path(origin.given).is_dir():
            local.pack(Path(origin.given), Path(part))
        else:
            local.copy(Path(origin.given), Path(part))
    digest = download.sha256(target)
    return origin.archive(target.stat().st_size, digest, _license(origin, digest))


def _synthesize(kind: str, path: Path, config: Corpus) -> None:
    match kind:
        case "synthetic":
            synthesis.write_archive(path, config.synthesis)
        case "foreign_words":
            foreign.write_training_words(path, config.foreign)
        case _:
            foreign.write_held_out_words(path, config.foreign)


def _license(origin: Origin, sha256: str) -> str | None:
    if origin.kind in SYNTHETIC_FILES:
        return synthesis.LICENSE_ID
    return {release.sha256: release.license for release in RELEASES.values()}.get(sha256)


@click.command()
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
def main(output: Path) -> None:
    """Put the raw archives that params.yaml names into the folder OUTPUT, with corpus.json to describe them.

    A source is "synthetic", "foreign_words" or "held_out_foreign_words" (synthesized here), the name of an official
    release (downloaded), a local .tar.gz, .tgz, .tar or .zip, or a folder (packed into a .tar).
    """
    config = params.load("corpus", Corpus)
    wanted = origins(config)
    output.mkdir(parents=True, exist_ok=True)
    clear(output, [origin.file for origin in wanted])
    archives = [place(origin, output, config) for origin in wanted]
    write_corpus(str(output), archives)
    for archive in archives:
        command.say(f"{output / archive.file}: {archive.bytes:,} bytes, SHA-256 {archive.sha256}")
