"""How a stage runs its Beam pipeline: every Beam option passes through, and one machine is used whole by default."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from base import files
from base.command import progress_bar
from base.errors import DataError
from pipelines.engine import collector, pool
from pipelines.engine.work import Work

_POLL_SECONDS: Final = 0.5
_DIRECT_RUNNER: Final = "DirectRunner"
_IN_THE_CLOUD: Final = "DataflowRunner"


@dataclass(frozen=True)
class Engine:
    """A runner that exists, and its options; `prepare` makes it.

    Attributes:
        runner: Beam's runner.
        options: Beam's options.
        processes: of this machine, that share the steps; 1 where Beam's own workers do all of them.
        name: the runner as the command line names it; "" where it is the default.
    """

    runner: PipelineRunner
    options: PipelineOptions
    processes: int = 1
    name: str = ""

    def place(self, path: str) -> str:
        """A path as all workers find it: those of other engines have working folders of their own.

        Raises:
            DataError: workers in a cloud can't see what is on this machine.
        """
        if not self.name or files.is_remote(path):
            return path
        if type(self.runner).__name__ == _IN_THE_CLOUD:
            raise DataError(f"{path} is on this machine, where workers of {self.name} can't see it: name a gs:// path")
        return os.path.abspath(path)

    def run(
        self,
        build: Callable[[beam.Pipeline], object],
        progress: Callable[[], tuple[int, int]],
        unit: str,
        name: str,
        work: Work,
    ) -> None:
        """Run a pipeline to its end while showing its progress.

        Args:
            build: adds the transforms.
            progress: returns how many units are done and how many there are in all.
            unit, name: for the progress bar.
            work: the work, or the first of several.

        Raises:
            DataError: another engine than this process did not start, or could not end the pipeline.
            SystemExit: the options say not to wait for the end.
        """
        if self.name:
            from pipelines.engine import elsewhere

            elsewhere.run(self.runner, self.options, self.name, build, work, lambda: _watching(progress, unit, name))
            return
        with (
            _watching(progress, unit, name),
            pool.processes(self.processes),
            beam.Pipeline(runner=self.runner, options=self.options) as pipeline,
        ):
            build(pipeline)


def prepare(arguments: tuple[str, ...], default_workers: int | None = None) -> Engine:
    """Choose the runner before a stage touches anything.

    Where the arguments name no runner, it is Beam's Python runner on this machine, which downloads nothing; the steps
    go to one process for each core. --runner=DirectRunner is Beam's choice between Prism, where --prism_location names
    it, and that runner in this one process; it never downloads Prism.

    Args:
        arguments: Beam's options, such as ("--runner=FlinkRunner", "--flink_master=localhost:8081").
        default_workers: processes for the default runner, unless --direct_num_workers says otherwise.

    Raises:
        DataError: Beam does not know an option, takes no such value, has no such runner here, or what the runner needs
            is missing or does not answer.
    """
    collector.resume()
    logging.getLogger("apache_beam").setLevel(logging.ERROR)  # options that Beam leaves out are told of in a sentence
    options, unknown = _options(arguments)
    direct, name = options.view_as(DirectOptions), options.view_as(StandardOptions).runner
    workers = direct.direct_num_workers
    if not any(argument.startswith("--direct_num_workers") for argument in arguments):
        workers = default_workers or pool.cores()
    if name is None and direct.direct_running_mode == "in_memory":
        refuse(unknown)
        direct.direct_num_workers = 1
        return Engine(FnApiRunner(), options, workers or pool.cores())
    name = name or _DIRECT_RUNNER
    runner = _named(name, options)
    from pipelines.engine import elsewhere

    elsewhere.check(runner, options, name, unknown)
    return Engine(runner, options, name=name)


def _named(name: str, options: PipelineOptions) -> PipelineRunner:
    if name.rpartition(".")[2] == _DIRECT_RUNNER:
        from apache_beam.options.pipeline_options import PrismRunnerOptions

        if not options.view_as(PrismRunnerOptions).prism_location:
            return FnApiRunner()
    try:
        return create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise DataError(f"--runner={name}: Beam has no such runner here ({error}); correct the name") from error


def _options(arguments: tuple[str, ...]) -> tuple[PipelineOptions, list[str]]:
    """Beam's options, and the names of those that Beam does not know."""
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
    return options, sorted(set(everything) - set(known))


def refuse(unknown: list[str]) -> None:
    """Raise DataError where there are options that nothing knows."""
    if unknown:
        raise DataError(f"--{', --'.join(unknown)}: no such option of this command or of Beam; correct its spelling")


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
