"""Runs a pipeline on another engine than this process: what fails ends in one sentence, and nothing waits forever."""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.portable_runner import JobServiceHandle, PortableRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

from base import command, files
from base.errors import DataError
from pipelines.engine import cloud, needs
from pipelines.engine.counters import totals
from pipelines.engine.runner import refuse
from pipelines.engine.transforms import waits
from pipelines.engine.work import Work

_SERVER_SECONDS: Final = 50
"""How long an answer of a job server is waited for, unless --job_server_timeout says otherwise."""
_START_SECONDS: Final = 50.0
"""How long a worker on this machine may take to start."""
_START_SECONDS_ELSEWHERE: Final = 900.0
"""How long workers of a cluster may take, which pull an image first, or wait for their turn."""
_POLL_SECONDS: Final = 0.5
_DIED: Final = "process failed while running"
"""What Prism says of a worker that died. Mostly it ends the job then; sometimes it waits for the worker forever."""
_SECONDS_AFTER_DEATH: Final = 10.0
_LONGEST_REASON: Final = 300

_log: str | None = None


def check(runner: PipelineRunner, options: PipelineOptions, name: str, unknown: list[str]) -> None:
    """See that an engine can take a pipeline, before a stage touches anything; start its job server where it has one.

    Args:
        runner: Beam's runner.
        options: Beam's options; what they leave open is filled in.
        name: the runner as the command line names it.
        unknown: options that Beam does not know, which a job server may know.

    Raises:
        DataError: something that the engine needs is missing or does not answer, or an option is wrong.
    """
    _log_into_a_file()
    if isinstance(runner, PortableRunner):
        needs.check(options, name)
    if type(runner).__name__ == "DataflowRunner":
        cloud.check(runner, options, name)
    elif problems := PipelineOptionsValidator(options, runner).validate():
        raise DataError(f"--runner={name}: {_reason(problems[0])}")
    if not isinstance(runner, PortableRunner):
        refuse(unknown)
        return
    portable = options.view_as(PortableOptions)
    if portable.job_server_timeout == PipelineOptions([]).view_as(PortableOptions).job_server_timeout:
        portable.job_server_timeout = _SERVER_SECONDS
    try:
        with _quiet_threads():
            service = runner.create_job_service(options).job_service
        described = service.DescribePipelineOptions(
            beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=portable.job_server_timeout
        )
    except grpc.FutureTimeoutError as error:
        raise DataError(f"--runner={name}: what is there does not answer as a job server; {_see_log()}") from error
    except Exception as error:
        raise _failed(f"--runner={name}: its job server did not start", error) from error
    if not options.view_as(FlinkRunnerOptions).flink_submit_uber_jar:
        refuse(sorted(set(unknown) - {each.name for each in described.options}))

    def handle(options: PipelineOptions) -> JobServiceHandle:
        """What Beam submits by; it would take a job that lasts longer than the time for one answer for a failed one."""
        made: JobServiceHandle = runner.create_job_service_handle(service, options)
        made.timeout = None
        return made

    vars(runner)["create_job_service"] = handle


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Have threads that fail in the block say so in the log: gRPC's do where a server that is waited for ends."""
    before = threading.excepthook
    threading.excepthook = _into_the_log
    try:
        yield
    except BaseException:
        time.sleep(_POLL_SECONDS)
        raise
    finally:
        threading.excepthook = before


@contextmanager
def _quiet_threads_to_the_end() -> Iterator[None]:
    """Likewise, and on after a block that fails: Beam's threads read from a job server that ends with the process."""
    before = threading.excepthook
    threading.excepthook = _into_the_log
    yield
    threading.excepthook = before


def _into_the_log(failed: threading.ExceptHookArgs) -> None:
    logging.info("a thread failed", exc_info=failed.exc_value)


def run(
    runner: PipelineRunner,
    options: PipelineOptions,
    name: str,
    build: Callable[[beam.Pipeline], object],
    work: Work,
    watching: Callable[[], AbstractContextManager[None]],
) -> None:
    """Run a pipeline to its end, or only submit it where the options say so.

    Args:
        runner, options, name: the engine.
        build: adds the transforms.
        work: the work, whose folder a worker marks when it begins.
        watching: shows the progress.

    Raises:
        DataError: the engine failed, or no worker began in time.
        SystemExit: the job was submitted, and nobody is to wait for it.
    """
    files.remove(work.started)
    with _death_of_a_worker() as died, _quiet_threads_to_the_end():
        try:
            pipeline = beam.Pipeline(runner=runner, options=options)
            build(pipeline)
            result = pipeline.run()
        except Exception as error:
            raise _failed(f"--runner={name} did not take the pipeline", error) from error
        _keep_off_the_terminal()
        if not waits(options):
            command.say(f"{work.output}: the job was submitted; the output takes its place when the job ends")
            raise SystemExit(0)
        with watching():
            _wait(result, name, work, _start_seconds(options, name), died)
    if counted := totals(result):
        command.say(f"counted by {name}: {counted}")


def _start_seconds(options: PipelineOptions, name: str) -> float:
    """Flink itself notices a worker that does not start; the others wait for it forever."""
    flinks = needs.kind_of(name) == "flinkrunner"
    docker = options.view_as(PortableOptions).environment_type == "DOCKER"
    return _START_SECONDS if needs.is_near(options, name) and not (flinks or docker) else _START_SECONDS_ELSEWHERE


def _wait(result: PipelineResult, name: str, work: Work, start_seconds: float, died: list[float]) -> None:
    """Wait for the end of a pipeline, but for its first worker only so long, and not for one that died.

    Raises:
        DataError: the pipeline failed, or no worker began.
    """
    faults: list[Exception] = []

    def wait() -> None:
        try:
            state = result.wait_until_finish()
            if state not in (None, PipelineState.DONE):
                raise RuntimeError(f"it ended in state {state}")
        except Exception as error:
            faults.append(error)

    waiting = threading.Thread(target=wait, name="end of the pipeline", daemon=True)
    waiting.start()
    _join(waiting, start_seconds, died)
    if (waiting.is_alive() or died) and not files.is_file(work.started):
        what = "a worker ended before it began" if died else f"no worker began within {start_seconds:.0f} s"
        advice = "see that the command, the pool or the image of --environment_type starts one"
        raise _given_up(result, f"--runner={name}: {what}: {advice}")
    _join(waiting, float("inf"), died)
    if waiting.is_alive():
        raise _given_up(
            result,
            f"--runner={name}: a worker was killed, and the job waits for it: run the same command again to resume",
        )
    if faults and not work.failed():
        raise _failed(f"--runner={name} ended without a result", faults[0]) from faults[0]


@contextmanager
def _death_of_a_worker() -> Iterator[list[float]]:
    """When Prism has said in the block that a worker process died: nothing, or the time, as of `time.monotonic`."""
    died: list[float] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not died and _DIED in record.getMessage():
                died.append(time.monotonic())

    listening = Listening()
    logging.getLogger().addHandler(listening)
    try:
        yield died
    finally:
        logging.getLogger().removeHandler(listening)


def _join(waiting: threading.Thread, seconds: float, died: list[float]) -> None:
    """Wait for the end of a thread, but only so long, and not much longer than until a worker has died."""
    give_up = time.monotonic() + seconds
    while waiting.is_alive() and time.monotonic() < min([give_up, *(each + _SECONDS_AFTER_DEATH for each in died)]):
        waiting.join(_POLL_SECONDS)


def _given_up(result: PipelineResult, message: str) -> DataError:
    def cancel() -> None:
        with suppress(Exception):
            result.cancel()

    threading.Thread(target=cancel, daemon=True).start()
    return DataError(f"{message}; {_see_log()}")


def _failed(what: str, error: Exception) -> DataError:
    return DataError(f"{what}: {_reason(error)}; {_see_log()}")


def _reason(error: object) -> str:
    """The telling line of what may be a page: the last that is no frame of a stack."""
    said = error.details() if isinstance(error, grpc.Call) else error
    lines = [line.strip() for line in str(said).splitlines()]
    telling = [line for line in lines if line and not line.startswith(("at ", "File ", "...", "Traceback"))]
    text = telling[-1] if telling else type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def _log_into_a_file() -> None:
    """Keep what Beam and the engine's processes say from the terminal; the file goes with a run that succeeds."""
    global _log
    if _log is not None:
        return
    handle, _log = tempfile.mkstemp(prefix="keyword-spotting-", suffix=".log")
    os.close(handle)
    file = logging.FileHandler(_log)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(file)
    beam_log = logging.getLogger("apache_beam")
    beam_log.addHandler(file)
    beam_log.propagate = False
    beam_log.setLevel(logging.INFO)
    _keep_off_the_terminal()
    atexit.register(_forget_log, _log)


def _keep_off_the_terminal() -> None:
    """Take away what some imports of Beam's add."""
    root = logging.getLogger()
    for handler in [each for each in root.handlers if type(each) is logging.StreamHandler]:
        root.removeHandler(handler)


def _see_log() -> str:
    """Where the log is, which stays from now on."""
    atexit.unregister(_forget_log)
    return f"its log is {_log}"


def _forget_log(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
