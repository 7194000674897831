"""The template of Dataflow: parameters that are checked, and the graph of a job that is built without a cloud."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import shard_hashes
from corpus_tools import ROOT, environment, prepare, run_stage

DEPLOY = ROOT / "deploy" / "dataflow"
METADATA: dict[str, Any] = json.loads((DEPLOY / "metadata.json").read_text())
FIELDS = {"name", "label", "helpText", "isOptional", "regexes"}
IN_THE_CLOUD = ("--project=some-project", "--region=europe-west1", "--temp_location=gs://bucket/temp")
IMAGE = "europe-docker.pkg.dev/some-project/images/keyword-spotting:1"

with_clients_of_clouds = pytest.mark.skipif(
    importlib.util.find_spec("apitools") is None,
    reason="for an environment with the clients of clouds: run `make test-pipelines`",
)


def parameter(name: str) -> dict[str, Any]:
    (found,) = (each for each in METADATA["parameters"] if each["name"] == name)
    return dict(found)


def accepts(name: str, value: str) -> bool:
    return all(re.fullmatch(each, value) for each in parameter(name)["regexes"])


def test_every_parameter_is_an_option_of_the_program_and_is_checked() -> None:
    from pipelines.engine.template import main

    options = {each.name for each in main.params if each.name != "beam_options"}
    assert {each["name"] for each in METADATA["parameters"]} == options
    assert all(set(each) == FIELDS and each["regexes"] for each in METADATA["parameters"])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("stage", ["ingest", "extract"], ["train", "ingest,select", ""]),
        (
            "clips",
            ["gs://bucket/clips", "gs://b-1/a/b"],
            ["data/clips", "gs://bucket", "s3://bucket/clips", "gs://B/x"],
        ),
        ("selection", ["gs://bucket/selection.parquet"], ["gs://bucket/selection", "gs://bucket/.parquet/"]),
        ("features", ["gs://bucket/mfcc", "gs://bucket/mfcc,gs://bucket/f/logmel"], ["gs://bucket/mfcc,", "mfcc"]),
        ("parameters", ["gs://bucket/params.yaml"], ["gs://bucket/params.json", "params.yaml"]),
    ],
)
def test_a_parameter_takes_what_the_stage_takes(name: str, good: list[str], bad: list[str]) -> None:
    assert all(accepts(name, value) for value in good)
    assert not any(accepts(name, value) for value in bad)


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.engine.template", *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stage=train",), "stage train: expected one of ingest, select, augment, extract"),
        (("--stage=extract", "--clips=gs://b/c"), "stage extract needs the parameter selection, features"),
    ],
)
def test_what_is_missing_is_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    done = template(*arguments)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith(f"error: {message}")


PROGRAM = """
import json, sys
import fsspec
from apache_beam.runners.dataflow.internal.apiclient import DataflowApplicationClient

from apache_beam.options.pipeline_options import GoogleCloudOptions

staged = {}
GoogleCloudOptions._warn_if_soft_delete_policy_enabled = lambda *_: None  # asks the bucket
DataflowApplicationClient.stage_file = lambda self, place, name, stream, *_, **__: staged.update({name: stream.read()})
source, written, stage, *options = sys.argv[1:]
for place in ("raw", "clips", "selection.parquet"):
    fsspec.filesystem("memory").put(f"{source}/{place}", f"/{place}", recursive=True)
sys.argv = ["x", *options]
from pipelines.engine import start
start.import_ahead()
import importlib
from base import command
main = importlib.import_module(f"pipelines.{stage}.{stage}").main
try:
    command.run(main, options)
finally:
    from apache_beam.portability.api import beam_runner_api_pb2
    from google.protobuf import json_format
    graph = beam_runner_api_pb2.Pipeline.FromString(staged["pipeline.pb"])
    job = json.loads(staged["job.json"])
    json.dump({"job": job, "graph": json_format.MessageToDict(graph), "staged": sorted(staged)}, open(written, "w"))
"""
"""Builds the graph of a stage whose files are in memory; what would go to a bucket goes into a file."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    prepare(folder, shard_hashes.corpus())
    for stage, *arguments in (("ingest", "raw", "clips"), ("select", "clips", "selection.parquet")):
        assert run_stage(folder, stage, *arguments).code == 0
    return folder


def graph_of(stores: Path, written: Path, stage: str, *paths: str) -> dict[str, Any]:
    """The job and the graph that would be submitted."""
    options = (
        "--runner=DataflowRunner",
        *IN_THE_CLOUD,
        "--no_auth",
        f"--sdk_container_image={IMAGE}",
        "--sdk_location=container",
        "--template_location=gs://bucket/template/job.json",
        "--job_name=some-job",
    )
    command = [sys.executable, "-c", PROGRAM, str(stores), str(written), stage, *paths, *options]
    done = subprocess.run(command, cwd=stores, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "the job was submitted; the output takes its place when the job ends" in done.stderr
    content: dict[str, Any] = json.loads(written.read_text())
    return content


STEPS = {
    "ingest": {"Parts", "scatter", "To each shard", "Group by shard", "seal", "commit"},
    "select": {"Row groups", "Spread over workers", "find", "commit"},
    "extract": {"Clip shards", "Spread over workers", "featurize"},
}
PATHS = {
    "ingest": ("memory://raw", "memory://made/clips"),
    "select": ("memory://clips", "memory://made/selection.parquet"),
    "extract": ("memory://clips", "memory://selection.parquet", "memory://made/mfcc"),
}


@with_clients_of_clouds
@pytest.mark.parametrize("stage", STEPS)
def test_the_graph_has_the_steps_the_image_and_the_options_and_no_local_path(
    stage: str, stores: Path, tmp_path: Path
) -> None:
    found = graph_of(stores, tmp_path / "graph.json", stage, *PATHS[stage])
    transforms = found["graph"]["components"]["transforms"].values()
    top = {each["uniqueName"].partition("/")[0] for each in transforms if each.get("uniqueName")}
    assert top >= STEPS[stage]
    (image,) = {each["environmentId"] for each in transforms if "environmentId" in each and "subtransforms" not in each}
    payload = found["graph"]["components"]["environments"][image]
    assert payload["urn"] == "beam:env:docker:v1"
    text = json.dumps(found)
    assert not any(str(path) in text for path in (stores, tmp_path, ROOT, sys.prefix))
    job = json.dumps(found["job"])
    assert "some-job" in job and "gs://bucket/temp" in job and IMAGE in job
    assert set(found["staged"]) <= {"job.json", "pipeline.pb", "submission_environment_dependencies.txt"}


@with_clients_of_clouds
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--project=Some Project", *IN_THE_CLOUD[1:]), "Invalid Project ID (Some Project)"),
        (IN_THE_CLOUD[:2], "Missing GCS path option: temp_location"),
        ((*IN_THE_CLOUD[:2], "--temp_location=/temp"), "Invalid GCS path (/temp)"),
        (IN_THE_CLOUD, "there are no credentials of Google's cloud here"),
        (
            (*IN_THE_CLOUD, "--no_auth"),
            "raw is on this machine, where workers of DataflowRunner can't see it",
        ),
    ],
)
def test_a_wrong_option_of_the_cloud_is_one_sentence(
    options: tuple[str, ...], message: str, stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # whether this is a machine of that cloud
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    outcome = run_stage(stores, "ingest", "raw", "clips", "--runner=DataflowRunner", *options)
    assert outcome.code == 1 and len(outcome.stderr.splitlines()) == 1, outcome.stderr
    assert outcome.stderr.startswith("error: ") and message in outcome.stderr


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_image_holds_what_its_steps_take_and_nothing_else() -> None:
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY" and not rest.startswith("--from")]
    files = {path for group in copied for path in group}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == files
    assert all((ROOT / path).exists() for path in files)
    assert ("ENTRYPOINT", '["/opt/apache/beam/boot"]') in instructions()


@pytest.mark.slow
def test_the_steps_of_the_image_install_the_package_in_a_clean_environment(tmp_path: Path) -> None:
    """Run one by one on this machine, with an environment in place of the image's Python."""
    from benchmarks.installed import on_top

    root, python = tmp_path / "root", on_top(tmp_path / "environment")
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            place = root / target.lstrip("/")
            for source in sources:
                is_file = (ROOT / source).is_file()
                copy = ["cp", "-r", str(ROOT / source), str(place / source if is_file else place)]
                (place if is_file else place.parent).mkdir(parents=True, exist_ok=True)
                subprocess.run(copy, check=True)
        elif name == "RUN" and "/build" in rest and "--requirement" not in rest:
            words = rest.replace("/build", str(root / "build")).split()
            subprocess.run([str(python), *words[1:]], check=True, capture_output=True)
    variable = dict(rest.split("=", 1) for name, rest in instructions() if name == "ENV")
    program = variable["FLEX_TEMPLATE_PYTHON_PY_FILE"].partition("/site-packages/")[2]
    (installed,) = (tmp_path / "environment").glob(f"lib/*/site-packages/{program}")
    done = subprocess.run(
        [str(python), str(installed), "--stage=extract"], cwd=root / "template", capture_output=True, text=True
    )
    assert done.stderr.startswith("error: stage extract needs the parameter clips, selection, features"), done.stderr
    assert python.with_name("keyword-spotting-worker").is_file()
