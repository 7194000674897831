"""How a stage runs its Beam pipeline: every Beam option passes through, and one machine is used whole by default."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Final

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from command import progress_bar
from features.errors import DataError

_POLL_SECONDS: Final = 0.5


def _runner_and_options(
    arguments: tuple[str, ...], default_workers: int | None
) -> tuple[PipelineRunner | None, PipelineOptions]:
    """The runner, or None where the options name one or tell how Beam's local runner is to run, and the options."""
    options = _options(arguments)
    direct = options.view_as(DirectOptions)
    workers = direct.direct_num_workers
    if not any(argument.startswith("--direct_num_workers") for argument in arguments):
        workers = default_workers or os.cpu_count() or 1
    workers = workers or os.cpu_count() or 1
    if options.view_as(StandardOptions).runner is not None or direct.direct_running_mode != "in_memory":
        return None, options
    direct.direct_num_workers = workers
    if workers == 1:
        return FnApiRunner(), options
    command = f"exec {shlex.quote(sys.executable)} -m pipelines.worker {os.getpid()}"
    return FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(command)), options


def check_options(arguments: tuple[str, ...]) -> None:
    """Make sure that Beam takes the options, before a stage clears its output.

    Raises:
        DataError: Beam does not know one of them, or takes no such value.
    """
    _options(arguments)


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
        raise DataError(f"--{', --'.join(unknown)}: no such option of this command or of Beam; mend its spelling")
    return options


def _wants_value(argument: str) -> bool:
    return argument.startswith("--") and "=" not in argument


def run(
    arguments: tuple[str, ...],
    build: Callable[[beam.Pipeline], object],
    progress: Callable[[], tuple[int, int]],
    unit: str,
    description: str,
    default_workers: int | None = None,
) -> None:
    """Run a pipeline to its end while showing its progress.

    Where the arguments name no runner, it is Beam's Python runner on this machine, which downloads nothing, with one
    worker process for each core.

    Args:
        arguments: Beam's options, such as ("--runner=FlinkRunner", "--flink_master=localhost:8081").
        build: adds the transforms.
        progress: returns how many units are done and how many there are in all.
        unit, description: for the progress bar.
        default_workers: worker processes of the default runner, unless --direct_num_workers says otherwise.
    """
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    runner, options = _runner_and_options(arguments, default_workers)
    with _watching(progress, unit, description), beam.Pipeline(runner=runner, options=options) as pipeline:
        build(pipeline)


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
