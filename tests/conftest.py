"""Fixtures: a small corpus, and the stores that the real stages make of it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from command_tools import RegistryCommand, exit_code, registry_command
from corpus_tools import Outcome, corpus_files, tar_gz, write_parameters, write_raw
from stage_processes import STAGES, prepare_chain
from stage_processes import run as run_stage_process

ONE_WORKER = "--direct_num_workers=1"

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def small_archive() -> bytes:
    """The small corpus as a .tar.gz."""
    return tar_gz(corpus_files())


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, small_archive: bytes) -> Path:
    """A folder in which ingest, select and extract (view mfcc) have run on the small corpus; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    write_parameters(folder)
    write_raw(folder / "raw", {"small.tar.gz": small_archive})
    with pytest.MonkeyPatch.context() as patch:
        assert run_here(patch, folder, "ingest", "raw", "clips") == 0
        assert run_here(patch, folder, "select", "clips", "selection.parquet") == 0
        assert run_here(patch, folder, "extract", "clips", "selection.parquet", "features/mfcc") == 0
    return folder


def run_here(patch: pytest.MonkeyPatch, folder: Path, stage: str, *arguments: str) -> int:
    """Run a stage's command line in this process, which saves the start; its exit code."""
    main = importlib.import_module(f"pipelines.{stage}.{stage}").main
    patch.chdir(folder)
    patch.setenv("TF_USE_LEGACY_KERAS", "0")
    return exit_code(main, *arguments, *(() if stage == "corpus" else (ONE_WORKER,)))


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all stages of `stage_processes` up to the training have run undisturbed; not to be changed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare_chain(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ingest", "select", "augment", "extract"):
            assert run_here(patch, folder, name, *STAGES[name].arguments) == 0
    return folder


@pytest.fixture(scope="session")
def trained(chain: Path) -> Path:
    """The same with a model."""
    outcome = run_stage_process(STAGES["train"], chain)
    assert outcome.code == 0, outcome.stderr
    return chain


@pytest.fixture(scope="session")
def project(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips, features, a small trained model, its evaluation and its export; not to be changed."""
    from exported_project import exported_project

    return exported_project(finished, tmp_path_factory.mktemp("project"))


Call = Callable[..., Outcome]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run a stage's command line in this process: `call(folder, "ingest", "raw", "clips")`."""

    def run(folder: Path, stage: str, *arguments: str) -> Outcome:
        capfd.readouterr()
        code = run_here(monkeypatch, folder, stage, *arguments)
        return Outcome(code, capfd.readouterr().err)

    return run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> RegistryCommand:
    """`python -m registry` in an empty folder: `run("sample", store, "--word", "yes")`."""
    return registry_command(monkeypatch, capsys, tmp_path)


@pytest.fixture(scope="session")
def real_archive() -> Path:
    """The archive of real clips that SPEECH_COMMANDS_ARCHIVE names."""
    path = os.environ.get("SPEECH_COMMANDS_ARCHIVE")
    if not path:
        pytest.skip("SPEECH_COMMANDS_ARCHIVE does not name an archive of real clips")
    return Path(path)


@pytest.fixture(scope="session")
def real_digits() -> Path:
    """The archive of the Free Spoken Digit Dataset that SPOKEN_DIGITS_ARCHIVE names."""
    path = os.environ.get("SPOKEN_DIGITS_ARCHIVE")
    if not path:
        pytest.skip("SPOKEN_DIGITS_ARCHIVE does not name an archive of real spoken digits")
    return Path(path)
