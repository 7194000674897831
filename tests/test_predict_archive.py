"""predict_archive: every clip of an archive gets the label that predict gives it, in order, and none is lost."""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from command_tools import exit_code
from corpus_tools import Outcome, contents, environment, tar_gz, voice, wav
from serving_tools import tiny_export

from base.errors import DataError
from features.audio import encode_audio
from features.audio_file import AudioFile, decode
from serving import predict
from serving.model import Model, open_model
from serving.predict_archive import source
from serving.predict_archive.outputs import below_shared_folder
from serving.predict_archive.predict_archive import labels_of, main
from serving.recognizer import Listening

CLASSES = ("_silence_", "_unknown_", "yes", "no")
ONE, TWO = "--direct_num_workers=1", "--direct_num_workers=2"


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_export(tmp_path_factory.mktemp("export") / "tiny", CLASSES)


@pytest.fixture(scope="module")
def model(export: Path) -> Model:
    return open_model(export)


def flac(samples: np.ndarray, rate_hz: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format="FLAC")
    return out.getvalue()


def clip_files(count: int = 40) -> dict[str, bytes]:
    """Unlabeled clips, not in order: WAVE files of up to a second, one FLAC file of 8 kHz, and a longer file."""
    names = [f"clip_{number:09d}.wav" for number in np.random.default_rng(0).permutation(10 * count)[:count]]
    found = {name: wav(voice(seed, (16_000, 9_000, 16_000)[seed % 3])) for seed, name in enumerate(names)}
    return {**found, "clip_slow.flac": flac(voice(97, 8_000), 8_000), "clip_long.wav": wav(voice(98, 40_000))}


BAD = {
    "empty.wav": b"",
    "cut.wav": wav(voice(1))[:-100],
    "text.wav": b"no audio at all",
    "noise.mp3": b"ID3" + bytes(90),
}
DOCUMENTS = {"LICENSE": b"CC BY 4.0\n", "README.md": b"Clips.\n", ".hidden.wav": b"", "__MACOSX/._clip.wav": b"x"}


def write_tar(place: Path, files: Mapping[str, bytes], folder: str) -> None:
    place.write_bytes(tar_gz((f"{folder}{name}", data) for name, data in files.items()))
    if place.suffix == ".tar":
        import gzip

        place.write_bytes(gzip.decompress(place.read_bytes()))


def write_zip(place: Path, files: Mapping[str, bytes], folder: str) -> None:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{folder}{name}", data)


def write_folder(place: Path, files: Mapping[str, bytes], folder: str) -> None:
    for name, data in files.items():
        path = place / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


WRITERS: dict[str, Callable[[Path, Mapping[str, bytes], str], None]] = {
    "clips.tar.gz": write_tar,
    "clips.tar": write_tar,
    "clips.zip": write_zip,
    "clips": write_folder,
}


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Outcome]:
    """Run the command in this process and in tmp_path."""

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        monkeypatch.chdir(tmp_path)
        code = exit_code(main, *arguments, ONE)
        return Outcome(code, capfd.readouterr().err)

    return run


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("folder", ["", "./test/audio/"])
def test_every_clip_has_the_label_and_the_probabilities_that_predict_gives_it_in_order_of_name(
    kind: str, folder: str, export: Path, model: Model, tmp_path: Path, call: Callable[..., Outcome]
) -> None:
    files = clip_files()
    WRITERS[kind](tmp_path / kind, {**DOCUMENTS, **files}, folder)
    outcome = call(export, kind, "out.csv")
    assert outcome.code == 0, outcome.stderr
    assert "out.csv: 42 clips\n" in outcome.stderr
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert rows(tmp_path / "out.csv") == [["fname", "label"], *([row["fname"], row["label"]] for row in table)]
    assert [row["fname"] for row in table] == sorted(files)
    for row in table:
        recording = decode(files[row["fname"]])
        first = AudioFile(encode_audio(recording.samples[:16_000], 16_000))
        expected = predict.decode_recording(model, row["fname"], first, Listening())
        assert row["seconds"] == len(recording.samples) / 16_000
        assert row["label"] == CLASSES[int(np.argmax(row["probabilities"]))] == expected.top[0].word
        assert sorted(row["probabilities"], reverse=True)[:3] == [guess.probability for guess in expected.top]
    assert rows(tmp_path / "out.rejects.csv") == [["fname", "reason", "detail"]]
    assert not (tmp_path / "_work").exists()
    described = pq.read_schema(tmp_path / "out.parquet").metadata
    assert described[b"model"] == b"tiny" and (b"archive_sha256" in described) == (kind != "clips")


@pytest.mark.parametrize("kind", WRITERS)
def test_clips_that_can_not_be_read_have_a_row_a_reason_and_the_label_asked_for(
    kind: str, export: Path, tmp_path: Path, call: Callable[..., Outcome]
) -> None:
    WRITERS[kind](tmp_path / kind, {**clip_files(6), **BAD}, "")
    assert call(export, kind, "out.csv").code == 0
    labels = dict(rows(tmp_path / "out.csv")[1:])
    assert {labels[name] for name in BAD} == {"_unknown_"} and len(labels) == 12
    rejects = rows(tmp_path / "out.rejects.csv")[1:]
    assert [name for name, _, _ in rejects] == sorted(BAD)
    assert {name: reason for name, reason, _ in rejects} == {
        "cut.wav": "truncated", "empty.wav": "empty", "noise.mp3": "undecodable", "text.wav": "not_wave"
    }  # fmt: skip
    nothing = {row["fname"] for row in pq.read_table(tmp_path / "out.parquet").to_pylist() if not row["probabilities"]}
    assert nothing == set(BAD)
    outcome = call(export, kind, "out.csv", "--unreadable", "_silence_", "--plain-labels")
    assert "4 could not be read or are repeated: see out.rejects.csv" in outcome.stderr
    again = dict(rows(tmp_path / "out.csv")[1:])
    assert {again[name] for name in BAD} == {"silence"}
    assert {name: label.strip("_") for name, label in labels.items() if name not in BAD}.items() <= again.items()


def test_what_an_archive_has_twice_links_and_what_a_folder_can_not_open_are_named(
    export: Path, tmp_path: Path, call: Callable[..., Outcome]
) -> None:
    first, second = wav(voice(1)), wav(voice(2))
    with tarfile.open(tmp_path / "clips.tar", "w") as archive:
        for name, data in (("a.wav", first), ("b.wav", second), ("./a.wav", second)):
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
        link = tarfile.TarInfo("link.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "a.wav"
        archive.addfile(link)
    assert call(export, "clips.tar", "out.csv").code == 0
    assert [name for name, _ in rows(tmp_path / "out.csv")[1:]] == ["a.wav", "b.wav", "link.wav"]
    assert [row[:2] for row in rows(tmp_path / "out.rejects.csv")[1:]] == [
        ["a.wav", "repeated"],
        ["link.wav", "not_a_file"],
    ]
    folder = tmp_path / "folder"
    write_folder(folder, {"b.wav": second, "a.wav": first}, "")
    (folder / "gone.wav").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.wav")
    assert call(export, "folder", "more.csv").code == 0
    assert [row[:2] for row in rows(tmp_path / "more.rejects.csv")[1:]] == [
        ["gone.wav", "not_a_file"],
        ["pipe.wav", "not_a_file"],
    ]
    once, again = (pq.read_table(tmp_path / name).to_pylist() for name in ("out.parquet", "more.parquet"))
    assert once[:2] == again[:2]


def test_names_that_are_no_utf_8_and_names_with_commas_and_line_breaks_have_their_row(
    export: Path, tmp_path: Path, call: Callable[..., Outcome]
) -> None:
    names = ['with,"comma".wav', "two\nlines.wav", "über.wav"]
    write_folder(tmp_path / "clips", {name: wav(voice(seed)) for seed, name in enumerate(names)}, "")
    (tmp_path / "clips" / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"no audio")
    assert call(export, "clips", "out.csv").code == 0
    assert [name for name, _ in rows(tmp_path / "out.csv")[1:]] == sorted([*names, "caf\ufffd.wav"])
    assert [row[0] for row in rows(tmp_path / "out.rejects.csv")[1:]] == ["caf\ufffd.wav"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clips.zip", "out.txt"), "out.txt: expected a name that ends in .csv"),
        (("absent.tar", "out.csv"), "absent.tar: no such file or folder"),
        (("clip.wav", "out.csv"), "clip.wav: expected a folder or a name that ends in .tar.gz"),
        (("documents.tar.gz", "out.csv"), "has no audio file, expected anything.wav"),
        (("nothing", "out.csv"), "nothing has no audio file, expected anything.wav"),
        (("bad.zip", "out.csv"), "none of 4 clips can be read; the first is cut.wav: truncated"),
        (("cut.tar.gz", "out.csv"), "cut.tar.gz is damaged or cut short"),
        (("clips.zip", "out.csv", "--second=last"), "--second"),
        (("clips.zip", "out.csv", "--direct_num_wokers=2"), "no such option"),
    ],
)
def test_a_mistake_ends_in_a_sentence_and_leaves_what_was_there(
    arguments: tuple[str, ...], message: str, export: Path, tmp_path: Path, call: Callable[..., Outcome]
) -> None:
    write_zip(tmp_path / "clips.zip", clip_files(3), "")
    write_zip(tmp_path / "bad.zip", BAD, "")
    write_tar(tmp_path / "documents.tar.gz", DOCUMENTS, "")
    write_folder(tmp_path / "nothing", DOCUMENTS, "")
    (tmp_path / "clip.wav").write_bytes(wav(voice(1)))
    (tmp_path / "cut.tar.gz").write_bytes(tar_gz(clip_files(9).items())[:-2_000])
    before = {name: f"{name} of the run before" for name in ("out.csv", "out.parquet", "out.rejects.csv")}
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    outcome = call(export, *arguments)
    assert outcome.code in (1, 2) and message in outcome.stderr and "Traceback" not in outcome.stderr
    assert {name: (tmp_path / name).read_text() for name in before} == before


def started(folder: Path, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "serving.predict_archive", *(str(each) for each in arguments)]
    return subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.DEVNULL)


def outputs(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in contents(folder).items() if name.startswith(("out", "_work"))}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clips.tar.gz", "clips"])
def test_one_worker_two_workers_other_modes_and_a_run_that_was_killed_give_the_same_bytes(
    kind: str, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = clip_files(1_200)
    runs = {"one": [ONE], "killed": [TWO]}
    if kind != "clips":
        runs |= {"two": [TWO], "threads": ["--direct_running_mode=multi_threading", TWO]}
    for name in runs:
        (tmp_path / name).mkdir()
        WRITERS[kind](tmp_path / name / kind, {**files, **BAD}, "test/")
    if kind == "clips":
        facts = {path.name: path.stat() for path in (tmp_path / "one/clips/test").iterdir()}
        for name in runs:
            for path in (tmp_path / name / "clips/test").iterdir():
                os.utime(path, ns=(facts[path.name].st_atime_ns, facts[path.name].st_mtime_ns))
    killed = started(tmp_path / "killed", export, kind, "out.csv", *runs["killed"])
    folder = tmp_path / "killed/_work/out.csv"
    while not list(folder.glob("*/classify-*.json")):
        assert killed.poll() is None
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = {path: path.stat().st_mtime_ns for path in folder.glob("*/classified-*.parquet")}
    assert done and not (tmp_path / "killed/out.csv").exists()
    for name, options in runs.items():
        assert started(tmp_path / name, export, kind, "out.csv", *options).wait(timeout=300) == 0
    expected = outputs(tmp_path / "one")
    assert len(rows(tmp_path / "one/out.csv")) == 1 + len(files) + len(BAD) and len(expected) == 3
    assert {name: outputs(tmp_path / name) for name in runs} == dict.fromkeys(runs, expected)


def test_a_finished_shard_is_not_classified_again(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Outcome]
) -> None:
    monkeypatch.setattr(source, "BYTES_PER_SHARD", 40_000)
    write_tar(tmp_path / "clips.tar.gz", clip_files(40), "")
    opened = list[str]()
    from serving.predict_archive import classify

    decoded = classify.decoded

    def interrupted(path: str, data: bytes, second: object) -> object:
        opened.append(path)
        if len(opened) == 20:
            raise DataError("the power is gone")
        return decoded(path, data, second)  # type: ignore[arg-type]

    monkeypatch.setattr(classify, "decoded", interrupted)
    assert "the power is gone" in call(export, "clips.tar.gz", "out.csv").stderr
    assert not (tmp_path / "out.csv").exists()
    before = len(opened)
    assert call(export, "clips.tar.gz", "out.csv").code == 0
    assert 42 < len(opened) < before + 42
    assert len(rows(tmp_path / "out.csv")) == 43


def test_another_export_or_another_archive_begins_again(
    export: Path, tmp_path: Path, call: Callable[..., Outcome]
) -> None:
    write_zip(tmp_path / "clips.zip", clip_files(5), "")
    assert call(export, "clips.zip", "out.csv").code == 0
    before = (tmp_path / "out.parquet").read_bytes()
    other = tiny_export(tmp_path / "other", CLASSES, seed=5)
    assert call(other, "clips.zip", "out.csv").code == 0
    assert (tmp_path / "out.parquet").read_bytes() != before
    write_zip(tmp_path / "clips.zip", dict(list(clip_files(5).items())[:3]), "")
    assert call(other, "clips.zip", "out.csv").code == 0
    assert len(rows(tmp_path / "out.csv")) == 4


def test_which_second_of_a_longer_clip_is_taken_can_be_chosen(
    export: Path, model: Model, tmp_path: Path, call: Callable[..., Outcome]
) -> None:
    long = voice(3, 48_000)
    write_folder(tmp_path / "clips", {"long.wav": wav(long)}, "")
    for second, start in (("start", 0), ("center", 16_000)):
        assert call(export, "clips", "out.csv", "--second", second).code == 0
        (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
        expected = model.probabilities(long[None, start : start + 16_000])[0]
        assert row["probabilities"] == expected.tolist() and row["seconds"] == 3


def test_labeling_imports_no_tensorflow(export: Path, tmp_path: Path) -> None:
    write_zip(tmp_path / "clips.zip", clip_files(3), "")
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('tensorflow', 'keras')))\n"
        "from base import command; from serving.predict_archive.predict_archive import main; command.run(main)"
    )
    arguments = [sys.executable, "-c", code, str(export), "clips.zip", "out.csv", ONE]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0 and "out.csv: 5 clips" in done.stderr


def test_an_export_that_changes_on_the_way_is_noticed(export: Path, tmp_path: Path) -> None:
    from serving.predict_archive.classify import _model

    copy = Path(shutil.copytree(export, tmp_path / "copy"))
    with pytest.raises(DataError, match="has changed while its model was in use"):
        _model(str(copy), "0" * 64)


def test_names_lose_the_folders_that_all_have_and_no_others() -> None:
    assert below_shared_folder(["test/audio/a.wav", "test/audio/b.wav"]) == ["a.wav", "b.wav"]
    assert below_shared_folder(["test/a/x.wav", "test/b/x.wav"]) == ["a/x.wav", "b/x.wav"]
    assert below_shared_folder(["test/a/x.wav", "test/x.wav"]) == ["a/x.wav", "x.wav"]
    assert below_shared_folder(["x.wav", "test/x.wav"]) == ["x.wav", "test/x.wav"]
    assert below_shared_folder(["test/ab/x.wav", "test/abc/x.wav"]) == ["ab/x.wav", "abc/x.wav"]


def test_labels_without_underscores_must_stay_apart() -> None:
    assert labels_of(CLASSES, None, plain=True).shown == ("silence", "unknown", "yes", "no")
    assert labels_of(("yes", "no"), None, plain=False).shown_unreadable == ""
    with pytest.raises(DataError, match="two would have the same name"):
        labels_of(("_unknown_", "unknown"), None, plain=True)
