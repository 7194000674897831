"""The programs of other engines, made or downloaded once into the user's cache folder by ordinary clients.

Prism is built by `go`; Flink comes from its Python package by `pip`; Beam's job server for it and Hadoop's file
system come by Maven. Each client uses the settings of the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from base.errors import DataError

PRISM: Final = "github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"
FLINK: Final = "apache-flink-libraries==1.19.3"
"""The Python package that has Flink's distribution."""
JOB_SERVER: Final = ("org.apache.beam", "beam-runners-flink-1.19", "2.62.0")
HADOOP: Final = ("org.apache.hadoop", "hadoop-client-minicluster", "3.4.1")
"""The servers of Hadoop's file system, which is storage and no engine."""
_LOGGER: Final = ("org.slf4j", "slf4j-simple", "1.7.30")
FLINK_VERSION: Final = "1.19"
OPENED: Final = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.net", "java.nio", "java.time", "java.util", "java.util.concurrent", "sun.nio.ch")
)
"""What Flink and Beam look into that Java 17 keeps closed."""
_JOB_SERVER_CLASS: Final = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_MANIFEST_LINE: Final = 72
_SECONDS: Final = 1_200


class Flink(NamedTuple):
    """Flink and Beam's job server for it.

    Attributes:
        libraries: the jars of Flink's distribution that its processes need.
        job_server: the jar to start; its manifest names 162 others.
    """

    libraries: tuple[Path, ...]
    job_server: Path


def folder() -> Path:
    """Where the programs are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "keyword-spotting" / "engines"


def prism() -> Path:
    """The program prism.

    Raises:
        DataError: it can't be had here.
    """
    made = folder() / PRISM.replace("/", "_") / "prism"
    if not made.is_file():
        _need("go", "Prism")
        with _making(made.parent) as new:
            _run("go", "install", PRISM, GOBIN=str(new))
    return made


def flink() -> Flink:
    """Flink and Beam's job server for it.

    Raises:
        DataError: they can't be had here.
    """
    _need("java", "Flink")
    distribution, server = folder() / FLINK, folder() / "-".join(JOB_SERVER[1:])
    if not distribution.is_dir():
        with _making(distribution) as new:
            _run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(new), FLINK)
            (archive,) = new.iterdir()
            _take_libraries(archive, new)
            archive.unlink()
    jars = _jars(server, "the job server of Flink", JOB_SERVER)
    return Flink(tuple(sorted(distribution.glob("*.jar"))), _classpath_jar(server / "job-server.jar", jars))


def hadoop() -> list[Path]:
    """The jars of Hadoop's file system.

    Raises:
        DataError: they can't be had here.
    """
    _need("java", "Hadoop's file system")
    return _jars(folder() / "-".join(HADOOP[1:]), "Hadoop's file system", HADOOP)


def _jars(target: Path, what: str, artifact: tuple[str, str, str]) -> list[Path]:
    """An artifact of Maven's registry with all that it needs, and a logger."""
    if not target.is_dir():
        _need("mvn", what)
        with _making(target) as new:
            (new / "pom.xml").write_text(_project([artifact, _LOGGER]))
            _run("mvn", "--batch-mode", "--quiet", "--file", str(new / "pom.xml"), "dependency:copy-dependencies",
                 f"-DoutputDirectory={new / 'jars'}", "-DincludeScope=runtime")  # fmt: skip
    return sorted((target / "jars").glob("*.jar"))


def _need(program: str, what: str) -> None:
    if not shutil.which(program):
        raise DataError(f"{what} needs the program {program}, which is not installed")


@contextmanager
def _making(path: Path) -> Iterator[Path]:
    """A folder that gets its name when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as above:
        new = Path(above) / "new"
        new.mkdir()
        yield new
        if not path.exists():
            new.rename(path)


def _run(*command: str, **environment: str) -> None:
    try:
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{command[0]} failed: {error}") from error
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines() or ["it said nothing"]
        raise DataError(f"{Path(command[0]).name} {command[1]} ended with {done.returncode}: {said[-1]}")


def _take_libraries(archive: Path, target: Path) -> None:
    """Unpack the jars of Flink's distribution that its processes need: its core and its logging."""
    with tarfile.open(archive) as packed:
        for member in packed:
            name = Path(member.name).name
            if name.endswith(".jar") and name.startswith(("flink-dist-", "log4j-")) and member.isfile():
                content = packed.extractfile(member)
                assert content is not None
                with open(target / name, "wb") as file:
                    shutil.copyfileobj(content, file)


def _project(wanted: Sequence[tuple[str, str, str]]) -> str:
    """A project of Maven that needs some artifacts, each (group, name, version)."""
    needed = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in wanted
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>engines</groupId><artifactId>parts</artifactId><version>1</version>"
        f"<dependencies>{needed}</dependencies></project>"
    )


def _classpath_jar(path: Path, jars: Sequence[Path]) -> Path:
    """A jar that starts the job server with other jars as its class path: no registry has one with all in it."""
    lines = [f"Class-Path: {' '.join(jar.as_uri() for jar in jars)}"]
    while len(lines[-1]) > _MANIFEST_LINE:
        lines[-1:] = [lines[-1][:_MANIFEST_LINE], f" {lines[-1][_MANIFEST_LINE:]}"]
    manifest = "\r\n".join(("Manifest-Version: 1.0", f"Main-Class: {_JOB_SERVER_CLASS}", *lines, "", ""))
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", manifest)
    return path
