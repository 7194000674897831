"""What hostile input is fed to, and what may come of it: one function of bytes for each reader of foreign data.

A target raises where its reader ends in anything but a value or the error that it documents. `fuzz.py` feeds them what
a coverage-guided fuzzer makes up; `test_fuzz.py` what Hypothesis makes up, and the inputs that were kept.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from base import params
from base.errors import DataError
from features.audio import first_sample
from features.audio_file import AudioError, AudioFile
from features.labels import is_line
from pipelines import layouts
from pipelines.archives import CORPUS_FILE, described
from pipelines.ingest import scatter
from pipelines.ingest.archive import read_members
from pipelines.ingest.config import Ingest
from pipelines.ingest.tar import Member
from pipelines.ingest.zip import read_zip
from pipelines.layouts import Background, ClipList, Utterance
from pipelines.select.condition import checked
from pipelines.select.config import Select
from readers.arrays import ShardReader
from stores.framing import frame, read_records, record_positions
from stores.manifest import Manifest, Shard
from stores.records import CLIP_RECORD
from stores.selection import read_task
from stores.writing import digest

LONGEST_MESSAGE: Final = 2_000
INPUTS: Final = Path(__file__).with_name("fuzz_inputs")
"""A folder for each target, with the inputs of interest that were found."""
ROOT: Final = Path(__file__).parent.parent

BLOCK = 512


@dataclass(frozen=True)
class Target:
    """A reader of foreign data.

    Attributes:
        feed: gives it an input; raises where it does what it must not do.
        seeds: inputs to begin with.
        longest: bytes of an input.
    """

    feed: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 4_096


@contextlib.contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """Take the documented errors, whose messages must be short enough to be read."""
    try:
        yield
    except errors as error:
        assert 0 < len(str(error)) < LONGEST_MESSAGE, f"a message of {len(str(error))} characters"


def feed_audio(data: bytes) -> None:
    with refusing(AudioError):
        file = AudioFile(data)
        sizes = [block.size for block in file.blocks()]
        assert file.size == sum(sizes) > 0 and min(sizes) > 0
        for second in ("start", "center", "loudest"):
            start = first_sample(file.blocks(), file.size, second)
            assert 0 <= start < file.size
            assert file.stretch(start, start + 16_000).size == min(file.size - start, 16_000)


def wave(bits: int = 16, encoding: int = 1, channels: int = 1, rate_hz: int = 16_000) -> bytes:
    block = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, encoding, channels, rate_hz, rate_hz * block, block, bits)
    data = bytes(range(64)) * block
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def audio_seeds() -> Iterator[bytes]:
    import soundfile

    forms = ((16, 1, 1, 16_000), (8, 1, 2, 8_000), (32, 3, 1, 44_100), (8, 6, 1, 8_000))
    for bits, encoding, channels, rate_hz in forms:
        yield wave(bits, encoding, channels, rate_hz)
    for form, subtype in (("WAVEX", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)):
        out = io.BytesIO()
        soundfile.write(out, np.zeros(200), 16_000, format=form, subtype=subtype)
        yield out.getvalue()


def _consume(members: Iterator[Member]) -> None:
    for member in members:
        assert member.data is None or len(member.data) <= 2 << 20  # a sparse file: 1 MiB and 100 times what is stored
        assert member.data is None or not member.fault


def feed_tar(data: bytes) -> None:
    """The bytes as an archive, plain or packed; headers that look like some get their checksums."""
    content = bytearray(data + bytes(-len(data) % BLOCK) + bytes(2 * BLOCK))
    for start in range(0, len(content), BLOCK):
        header = content[start : start + BLOCK]
        if header[257:262] == b"ustar":
            header[148:156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    with refusing(DataError):
        _consume(read_members(io.BytesIO(content), "a.tar"))


def tar_seeds() -> Iterator[bytes]:
    import tarfile

    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as archive:
            for name in ("yes/a_nohash_0.wav", "ü" * (120 if form != tarfile.USTAR_FORMAT else 20), "link"):
                info = tarfile.TarInfo(name)
                info.size = 0 if name == "link" else 3
                info.type = tarfile.SYMTYPE if name == "link" else tarfile.REGTYPE
                info.pax_headers = {"size": "3"} if form == tarfile.PAX_FORMAT and info.size else {}
                archive.addfile(info, io.BytesIO(b"abc"))
        yield out.getvalue()[: 14 * BLOCK]
    for text in (b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n28 GNU.sparse.realsize=9999\n", b"9 size=1\n"):
        info = tarfile.TarInfo("headers")
        info.type, info.size = tarfile.XHDTYPE, len(text)
        file = tarfile.TarInfo("yes/a")
        file.size = BLOCK
        yield info.tobuf() + text.ljust(BLOCK, b"\0") + file.tobuf() + b"1\n0\n1\n".ljust(BLOCK, b"\0")


def feed_packed(data: bytes) -> None:
    """The bytes as a packed archive: of tar where they begin as gzip does, else of zip."""
    with refusing(DataError):
        if data.startswith(b"\x1f\x8b"):
            _consume(read_members(io.BytesIO(data), "a.tar.gz"))
        else:
            _consume(read_zip(io.BytesIO(data), "a.zip"))


def packed_seeds() -> Iterator[bytes]:
    yield gzip.compress(next(tar_seeds()) + bytes(4 * BLOCK), mtime=0)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            archive.writestr("yes/a_nohash_0.wav", b"abc" * 9)
            archive.writestr("ü/b", b"")
        yield out.getvalue()


@lru_cache(maxsize=1)
def _all_layouts() -> list[layouts.Layout]:
    from stores.lineage import Archive

    archives = (Archive("a.tar", "main", 1, "0" * 64, "local", None, name) for name in layouts.names())
    return [
        layouts.of(each if each.layout == "speech_commands" else replace(each, corpus="mine", speaker="(?P<speaker>.)"))
        for each in archives
    ]


def feed_names(data: bytes) -> None:
    """The bytes as the name of a file, in every layout."""
    path = data.decode("utf-8", "replace")
    for layout in _all_layouts():
        role = layout.role(path)
        if isinstance(role, ClipList):
            continue
        for header, _ in scatter._entries(Member(path, b""), layout, "main", _ingest()):
            if header["kind"] in ("utterance", "silence", "recording"):
                assert is_line(header["id"]) and len(digest(header["id"])) == 16
                assert not header.get("speaker") or is_line(header["speaker"])
            if isinstance(role, Utterance | Background):
                assert header["kind"] in ("utterance", "reject", "recording")
    layouts.recognize([path], noise=False)
    layouts.recognize([path], noise=True)


@lru_cache(maxsize=1)
def _ingest() -> Ingest:
    found: Ingest = params.load("ingest", Ingest, ROOT / "params.yaml")
    return found


def name_seeds() -> Iterator[bytes]:
    yield from (
        b"yes/0a7c2a8d_nohash_0.wav", b"./_background_noise_/hum.wav", b"_silence_/1024.wav", b"testing_list.txt",
        b"_unknown_/cat_0a_nohash_1.wav.wav", b"recordings/3_theo_1.wav", b"en/clips/word/common_voice_1.opus",
        b"noise/free-sound/noise-free-sound-0000.wav", b"DKITCHEN/ch01.wav", b"FSD50K.dev_audio/12.wav",
        b"audio_files/ab-12.wav", b"music/fma/music-fma-0000.wav", b"__MACOSX/._a.wav",
        "да/а.mp3".encode(), b"a\nb/c.wav",
    )  # fmt: skip


LISTS: Final = (
    ("speech_commands", "testing_list.txt"),
    ("listed", "train.csv"),
    ("mswc", "en_splits.csv"),
    ("mswc", "en_dev.csv"),
    ("hey_snips", "train.json"),
    ("fsd50k", "FSD50K.ground_truth/dev.csv"),
    ("musan", "music/fma/ANNOTATIONS"),
)


def feed_lists(data: bytes) -> None:
    """The bytes after the first as a list, of the kind that the first byte says."""
    name, path = LISTS[data[0] % len(LISTS) if data else 0]
    layout = next(each for each in _all_layouts() if type(each) is type(layouts.find(name)))
    with refusing(DataError):
        for header, _ in scatter._list_entries(Member(path, data[1:]), layout):
            for key in ("id", "word", "speaker"):
                assert not header.get(key) or (is_line(header[key]) and digest(header[key]))


def list_seeds() -> Iterator[bytes]:
    texts = (
        "yes/0a_nohash_0.wav\nno/0b_nohash_1.wav\n",
        'file,class\na/b.wav,yes\n"c.wav","no"\n',
        "SET,LINK,WORD,VALID,SPEAKER,GENDER\nTRAIN,yes/a.opus,yes,True,abc,NA\n",
        "LINK,WORD,VALID,SPEAKER,GENDER\nyes/a.opus,yes,True,NA,NA\n",
        '[{"is_hotword": 1, "worker_id": "w", "audio_file_path": "audio_files/a.wav", "id": "a", "duration": 1.0}]',
        'fname,labels,mids,split\n1,"Rain,Water","/m/0",train\n',
        "music-fma-0000 rock,pop N artist\n",
    )
    yield from (bytes([number]) + text.encode() for number, text in enumerate(texts))


def feed_records(data: bytes) -> None:
    """The bytes as a file of records: as they are, and as one record with its checksums."""
    for content in (data, frame(data)):
        with refusing(DataError):
            found = list(read_records(io.BytesIO(content), "a.tfrecord"))
            assert len(record_positions(content, "a.tfrecord")) == len(found)
            for record in found:
                with refusing(DataError):
                    values = CLIP_RECORD.decode(record)
                    assert CLIP_RECORD.encode(values) == record
                    batch = CLIP_RECORD.decode_batch([record, record])
                    assert batch["id"].tolist() == [values["id"]] * 2


def record_seeds() -> Iterator[bytes]:
    clip: dict[str, Any] = {"id": "yes/a_nohash_0", "length": 16_000, "speaker": "a", "word": "yes"}
    record = CLIP_RECORD.encode({"audio": np.zeros(16_000, np.int16), **clip})
    yield record
    yield frame(record)
    yield frame(b"") + frame(b"abc")


def feed_manifest(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with refusing(DataError):
        manifest = Manifest.from_json(text, "manifest.json")
        assert Manifest.from_json(manifest.to_json(), "manifest.json") == manifest
        assert all(shard.records >= 0 for shard in manifest.shards)
        ShardReader("folder", manifest.shards)


def manifest_seeds() -> Iterator[bytes]:
    shard = Shard("clips-unsplit.tfrecord-00000-of-00001", "unsplit", 3, 90, "0" * 64)
    manifest = Manifest(
        name="clips", version="1.0.0", definition=None, archives=(), clip_parameters={}, task=None, shards=(shard,)
    )
    yield manifest.to_json().encode()
    yield _of_features(shard).to_json().encode()


def _of_features(shard: Shard) -> Manifest:
    from features.views import Waveform, definition, version
    from stores.lineage import Archive, SplitRule, Task

    rule, counts = SplitRule("official", (8, 1, 1), ""), {"train": {"a": 3}}
    task = Task("t", ("a", "b"), rule, "mean", 0.5, "cut", 0, counts, "0" * 64)
    view = Waveform(kind="waveform", sample_rate_hz=8_000)
    return Manifest(
        name="w", version=version(view), definition=definition(view), clip_parameters={}, task=task, shards=(shard,),
        archives=(Archive("a.tar", "main", 1, "0" * 64, "local", None),), tables={"catalog.parquet": "0" * 64},
    )  # fmt: skip


@lru_cache(maxsize=1)
def _folder() -> Path:
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix=f"fuzz-{os.getpid()}-", dir=memory if memory.is_dir() else None))


def feed_corpus(data: bytes) -> None:
    (_folder() / CORPUS_FILE).write_bytes(data)
    with refusing(DataError):
        for archive in described(str(_folder())):
            assert archive.bytes >= 0 and "/" not in archive.file
            with refusing(DataError):
                layouts.of(archive).role("yes/a_nohash_0.wav")


def corpus_seeds() -> Iterator[bytes]:
    facts = {"file": "a.tar", "role": "main", "bytes": 3, "sha256": "0" * 64, "source": "local", "license": None}
    rules = {"layout": "words", "corpus": "a-b", "speaker": "(?P<speaker>[a-z]+)_"}
    yield json.dumps({"archives": [{**facts, **rules}]}).encode()


def feed_params(data: bytes) -> None:
    path = _folder() / "params.yaml"
    path.write_bytes(data)
    for section, kind in (("ingest", Ingest), ("select", Select)):
        with refusing(DataError):
            params.load(section, kind, path)


def params_seeds() -> Iterator[bytes]:
    text = (ROOT / "params.yaml").read_text()
    sections = ["ingest:" + text.partition("\ningest:")[2].partition("\n\n")[0]]
    sections.append("select:" + text.partition("\nselect:")[2].partition("\n\n")[0])
    yield from (section.encode() for section in sections)
    yield b"a: &a [1, {b: 2}]\nc: *a\n<<: {d: .inf}\n"


def feed_condition(data: bytes) -> None:
    with refusing(ValueError):
        checked(data.decode("utf-8", "replace")[:1000])


def condition_seeds() -> Iterator[bytes]:
    yield from (
        b"snr_db > 10 and not cut_end", b"word in ['a', \"b\"]", b"speaker is not null or length <= -3.5e2",
        b"not (clipped == 0)", b"(word != 'x') and cut_start",
    )  # fmt: skip


def feed_selection(data: bytes) -> None:
    path = _folder() / "selection.parquet"
    path.write_bytes(data)
    with refusing(DataError):
        read_task(str(path))


def selection_seeds() -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stores.selection import schema_of

    out = io.BytesIO()
    task = _of_features(Shard("a-b.tfrecord-00000-of-00001", "train", 1, 1, "0" * 64)).task
    assert task
    table = pa.table([["a", "b"], [0, 1], ["train", "test"]], schema=schema_of(task))
    pq.write_table(table, out, write_page_checksum=True, compression="none")
    yield out.getvalue()


TARGETS: Final = {
    "audio": Target(feed_audio, audio_seeds),
    "tar": Target(feed_tar, tar_seeds, 8_192),
    "packed": Target(feed_packed, packed_seeds),
    "names": Target(feed_names, name_seeds, 256),
    "lists": Target(feed_lists, list_seeds, 1_024),
    "records": Target(feed_records, record_seeds, 40_000),
    "manifest": Target(feed_manifest, manifest_seeds),
    "corpus": Target(feed_corpus, corpus_seeds, 1_024),
    "params": Target(feed_params, params_seeds),
    "condition": Target(feed_condition, condition_seeds, 512),
    "selection": Target(feed_selection, selection_seeds, 8_192),
}


def kept(name: str) -> list[Path]:
    """The inputs of interest of a target that were kept."""
    folder = INPUTS / name
    return sorted(folder.iterdir()) if folder.is_dir() else []
