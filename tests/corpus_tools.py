"""Builds small archives in the official layout and runs the stages on them, for the tests of the pipelines."""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import soundfile
import yaml

from base import params
from readers.store import open_store

ROOT = Path(__file__).parent.parent
RATE_HZ = 16_000
Samples = npt.NDArray[np.int16]


def copy_project(folder: Path) -> None:
    """Copy the project's files, committed or not, but its tests, its docs and what DVC has run."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for path in listed.stdout.splitlines():
        if (ROOT / path).is_file() and not path.startswith(("docs/", "tests/", "dvc.lock")):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    stderr: str

    @property
    def errors(self) -> list[str]:
        """The lines on stderr that are no account of progress."""
        progress = re.compile(r"(\w+|extract \w+): .* elapsed$|\S+: .*(clips|\d+) .*$|warning: (class|no archive has) ")
        return [line for line in self.stderr.splitlines() if not progress.match(line) or line.startswith("error")]


Table = list[dict[str, Any]]


def table(path: Path) -> Table:
    """The rows of a Parquet file."""
    rows: Table = pq.read_table(path).to_pylist()
    return rows


def clips_of(store: Path) -> dict[str, dict[str, Any]]:
    """The records of a store of clips, by id."""
    return {str(record["id"]): record for record in open_store(str(store)).records("unsplit")}


def assert_refused(outcome: Outcome, *parts: str) -> None:
    """Exit code 1 and one line on stderr, next to the lines of progress."""
    assert outcome.code == 1
    assert len(outcome.errors) == 1, outcome.stderr
    assert outcome.errors[0].startswith("error: ")
    for part in parts:
        assert part in outcome.errors[0]


def store_folder(view: Path) -> Path:
    """The folder of a view's one version, which holds its store."""
    (folder,) = (each for each in view.iterdir() if each.name != "_work")
    return folder


def wav(samples: npt.NDArray[Any], rate_hz: int = RATE_HZ, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    """A WAVE file written by libsndfile."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, subtype=subtype, format=kind)
    return out.getvalue()


def voice(seed: int, samples: int = 16_000) -> Samples:
    """A gliding tone with noise; no two seeds sound alike."""
    generator = np.random.default_rng(seed)
    time = np.arange(samples) / RATE_HZ
    tone = np.sin(2 * np.pi * (150 + 40 * (seed % 40)) * time * (1 + 0.3 * time))
    noise = generator.normal(0, 0.05, samples)
    return np.asarray(np.round((0.5 * tone * np.hanning(samples) + noise) * 12_000), np.int16)


def tar_gz(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A .tar.gz archive; equal files give equal bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), 6, mtime=0)


def which_set(name: str) -> str:
    """The official split, written again from the description in the corpus's README."""
    speaker = re.sub("_nohash_.*$", "", os.path.basename(name))
    percentage = (int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 134_217_728) * (100.0 / 134_217_727)
    return "validation" if percentage < 10 else "test" if percentage < 20 else "train"


def speakers() -> list[str]:
    """Eight speakers whose official split is train, three of validation and three of test."""
    wanted = {"train": 8, "validation": 3, "test": 3}
    found: dict[str, list[str]] = {split: [] for split in wanted}
    number = 0
    while any(len(found[split]) < count for split, count in wanted.items()):
        speaker = hashlib.md5(str(number).encode()).hexdigest()[:8]
        split = which_set(f"{speaker}_nohash_0.wav")
        if len(found[split]) < wanted[split]:
            found[split].append(speaker)
        number += 1
    return [speaker for group in found.values() for speaker in group]


WORDS = ("yes", "no", "cat", "dog")
NOISES = {"hum": 8, "rain": 6}
"""Background recordings and their seconds."""


def corpus_clips() -> dict[str, Samples]:
    """The clips of the small corpus, id → samples of 0.4 to 1.2 s; the first speaker says each word twice."""
    ids = [f"{word}/{speaker}_nohash_0" for word in WORDS for speaker in speakers()]
    ids += [f"{word}/{speakers()[0]}_nohash_1" for word in WORDS]
    lengths = (16_000, 16_000, 15_999, 6_400, 16_000, 19_200, 12_345)
    return {name: voice(seed, lengths[seed % len(lengths)]) for seed, name in enumerate(ids)}


def noise(name: str) -> Samples:
    """A background recording of the small corpus."""
    generator = np.random.default_rng(len(name))
    return np.asarray(generator.normal(0, 3_000, NOISES[name] * RATE_HZ + 77), np.int16)


def corpus_files() -> list[tuple[str, bytes]]:
    """The files of the small corpus, with the leading "./" of the official archive."""
    clips = corpus_clips()
    lists = {
        file: "".join(f"{name}.wav\n" for name in clips if which_set(name) == split)
        for file, split in (("validation_list.txt", "validation"), ("testing_list.txt", "test"))
    }
    return [
        ("./README.md", b"A small corpus.\n"),
        *((f"./{name}.wav", wav(samples)) for name, samples in clips.items()),
        *((f"./_background_noise_/{name}.wav", wav(noise(name))) for name in NOISES),
        ("./_background_noise_/README.md", b"Noise.\n"),
        *((f"./{file}", text.encode()) for file, text in lists.items()),
    ]


def write_raw(folder: Path, archives: Mapping[str, bytes], **changes: Any) -> None:
    """A raw folder as the stage `corpus` leaves it.

    Args:
        folder: where to write it.
        archives: file name → content, the main archive first.
        changes: keys of the first archive's description to set otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = []
    for number, (name, content) in enumerate(archives.items()):
        (folder / name).write_bytes(content)
        entry = {
            "file": name,
            "role": "test" if number else "main",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "source": "local",
            "license": "CC BY 4.0",
        }
        described.append({**entry, **changes} if number == 0 else entry)
    (folder / "corpus.json").write_text(json.dumps({"archives": described}))


def parameters(**changes: Any) -> dict[str, Any]:
    """The project's parameters for a small corpus; `changes` are dotted keys with "__" for the dots."""
    content: dict[str, Any] = copy.deepcopy(params.read_yaml(ROOT / "params.yaml"))
    small = {
        "ingest__shards": 3,
        "ingest__silence__hop_ms": 250,
        "select__task": "small",
        "select__split__ratio": [2, 1, 1],
        "select__tasks__small": {"words": ["yes", "no"], "silence": True, "unknown": True},
    }
    for key, value in {**small, **changes}.items():
        *path, last = key.split("__")
        place = content
        for part in path:
            place = place[part]
        place[last] = value
    return content


def prepare(folder: Path, files: list[tuple[str, bytes]], *more: list[tuple[str, bytes]], **changes: Any) -> None:
    """A folder with params.yaml and a raw folder of one archive or more."""
    write_parameters(folder, **changes)
    write_raw(folder / "raw", {f"archive{n}.tar.gz": tar_gz(each) for n, each in enumerate([files, *more])})


def write_parameters(folder: Path, **changes: Any) -> None:
    """A params.yaml for a small corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters(**changes)))


def environment() -> dict[str, str]:
    """The environment in which a stage finds our modules, whatever its working directory."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}


def run_stage(folder: Path, stage: str, *arguments: str) -> Outcome:
    """Run `python -m pipelines.STAGE ARGUMENTS` in a folder with a params.yaml."""
    done = subprocess.run(
        [sys.executable, "-m", f"pipelines.{stage}", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    return Outcome(done.returncode, done.stderr)


def kill_at(process: subprocess.Popen[bytes], folder: Path, pattern: str) -> None:
    """Kill a process as soon as a file of this pattern lies in a folder; it must not end before."""
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too: path → SHA-256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
