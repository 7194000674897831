"""The same bytes on Prism and on a cluster of Flink, by an installed package, whatever is killed on the way."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from corpus_tools import ROOT, Outcome, assert_refused, contents, corpus_files, prepare

from base.errors import DataError
from benchmarks import engine_parts
from benchmarks.engine_targets import TARGETS, Running, worker_pool
from benchmarks.installed import install

pytestmark = pytest.mark.engines

SHARDS = 24
STAGES = {
    "ingest": ("raw", "clips"),
    "select": ("clips", "selection.parquet"),
    "augment": ("clips", "selection.parquet", "augmented/ninefold"),
    "extract": ("clips", "selection.parquet", "features/mfcc_small", "features/mfcc"),
}
PROCESS = "--environment_type=PROCESS"


class Bench:
    """A folder with the small corpus, in which stages of the installed package run."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self._python = folder, python
        prepare(folder, corpus_files(), ingest__shards=SHARDS)

    def start(self, stage: str, *options: str) -> subprocess.Popen[str]:
        command = [str(self._python), "-m", f"pipelines.{stage}", *STAGES[stage], *options]
        return subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def run(self, stage: str, *options: str) -> Outcome:
        return ended(self.start(stage, *options))

    def make(self, *options: str) -> dict[str, str]:
        """Run all stages; every file that they wrote, hidden and unfinished ones too."""
        for stage in STAGES:
            outcome = self.run(stage, *options)
            assert outcome.code == 0, outcome.stderr
        return contents(self.folder)

    def verify(self) -> None:
        for manifest in self.folder.rglob("manifest.json"):
            command = [str(self._python), "-m", "registry", "verify", str(manifest.parent)]
            assert subprocess.run(command, check=False, capture_output=True).returncode == 0, manifest


def ended(process: subprocess.Popen[str]) -> Outcome:
    errors = process.communicate(timeout=600)[1]
    return Outcome(process.returncode, "".join(f"{line}\n" for line in errors.splitlines() if "counted by" not in line))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment into which the project is installed as a package."""
    return install(tmp_path_factory.mktemp("installed") / "environment")


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory, python: Path) -> dict[str, str]:
    """The files of Beam's Python runner."""
    return Bench(tmp_path_factory.mktemp("expected"), python).make("--direct_num_workers=1")


@pytest.fixture
def bench(tmp_path: Path, python: Path) -> Bench:
    return Bench(tmp_path / "bench", python)


@pytest.fixture(scope="session")
def prism() -> str:
    """The option that names prism."""
    try:
        return f"--prism_location={engine_parts.prism()}"
    except DataError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[Running]:
    """A job manager and two task managers."""
    try:
        engine_parts.flink()
    except DataError as error:
        pytest.skip(str(error))
    with TARGETS["flink"].start(tmp_path_factory.mktemp("flink"), python) as running:
        yield running


@pytest.mark.parametrize("workers", [(), (PROCESS,)], ids=["in this process", "processes"])
def test_prism_makes_the_same_files(
    workers: tuple[str, ...], prism: str, bench: Bench, expected: dict[str, str]
) -> None:
    assert bench.make("--runner=PrismRunner", prism, *workers) == expected


def test_prism_makes_the_same_files_with_a_pool_of_workers(
    prism: str, bench: Bench, expected: dict[str, str], python: Path, tmp_path: Path
) -> None:
    with worker_pool(tmp_path, python) as address:
        pool = ("--environment_type=EXTERNAL", f"--environment_config={address}")
        assert bench.make("--runner=PrismRunner", prism, *pool) == expected


def test_the_direct_runner_makes_the_same_files(bench: Bench, expected: dict[str, str]) -> None:
    assert bench.make("--runner=DirectRunner") == expected


def test_the_engine_counts_clips_rejects_and_seconds(prism: str, bench: Bench) -> None:
    broken = [*corpus_files(), ("./yes/00000000_nohash_0.wav", b"RIFF")]
    prepare(bench.folder, broken, ingest__shards=SHARDS, ingest__max_reject_fraction=0.5)
    errors = bench.start("ingest", "--runner=PrismRunner", prism, PROCESS).communicate(timeout=300)[1]
    counted = next(line for line in errors.splitlines() if line.startswith("counted by PrismRunner: "))
    clips = re.search(r"^clips: (\d+) clips", errors, re.MULTILINE)
    assert clips and f"seal: clips {clips[1]}," in counted
    assert re.search(rf"seal: rejected, \w+ 1, scatter: 1 in [\d.]+ s, seal: {SHARDS} in [\d.]+ s$", counted), counted


@pytest.mark.parametrize(
    ("starts", "said", "seconds"),
    [("exec sleep 600", "no worker began within 50 s", 75), ("exit 1", "a worker ended before it began", 60)],
)
def test_workers_that_do_not_start_are_one_sentence_within_a_minute(
    starts: str, said: str, seconds: float, prism: str, bench: Bench, expected: dict[str, str], tmp_path: Path
) -> None:
    assert bench.run("ingest", "--direct_num_workers=1").code == 0
    before = contents(bench.folder / "clips")
    prepare(bench.folder, corpus_files(), ingest__shards=SHARDS + 1)  # another plan, so that there is something to do
    launcher = tmp_path / "launcher"
    launcher.write_text(f"#!/bin/sh\n{starts}\n")
    launcher.chmod(0o755)
    began = time.monotonic()
    options = ("--runner=PrismRunner", prism, PROCESS, f"--environment_option=process_command={launcher}")
    process = bench.start("ingest", *options)
    started = psutil.Process(process.pid)
    below: set[psutil.Process] = set()
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            below |= set(started.children(recursive=True))
        time.sleep(0.1)
    assert_refused(ended(process), said, "its log is")
    assert time.monotonic() - began < seconds  # with the start and the end of the processes
    after = contents(bench.folder / "clips")
    assert {path: digest for path, digest in after.items() if "_work" not in path} == before
    for each in below:
        with contextlib.suppress(psutil.Error):
            each.kill()


def test_a_worker_that_is_killed_on_prism_is_one_sentence_and_the_next_run_resumes(
    prism: str, bench: Bench, expected: dict[str, str]
) -> None:
    options = ("--runner=PrismRunner", prism, PROCESS)
    process = bench.start("ingest", *options)
    wait_for(process, bench.folder, "clips/_work/*/seal-*.json")
    Running(()).workers()[0].kill()
    outcome = ended(process)
    if outcome.code:
        assert_refused(outcome, "--runner=PrismRunner ended without a result: ")
    assert bench.make(*options) == expected


def wait_for(process: subprocess.Popen[str], folder: Path, pattern: str) -> None:
    while not list(folder.glob(pattern)):
        assert process.poll() is None, ended(process)
        time.sleep(0.01)


def test_flink_makes_the_same_files_after_the_kill_of_a_worker_in_ingest_and_of_a_task_manager_in_extract(
    flink: Running, bench: Bench, expected: dict[str, str]
) -> None:
    assert flink.cluster is not None
    flink.cluster.wait(2)
    middles = {"ingest": "clips/_work/*/seal-*.json", "extract": "features/*/*/_work/*/featurize-*.json"}
    for stage in STAGES:
        if stage in ("select", "augment"):
            assert bench.run(stage, "--direct_num_workers=1").code == 0
            continue
        process = bench.start(stage, *flink.options)
        wait_for(process, bench.folder, middles[stage])
        if stage == "ingest":
            flink.workers()[0].kill()
        else:
            flink.cluster.kill_task_manager()
            flink.cluster.start_task_manager()
        outcome = ended(process)
        assert outcome.code == 0, outcome.stderr
    assert contents(bench.folder) == expected
    bench.verify()


def test_an_option_that_only_the_job_server_knows_may_not_be_misspelt(flink: Running, bench: Bench) -> None:
    before = contents(bench.folder)
    options = [each.replace("--number_of_execution_retries", "--number_of_executoin_retries") for each in flink.options]
    assert_refused(bench.run("ingest", *options), "--number_of_executoin_retries: no such option")
    assert contents(bench.folder) == before


def test_the_package_has_every_file_that_the_rooms_read(python: Path) -> None:
    command = [str(python), "-c", "import registry, reports, serving.web; print(reports.__file__)"]
    place = Path(subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout.strip()).parents[1]
    rooms = [each.name for each in place.iterdir() if (each / "__init__.py").is_file() and (ROOT / each.name).is_dir()]
    wanted = {
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {path for path in wanted if not (place / path).is_file()} == set()
    assert {"base", "features", "pipelines", "readers", "registry", "reports", "serving", "stores"} <= set(rooms)
    assert shutil.which(str(python.with_name("keyword-spotting-worker")))
