"""Stores on object storage: a server of Amazon's protocol on this machine, every stage, the bytes of a local disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from corpus_tools import (
    WORDS,
    Outcome,
    assert_refused,
    contents,
    corpus_files,
    environment,
    prepare,
    tar_gz,
    voice,
    wav,
    write_parameters,
)
from object_store import BUCKET, SECRET, Counts, ObjectStore, reached
from serving_tools import tiny_export
from storage_tools import STAGES, run_module, run_stages, start_and_kill

from base import conditional, files
from base.claim import claimed, work_of_folder
from base.errors import DataError
from pipelines.engine import work as engine_work
from pipelines.engine.work import begin_store
from readers import open_store

pytestmark = pytest.mark.storage

SHARDS = 8
REMOTE = f"s3://{BUCKET}"
MOST_REQUESTS = 4
"""For a shard that a stage makes, besides the ones that carry what is in it."""
CONSTANT_REQUESTS = 60
"""For a stage, whatever its shards: the lock, the plan, the metadata, what the inputs say of themselves."""


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    """A server with an empty bucket, to which this process and its children find."""
    with reached() as started:
        yield started


@pytest.fixture
def store(server: ObjectStore) -> ObjectStore:
    """The server, which breaks nothing and has counted nothing."""
    server.break_one_in(0)
    server.counts()
    return server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the small corpus, and in `data` what the stages make of it on a disk."""
    folder = tmp_path_factory.mktemp("storage")
    prepare(folder, corpus_files(), ingest__shards=SHARDS)
    run_stages(folder, "data")
    return folder


@pytest.fixture(scope="module")
def made(server: ObjectStore, home: Path) -> dict[str, Counts]:
    """What the stages make of the small corpus below `data` in the bucket; stage → the requests that it took."""
    counts: dict[str, Counts] = {}
    server.counts()
    for stage in STAGES:
        run_stages(home, f"{REMOTE}/data", (stage,))
        counts[stage[0]] = server.counts()
    return counts


def remote_contents(server: ObjectStore, folder: str) -> dict[str, str]:
    """Every object in a folder of the bucket: path → SHA-256."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in server.objects(folder).items()}


def test_every_stage_makes_the_same_files_as_on_a_disk_and_leaves_no_other(
    server: ObjectStore, home: Path, made: object
) -> None:
    assert remote_contents(server, "data") == contents(home / "data")


def test_what_is_dealt_out_to_the_shards_stays_on_this_machine_and_goes(
    store: ObjectStore, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run_stages(home, f"{REMOTE}/dealt", STAGES[:1])
    assert not [key for _, key in store.counts() if "spill-" in key]
    assert [os.listdir(each) for each in tmp_path.glob("keyword-spotting-*")] == [[]]


@pytest.mark.parametrize("stage", ["ingest", "extract"])
def test_a_shard_takes_few_requests_besides_its_data(stage: str, made: dict[str, Counts]) -> None:
    views = 2 if stage == "extract" else 1
    shards = SHARDS * (3 * views if stage == "extract" else 1)
    found = Counter[str]()
    for (kind, key), count in made[stage].items():
        if key.endswith("/lock") or (kind == "LIST" and "/_work/" in key):
            continue  # the lock and the progress, which go by the time
        is_data = kind in ("GET", "PUT") and any(
            part in key for part in (".tfrecord-", "spill-", "catalog", "selection.parquet", "rejects")
        )
        found["data" if is_data else kind] += count
    besides = sum(found.values()) - found["data"]
    assert besides <= MOST_REQUESTS * shards + CONSTANT_REQUESTS, found


@pytest.mark.parametrize(
    "arguments",
    [
        ("registry", "verify", "{root}/clips"),
        ("registry", "verify", "{root}/augmented/ninefold/clips"),
        ("registry", "verify", "{root}/features/mfcc"),
        ("registry", "describe", "{root}/features/mfcc"),
        ("registry", "diff", "{root}/features/mfcc", "{root}/features/waveform"),
        ("registry", "validate", "{root}/features/mfcc"),
    ],
    ids=lambda arguments: "-".join(arguments[1:]).replace("{root}/", "").replace("/", "-"),
)
def test_a_command_says_of_a_remote_store_what_it_says_of_a_local_one(
    arguments: tuple[str, ...], home: Path, made: object
) -> None:
    local, far = (
        run_module(home, *(each.format(root=root) for each in arguments)) for root in ("data", f"{REMOTE}/data")
    )
    assert far.returncode == local.returncode, far.stderr
    assert far.stdout.replace(f"{REMOTE}/", "") == local.stdout


def test_samples_and_exports_of_a_remote_store_are_those_of_a_local_one(home: Path, made: object) -> None:
    for name, root in (("local", "data"), ("far", f"{REMOTE}/data")):
        for arguments in (
            ("sample", f"{root}/features/mfcc", "--word", WORDS[0], "--count", "2", "--output", f"{name}/samples"),
            ("export", f"{root}/features/mfcc", f"{name}/parquet", "--format", "parquet"),
        ):
            done = run_module(home, "registry", *arguments)
            assert done.returncode == 0, done.stderr
    assert contents(home / "far") == contents(home / "local")


def test_numpy_reads_a_remote_store(home: Path, made: object) -> None:
    local, far = (open_store(f"{root}/features/mfcc") for root in (home / "data", f"{REMOTE}/data"))
    one, other = local.numpy("train"), far.numpy("train")
    for name, values in one.load().items():
        assert (other.load()[name] == values).all()
    assert list(map(str, far.records("test"))) == list(map(str, local.records("test")))
    assert far.catalog().equals(local.catalog()) and open_store(far.path, verify="hashes").counts == local.counts


def test_predict_archive_labels_a_remote_archive_into_remote_files(
    store: ObjectStore, home: Path, tmp_path: Path
) -> None:
    export = tiny_export(tmp_path / "tiny", ("_silence_", "_unknown_", *WORDS[:2]))
    archive = tar_gz((f"audio/clip_{number}.wav", wav(voice(number))) for number in range(9))
    (tmp_path / "clips.tar.gz").write_bytes(archive)
    store.client.put_object(Bucket=BUCKET, Key="clips.tar.gz", Body=archive)
    for root in (str(tmp_path), REMOTE):
        labels = run_module(
            home, "serving.predict_archive", str(export), f"{root}/clips.tar.gz", f"{root}/labels/labels.csv"
        )
        assert labels.returncode == 0, labels.stderr
    assert remote_contents(store, "labels") == contents(tmp_path / "labels")


def test_a_server_that_breaks_one_request_in_fifty_changes_no_byte(store: ObjectStore, home: Path) -> None:
    store.break_one_in(50)
    extract = ("extract", "{root}/clips", "{root}/selection.parquet", "{root}/features/mfcc")
    run_stages(home, f"{REMOTE}/broken", (*STAGES[:2], extract))
    store.break_one_in(0)
    broken = {key: count for (kind, key), count in store.counts().items() if kind == "BROKEN"}
    left_out = ("augmented/", "features/waveform/")
    expected = {name: each for name, each in contents(home / "data").items() if not name.startswith(left_out)}
    assert remote_contents(store, "broken") == expected
    assert len(broken) == 3, broken  # of each kind one at least


def test_a_killed_run_is_resumed_and_what_an_older_plan_left_is_not_taken_for_finished(
    store: ObjectStore, home: Path, tmp_path: Path
) -> None:
    output = f"{REMOTE}/killed/clips"
    other = tmp_path / "other"
    shutil.copytree(home / "raw", other / "raw")
    write_parameters(other, ingest__shards=SHARDS, ingest__silence__hop_ms=500)
    older = {path.split("/_work/")[1].partition("/")[0] for path in start_and_kill(other, output)} - {"lock"}
    left = start_and_kill(home, output)
    assert older and not any(plan in path for plan in older for path in left)
    sealed = [path for path in left if "/seal-" in path]
    store.counts()
    run_stages(home, f"{REMOTE}/killed", STAGES[:1])
    assert remote_contents(store, "killed/clips") == contents(home / "data" / "clips")
    written = [key for kind, key in store.counts() if kind == "PUT"]
    assert sealed and not [path for path in sealed if path.removeprefix(f"{REMOTE}/") in written]


def test_a_new_plan_replaces_the_store_and_removes_what_it_does_not_name(
    store: ObjectStore, home: Path, tmp_path: Path
) -> None:
    shutil.copytree(home / "raw", tmp_path / "raw")
    write_parameters(tmp_path, ingest__shards=3)
    run_stages(home, f"{REMOTE}/replaced", STAGES[:1])
    run_stages(tmp_path, f"{REMOTE}/replaced", STAGES[:1])
    run_stages(tmp_path, "data", STAGES[:1])
    assert remote_contents(store, "replaced/clips") == contents(tmp_path / "data" / "clips")


def test_a_large_file_goes_in_one_request_and_comes_back_whole(store: ObjectStore) -> None:
    content = os.urandom(1 << 20) * 110
    path = f"{REMOTE}/large/file"
    with files.published(path) as file:
        file.write(content)
    assert store.counts() == {("PUT", "large/file"): 1}
    with files.open_for_reading(path) as back:
        assert hashlib.sha256(back.read()).digest() == hashlib.sha256(content).digest()
    with files.local_copy(path) as copy:
        assert Path(copy).read_bytes() == content


@pytest.mark.parametrize("name", ["two words", "a+b=c&d", "100%", "%41", "[x]*?", "~#{}", "ä 漢.wav", "'\"`"])
def test_names_are_taken_literally(name: str, store: ObjectStore) -> None:
    path = f"{REMOTE}/names/{name}"
    files.write_text(path, name)
    assert store.objects("names") == {name: name.encode()}
    assert files.names(f"{REMOTE}/names") == [name]
    assert files.read_text(path) == name
    files.move(path, f"{path} moved")
    assert store.objects("names") == {f"{name} moved": name.encode()}
    files.remove(f"{path} moved")
    assert not store.objects("names")


FORK = """
import os, sys
from base import files
from base.errors import DataError
files.names(sys.argv[1])
if os.fork() == 0:
    try:
        files.names(sys.argv[1])
    except DataError as error:
        print(error)
    os._exit(0)
os.wait()
"""


def test_a_forked_process_is_told_to_start_otherwise_instead_of_waiting_forever(store: ObjectStore) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, REMOTE],
        env=environment(), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "forkserver" in done.stdout


def test_credentials_come_from_the_files_of_aws_configure(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    keys = f"aws_access_key_id = someone\naws_secret_access_key = {SECRET}\n"
    (tmp_path / ".aws" / "config").write_text(f"[default]\n{keys}region = us-east-1\nendpoint_url = {store.address}\n")
    files.write_text(f"{REMOTE}/profile/file", "content")
    variables = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    code = "import sys; from base import files; print(files.read_text(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, f"{REMOTE}/profile/file"], env=variables | {"HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "content\n", done.stderr


def test_a_second_run_is_refused_and_a_dead_holder_holds_nothing(store: ObjectStore) -> None:
    output = f"{REMOTE}/locked/clips"
    work = work_of_folder(output)
    lock = f"{work}/lock"
    with claimed(output, work, lambda: None):
        refused = pytest.raises(DataError, match=f"is being written by process {os.getpid()} on ")
        with refused, claimed(output, work, lambda: None):
            pass
        held = json.loads(files.read_bytes(lock))
    assert not files.exists(lock)
    files.write_text(lock, json.dumps({**held, "started": "1"}))
    with claimed(output, work, lambda: None):
        assert json.loads(files.read_bytes(lock))["holder"] != held["holder"]


def test_a_holder_on_another_machine_is_waited_for_and_lives_if_it_renews(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("base.lease.LOST_SECONDS", 1.0)
    monkeypatch.setattr("base.lease._LOOK_SECONDS", 0.2)
    output = f"{REMOTE}/elsewhere/clips"
    work = work_of_folder(output)
    holder = {"pid": 1, "host": "elsewhere", "since": "then", "machine": "another", "holder": "it", "renewals": 0}
    files.write_text(f"{work}/lock", json.dumps(holder))
    begun = time.monotonic()
    with claimed(output, work, lambda: None):
        assert time.monotonic() - begun >= 1.0
    files.write_text(f"{work}/lock", json.dumps(holder))
    real, looks = conditional.read_marked, Counter[str]()

    def renewed(path: str) -> tuple[bytes, str] | None:
        looks["seen"] += 1
        files.write_text(path, json.dumps({**holder, "renewals": looks["seen"]}))
        return real(path)

    monkeypatch.setattr(conditional, "read_marked", renewed)
    refused = pytest.raises(DataError, match="is being written by process 1 on elsewhere since then")
    with refused, claimed(output, work, lambda: None):
        pass


HOLD = """
import sys, time
from base import lease
lease.RENEWED_SECONDS = 0.2
with lease.held(sys.argv[1], "OUTPUT"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_whose_lock_another_has_taken_ends(store: ObjectStore, tmp_path: Path) -> None:
    lock = f"{REMOTE}/taken/_work/lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    files.write_text(lock, json.dumps({"pid": 1, "host": "other", "since": "now", "holder": "another"}))
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "OUTPUT was taken over by process 1 on other since now" in stderr


def test_credentials_are_in_no_file_no_account_and_no_error(store: ObjectStore, home: Path, made: object) -> None:
    assert not any(SECRET.encode() in data for data in store.objects("data").values())
    wrong = {**os.environ, "AWS_ENDPOINT_URL": f"http://user:{SECRET}@127.0.0.1:9"}
    for arguments, variables in (
        (("pipelines.select", f"{REMOTE}/data/clips", f"{REMOTE}/x.parquet"), wrong),
        (("pipelines.select", f"{REMOTE}/none/clips", f"{REMOTE}/x.parquet"), dict(os.environ)),
        (("pipelines.select", "s3://nobody/clips", f"{REMOTE}/x.parquet"), dict(os.environ)),
        (("pipelines.select", f"s3://someone:{SECRET}@bucket/clips", f"{REMOTE}/x.parquet"), dict(os.environ)),
        (("registry", "describe", f"nothing://{BUCKET}/data/clips"), dict(os.environ)),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=home, env=environment() | variables | {"PYTHONPATH": os.getcwd()},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert SECRET not in done.stdout + done.stderr
        assert_refused(Outcome(done.returncode, done.stderr))


def test_without_credentials_a_command_says_so(store: ObjectStore, home: Path) -> None:
    without = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    without |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(home), "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(
        [sys.executable, "-m", "registry", "describe", f"{REMOTE}/data/clips"], cwd=home,
        env=without | {"AWS_ENDPOINT_URL": store.address}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert_refused(Outcome(done.returncode, done.stderr), "credentials")


def test_progress_lists_a_remote_folder_now_and_then_only(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    work = begin_store(f"{REMOTE}/progress", {})
    files.write_text(work.report_path("step", 0), "{}")
    store.counts()
    found = [work.reports("step") for _ in range(100)]
    assert sum(store.counts().values()) == 0 and set(found) == {0}
    monkeypatch.setattr(engine_work, "_LOOK_SECONDS", 0.0)
    assert work.reports("step") == 1


def test_local_paths_import_no_client_of_storage(home: Path) -> None:
    code = "import sys; from readers import open_store; len(open_store('data/features/mfcc').numpy('train')[0]); "
    code += "print([each for each in ('fsspec', 'obstore', 'botocore') if each in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
