"""The program that an engine starts for each worker: `keyword-spotting-worker`, as Beam's containers have `boot`.

It asks the engine what to work on, and becomes Beam's worker. It belongs to the installed package, so that its
interpreter has the pipelines' modules in whatever folder the engine starts it. Engines start it for
--environment_type=PROCESS, and pools of workers as their --container_executable for --environment_type=EXTERNAL
(https://beam.apache.org/documentation/runtime/sdk-harness-config/).
"""

from __future__ import annotations

import json
import os
import sys

import click

_PROVISION_SECONDS = 30.0
_FOLDER = "/tmp/staged"


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.option("--id", "worker_id", required=True, help="Name of the worker.")
@click.option("--provision_endpoint", required=True, help="HOST:PORT that says what to work on.")
@click.option("--control_endpoint", default="", help="HOST:PORT that gives the work, else the one provided.")
@click.option("--logging_endpoint", default="", help="HOST:PORT that takes the log, else the one provided.")
@click.option("--semi_persist_dir", default=_FOLDER, show_default=True, help="Folder of staged files.")
def main(
    worker_id: str, provision_endpoint: str, control_endpoint: str, logging_endpoint: str, semi_persist_dir: str
) -> None:
    """Work for the engine that started this, until it has no more work."""
    os.environ.update(
        environment(unquoted(worker_id), unquoted(provision_endpoint), control_endpoint, logging_endpoint)
    )
    os.environ["SEMI_PERSISTENT_DIRECTORY"] = semi_persist_dir
    from apache_beam.runners.worker import sdk_worker_main  # reads the environment as it is imported

    sdk_worker_main.main([])


def unquoted(value: str) -> str:
    """An argument as it was meant: Prism puts some in quotes, which no shell takes away."""
    return value.strip("'\"")


def environment(worker_id: str, provision: str, control: str, logging: str) -> dict[str, str]:
    """The variables that Beam's worker reads, as its engine provides them.

    Args:
        worker_id: name of the worker.
        provision: HOST:PORT to ask.
        control, logging: HOST:PORT of the engine's other services, or "" for those that it provides.

    Raises:
        SystemExit: nothing answers.
    """
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
    from apache_beam.runners.job.utils import struct_to_dict

    with grpc.insecure_channel(provision) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        try:
            info = service.GetProvisionInfo(
                request, timeout=_PROVISION_SECONDS, metadata=[("worker_id", worker_id)], wait_for_ready=True
            ).info
        except grpc.RpcError as error:
            sys.exit(f"error: {provision} does not say what to work on: {error}")
    named = {
        "CONTROL_API_SERVICE_DESCRIPTOR": control or info.control_endpoint.url,
        "LOGGING_API_SERVICE_DESCRIPTOR": logging or info.logging_endpoint.url,
        "STATUS_API_SERVICE_DESCRIPTOR": info.status_endpoint.url,
    }
    found = {name: f'url: "{unquoted(url)}"' for name, url in named.items() if url}
    options = json.dumps(struct_to_dict(info.pipeline_options))
    capabilities = " ".join(info.runner_capabilities)
    return {**found, "WORKER_ID": worker_id, "PIPELINE_OPTIONS": options, "RUNNER_CAPABILITIES": capabilities}


if __name__ == "__main__":
    main()
