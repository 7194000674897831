"""What other engines need, looked for before a stage touches anything: programs, servers that answer, workers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
)

from base.errors import DataError

WORKER: Final = "keyword-spotting-worker"
"""The worker launcher that the installed package brings."""
_ANSWER_SECONDS: Final = 10.0
_BUILD_PRISM: Final = "build it by `go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0`"
_IN_THIS_PROCESS: Final = ("[local]", "[auto]")
_HERE: Final = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
_KINDS: Final = ("DOCKER", "EXTERNAL", "LOOPBACK", "PROCESS")


def check(options: PipelineOptions, name: str) -> None:
    """See that an engine with a job server has what it needs here.

    Args:
        options: Beam's options; --environment_type=PROCESS gets the installed worker launcher unless they name another.
        name: the runner as the command line names it.

    Raises:
        DataError: something is missing or does not answer.
    """
    endpoint = options.view_as(PortableOptions).job_endpoint
    kind = kind_of(name)
    if endpoint and endpoint != "embed":
        _answers(endpoint, "--job_endpoint", "start the job server there, or correct the address")
    elif kind in ("prismrunner", "directrunner"):
        _check_prism(options, name)
    elif kind == "flinkrunner":
        _check_flink(options)
    elif not endpoint:
        raise DataError(f"--runner={name} needs --job_endpoint=HOST:PORT of a job server")
    _check_workers(options, name)


def kind_of(name: str) -> str:
    """The class of a runner in small letters, whether the command line names it with its module or without."""
    return name.rpartition(".")[2].lower()


def is_near(options: PipelineOptions, name: str) -> bool:
    """Whether the workers of an engine run on this machine, as far as its options tell."""
    endpoint = options.view_as(PortableOptions).job_endpoint
    if endpoint:
        return endpoint == "embed" or _host_and_port(endpoint)[0] in _HERE
    master = options.view_as(FlinkRunnerOptions).flink_master
    kind = kind_of(name)
    return kind in ("prismrunner", "directrunner") or (
        kind == "flinkrunner" and (master in _IN_THIS_PROCESS or _host_and_port(master)[0] in _HERE)
    )


def _check_prism(options: PipelineOptions, name: str) -> None:
    place = options.view_as(PrismRunnerOptions).prism_location
    if not place:
        raise DataError(f"--runner={name} needs --prism_location=PATH of the program prism: {_BUILD_PRISM}")
    if "://" not in place and not os.path.isfile(place):
        raise DataError(f"--prism_location={place}: there is no such file; {_BUILD_PRISM}")


def _check_flink(options: PipelineOptions) -> None:
    flink, server = options.view_as(FlinkRunnerOptions), options.view_as(JobServerOptions)
    if flink.flink_master not in _IN_THIS_PROCESS:
        _answers(flink.flink_master, "--flink_master", "start the cluster, or correct the address of its REST service")
    jar = flink.flink_job_server_jar
    if not jar:
        raise DataError("--runner=FlinkRunner needs --flink_job_server_jar=PATH of Beam's job server for Flink")
    if "://" not in jar and not os.path.isfile(jar):
        raise DataError(f"--flink_job_server_jar={jar}: there is no such file; correct the path")
    if not flink.flink_submit_uber_jar and not shutil.which(server.job_server_java_launcher):
        raise DataError(
            f"{server.job_server_java_launcher}: there is no such program, and the job server needs Java: install it, "
            "or name it by --job_server_java_launcher"
        )


def _check_workers(options: PipelineOptions, name: str) -> None:
    portable, near = options.view_as(PortableOptions), is_near(options, name)
    kind = portable.environment_type or _default_kind(options, name)
    if portable.environment_type and kind not in _KINDS and "." not in kind and ":" not in kind:
        raise DataError(f"--environment_type={kind}: no such way to start workers; take one of {', '.join(_KINDS)}")
    if kind == "PROCESS":
        _check_command(portable, near)
    elif kind == "EXTERNAL":
        pool = portable.environment_config or portable.lookup_environment_option("external_service_address")
        if not pool:
            raise DataError("--environment_type=EXTERNAL needs --environment_config=HOST:PORT of a pool of workers")
        if near:
            _answers(pool, "--environment_config", "start the pool of workers there, or correct the address")
    elif kind == "DOCKER" and near:
        _check_docker()


def _default_kind(options: PipelineOptions, name: str) -> str:
    """How Beam starts workers where the options do not say."""
    kind = kind_of(name)
    in_process = kind == "flinkrunner" and options.view_as(FlinkRunnerOptions).flink_master in _IN_THIS_PROCESS
    return "LOOPBACK" if in_process or kind in ("prismrunner", "directrunner") else "DOCKER"


def _check_command(portable: PortableOptions, near: bool) -> None:
    if portable.environment_config:
        try:
            command = json.loads(portable.environment_config)["command"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"--environment_config={portable.environment_config}: expected "
                '\'{"command": "PATH"}\' for --environment_type=PROCESS'
            ) from error
    else:
        command = portable.lookup_environment_option("process_command")
        if not command:
            command = _own_launcher()
            portable.add_environment_option(f"process_command={command}")
    if near and not shutil.which(str(command)):
        raise DataError(f"{command}: there is no such program to start workers with; correct its path")


def _own_launcher() -> str:
    beside = Path(sys.executable).with_name(WORKER)
    found = str(beside) if beside.is_file() else shutil.which(WORKER)
    if not found:
        raise DataError(
            f"--environment_type=PROCESS starts {WORKER}, which is not installed here: install this project by "
            "`python -m pip install --no-deps .`, or name another program by --environment_options=process_command=PATH"
        )
    return found


def _check_docker() -> None:
    found = shutil.which("docker")
    try:
        done = found and subprocess.run(
            [found, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if not done or done.returncode != 0:
        raise DataError(
            "workers are to run in Docker, which is not here or does not answer: start it, or take "
            "--environment_type=PROCESS"
        )


def _answers(address: str, option: str, mend: str) -> None:
    host, port = _host_and_port(address)
    if port is None:
        raise DataError(f"{option}={address}: expected HOST:PORT")
    try:
        socket.create_connection((host, port), _ANSWER_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise DataError(f"{option}={address}: nothing answers ({error}); {mend}") from error


def _host_and_port(address: str) -> tuple[str, int | None]:
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        return parts.hostname or "", parts.port
    except ValueError:
        return parts.hostname or "", None
