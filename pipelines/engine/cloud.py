"""What Dataflow needs, looked for before a stage touches anything: options of the right form, and credentials."""

from __future__ import annotations

from importlib import import_module

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, SetupOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import PipelineRunner

from base.errors import DataError

_LOG_IN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def check(runner: PipelineRunner, options: PipelineOptions, name: str) -> None:
    """See that a job can be submitted to Dataflow; its steps are in modules, so nothing of this process goes with it.

    Beam's own check of these options asks the storage and makes a bucket; this one does so only to say who asks.

    Args:
        runner: Beam's runner.
        options: Beam's options.
        name: the runner as the command line names it.

    Raises:
        DataError: an option is missing or wrong, or there are no credentials.
    """
    cloud, validator = options.view_as(GoogleCloudOptions), PipelineOptionsValidator(options, runner)
    problems = validator.validate_cloud_options(cloud) + validator.validate_gcs_path(cloud, "temp_location")
    if cloud.staging_location is not None:
        problems += validator.validate_gcs_path(cloud, "staging_location")
    if problems:
        raise DataError(f"--runner={name}: {problems[0]} Correct the option")
    options.view_as(SetupOptions).save_main_session = False
    if cloud.no_auth:
        return
    try:
        auth, faults = import_module("google.auth"), import_module("google.auth.exceptions")
    except ImportError as error:
        raise DataError(
            f"--runner={name} needs the environment of requirements-pipelines.txt, with its clients of Google's cloud"
        ) from error
    try:
        auth.default(scopes=[_SCOPE])
    except faults.DefaultCredentialsError as error:
        raise DataError(f"--runner={name}: there are no credentials of Google's cloud here: {_LOG_IN}") from error
