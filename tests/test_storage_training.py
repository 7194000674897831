"""Training reads stores on object storage: the same model as from a disk, with and without a cache, and under DVC."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from corpus_tools import contents, copy_project, corpus_files, environment, parameters, prepare, run_stage
from object_store import BUCKET, ObjectStore, reached

from base import files
from base.errors import DataError
from readers import open_store
from readers.cache import cached

pytestmark = pytest.mark.storage

REMOTE = f"s3://{BUCKET}"
FIT = {"epochs": 2, "batch_size": 8}
CNN = {"network": "cnn", "view": "mfcc", "source": "mfcc", "filters": [4], "kernel_size": 3, "dense_units": []}


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """A server with an empty bucket, to which this process and its children find."""
    with reached() as started:
        yield started


@pytest.fixture(scope="module")
def home(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stores of the small corpus, which are in the bucket too."""
    folder = tmp_path_factory.mktemp("training")
    prepare(folder, corpus_files(), **changes())
    for stage, *arguments in (
        ("ingest", "raw", "data/clips"),
        ("select", "data/clips", "data/selection.parquet"),
        ("extract", "data/clips", "data/selection.parquet", "data/features/mfcc"),
    ):
        assert run_stage(folder, stage, *arguments).code == 0
    store.put("features", folder / "data/features")
    return folder


def changes() -> dict[str, object]:
    """What is otherwise than in the project's params.yaml: one small network, fitted for a moment."""
    return {"train__recipes": {"short": {"fit": FIT}, "real": {}}, "models": {"cnn": {**CNN, "dropout": 0.1}}}


def run(folder: Path, *arguments: str) -> None:
    variables = {**environment(), "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def network(folder: Path) -> bytes:
    (found,) = folder.glob("*.keras")
    return found.read_bytes()


READ_AND_END = """
import sys
from readers import open_store
far, near = (open_store(each) for each in sys.argv[1:])
for kind in ({}, {"shuffle": 20, "seed": 3}, {"shuffle": 1000, "seed": 5}):
    ids = [[name for batch in each.dataset("train", 7, columns=("id", "label"), **kind).as_numpy_iterator()
            for name in batch["id"].tolist()] for each in (far, near)]
    assert ids[0] == ids[1] and len(set(ids[0])) == sum(each.records for each in near.shards("train"))
endless = iter(far.dataset("train", 2, shuffle=10, seed=1, repeat=True))
next(endless)
print("read")
"""


def test_tensorflow_reads_in_the_order_of_a_disk_and_ends_in_the_middle_of_reading(home: Path) -> None:
    arguments = (f"{REMOTE}/features/mfcc", f"{home}/data/features/mfcc")
    variables = {**environment(), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", READ_AND_END, *arguments],
        env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr


@pytest.mark.slow
def test_a_model_of_a_remote_store_is_that_of_a_local_one_with_a_cache_too(home: Path, store: ObjectStore) -> None:
    far = f"{REMOTE}/features/mfcc"
    run(home, "training.train", "cnn", "data/features/mfcc", "models/near")
    run(home, "training.train", "cnn", far, "models/far")
    content = yaml.safe_load((home / "params.yaml").read_text())
    content["train"]["cache"] = "cache"
    (home / "params.yaml").write_text(yaml.safe_dump(content))
    store.counts()
    run(home, "training.train", "cnn", far, "models/cached")
    shards = [count for (kind, key), count in store.counts().items() if kind == "GET" and ".tfrecord-" in key]
    assert shards and set(shards) == {1}
    assert network(home / "models/near") == network(home / "models/far") == network(home / "models/cached")
    run(home, "training.evaluate", "models/near", "data/features/mfcc", "evaluation/near")
    run(home, "training.evaluate", "models/far", far, "evaluation/far")
    assert contents(home / "evaluation/far") == contents(home / "evaluation/near")


def test_a_cache_fetches_again_what_has_another_hash_and_refuses_what_was_not_written(
    home: Path, store: ObjectStore, tmp_path: Path
) -> None:
    far = open_store(f"{REMOTE}/features/mfcc")
    near = cached(far, str(tmp_path), ["test"])
    assert list(map(str, near.records("test"))) == list(map(str, far.records("test")))
    store.counts()
    cached(far, str(tmp_path), ["test"])
    assert not store.counts()
    shard = far.shards("test")[0]
    place = Path(near.path, shard.file)
    place.write_bytes(place.read_bytes()[:-1] + b"?")
    assert files.sha256(f"{cached(far, str(tmp_path), ['test']).path}/{shard.file}") == shard.sha256
    store.put("other", home / "data/features/mfcc" / Path(far.path).name)
    other = open_store(f"{REMOTE}/other")
    wrong = files.read_bytes(f"{far.path}/{shard.file}")[:-1] + b"?"
    store.client.put_object(Bucket=BUCKET, Key=f"other/{shard.file}", Body=wrong)
    with pytest.raises(DataError, match=r"is not the file that was written: make the store again"):
        cached(other, str(tmp_path / "new"), ["test"])
    with pytest.raises(DataError, match="name a folder of a local disk"):
        cached(far, f"{REMOTE}/cache", ["test"])


def dvc(folder: Path, *arguments: str) -> str:
    variables = {
        **environment(),
        "CUDA_VISIBLE_DEVICES": "-1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_dvc_makes_remote_stores_once_and_again_where_a_parameter_changes(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    copy_project(project)
    (project / "params.yaml").write_text(yaml.safe_dump(parameters(**changes())))
    shutil.copyfile(project / "deploy/remote/dvc.yaml.example", project / "deploy/remote/dvc.yaml")
    (project / "deploy/remote/store.yaml").write_text(
        yaml.safe_dump({"remote": {"raw": f"{home}/raw", "store": f"{REMOTE}/dvc", "view": "mfcc", "model": "cnn"}})
    )
    dvc(project, "init", "--no-scm", "--force")
    target = "deploy/remote/dvc.yaml"
    dvc(project, "repro", target)
    tracked = files.read_bytes(f"{project}/remote/mfcc.json")
    version = open_store(f"{REMOTE}/dvc/features/mfcc").path
    assert files.read_bytes(f"{version}/manifest.json") == tracked
    assert "didn't change, skipping" in dvc(project, "repro", target)
    content = parameters(**changes())
    content["select"]["seed"] += 1
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    said = dvc(project, "repro", f"{target}:extract")
    assert "Running stage 'deploy/remote/dvc.yaml:extract'" in said
    assert "Running stage 'deploy/remote/dvc.yaml:ingest'" not in said
