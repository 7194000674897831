"""How a stage runs its Beam pipeline: every Beam option passes through, and one machine is used whole by default."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from base.command import progress_bar
from base.errors import DataError
from pipelines.engine import pool

_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Engine:
    """A runner that exists, and its options; `prepare` makes it.

    Attributes:
        runner: Beam's runner.
        options: Beam's options.
        processes: of this machine, that share the steps; 1 where Beam's own workers do all of them.
    """

    runner: PipelineRunner
    options: PipelineOptions
    processes: int = 1

    def run(
        self, build: Callable[[beam.Pipeline], object], progress: Callable[[], tuple[int, int]], unit: str, name: str
    ) -> None:
        """Run a pipeline to its end while showing its progress.

        Args:
            build: adds the transforms.
            progress: returns how many units are done and how many there are in all.
            unit, name: for the progress bar.
        """
        logging.getLogger("apache_beam").setLevel(logging.ERROR)
        with (
            _watching(progress, unit, name),
            pool.processes(self.processes),
            beam.Pipeline(runner=self.runner, options=self.options) as pipeline,
        ):
            build(pipeline)


def prepare(arguments: tuple[str, ...], default_workers: int | None = None) -> Engine:
    """Choose the runner before a stage touches anything.

    Where the arguments name no runner, it is Beam's Python runner on this machine, which downloads nothing; the steps
    go to one process for each core.

    Args:
        arguments: Beam's options, such as ("--runner=FlinkRunner", "--flink_master=localhost:8081").
        default_workers: processes for the default runner, unless --direct_num_workers says otherwise.

    Raises:
        DataError: Beam does not know an option, takes no such value, or has no such runner here.
    """
    options = _options(arguments)
    direct, name = options.view_as(DirectOptions), options.view_as(StandardOptions).runner
    workers = direct.direct_num_workers
    if not any(argument.startswith("--direct_num_workers") for argument in arguments):
        workers = default_workers or pool.cores()
    if name is not None or direct.direct_running_mode != "in_memory":
        return Engine(_named(name or "DirectRunner"), options)
    direct.direct_num_workers = 1
    return Engine(FnApiRunner(), options, workers or pool.cores())


def _named(name: str) -> PipelineRunner:
    try:
        return create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise DataError(f"--runner={name}: Beam has no such runner here ({error}); correct the name") from error


def _options(arguments: tuple[str, ...]) -> PipelineOptions:
    before = ("--option=value", *arguments)
    stray = [
        each
        for each, last in zip(arguments, before, strict=False)
        if not each.startswith("-") and not _wants_value(last)
    ]
    if stray:
        raise DataError(f"{', '.join(stray)}: one argument too many; Beam's options begin with --")
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):  # argparse prints all of Beam's options
            options = PipelineOptions(list(arguments))
            known = options.get_all_options(drop_default=True)
            everything = options.get_all_options(drop_default=True, retain_unknown_options=True)
    except SystemExit as error:
        raise DataError(f"{complaint.getvalue().rpartition('error: ')[2].strip()}; give another value") from error
    unknown = sorted(set(everything) - set(known))
    if unknown:
        raise DataError(f"--{', --'.join(unknown)}: no such option of this command or of Beam; correct its spelling")
    return options


def _wants_value(argument: str) -> bool:
    return argument.startswith("--") and "=" not in argument


@contextlib.contextmanager
def _watching(progress: Callable[[], tuple[int, int]], unit: str, description: str) -> Iterator[None]:
    ended = threading.Event()

    def watch() -> None:
        with progress_bar(progress()[1], unit, description) as bar:
            while not ended.wait(_POLL_SECONDS):
                bar.update(progress()[0] - bar.n)
            bar.update(progress()[0] - bar.n)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
