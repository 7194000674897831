"""Made-up miniatures of each layout: the files of an archive, and what the catalog and the rejects must say of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile
from corpus_tools import RATE_HZ, Samples, tar_gz, voice

Row = tuple[str, str | None, str | None]
"""Word, speaker and official split."""


@dataclass(frozen=True)
class Miniature:
    """An archive of a layout.

    Attributes:
        file: its name, which says the format; a name without an ending is a folder.
        layout: the layout that must be found.
        files: path → content, in the archive's order.
        clips: id → what the catalog must say.
        words: of the task.
        rejects: path → reason.
        recordings: names of the background recordings that are cut.
        source: further keys of its entry in corpus.sources.
        method: of the split.
    """

    file: str
    layout: str
    files: Sequence[tuple[str, bytes]]
    clips: Mapping[str, Row]
    words: Sequence[str]
    rejects: Mapping[str, str] = field(default_factory=dict)
    recordings: Sequence[str] = ()
    source: Mapping[str, str] = field(default_factory=dict)
    method: str = "speaker"

    def write(self, folder: Path) -> dict[str, Any]:
        """Write it into a folder; its entry for corpus.sources."""
        write_archive(folder / self.file, self.files)
        return {"path": str(folder / self.file), **self.source}


def write_archive(place: Path, files: Sequence[tuple[str, bytes]]) -> None:
    """Write files as an archive of the format that the name says, or as a folder."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as zipped:
            for path, data in files:
                zipped.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED)
    elif place.name.endswith((".tar.gz", ".tgz")):
        place.write_bytes(tar_gz(files))
    else:
        for path, data in files:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(data)


def encoded(samples: Samples, form: str, rate_hz: int = RATE_HZ) -> bytes:
    """Samples as a file of a form of audio, such as "opus"."""
    kind, subtype = {
        "wav": ("WAV", "PCM_16"),
        "flac": ("FLAC", "PCM_16"),
        "ogg": ("OGG", "VORBIS"),
        "opus": ("OGG", "OPUS"),
        "mp3": ("MP3", "MPEG_LAYER_III"),
    }[form]
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format=kind, subtype=subtype)
    return out.getvalue()


def half_a_second(seed: int, form: str = "wav", rate_hz: int = RATE_HZ) -> bytes:
    """A voice of its own."""
    return encoded(voice(seed, rate_hz // 2), form, rate_hz)


FORMS = ("wav", "flac", "ogg", "opus", "mp3")
PEOPLE = tuple("abcdefgh")
BROKEN = b"no sound"


def words() -> Miniature:
    """A plain folder of words in all forms of audio, with the speaker in the file's name."""
    said = [(word, who, FORMS[n % 5]) for word in ("grün", "zoom in") for n, who in enumerate(PEOPLE)]
    files = [(f"{word}/{who}_1.{form}", half_a_second(n, form)) for n, (word, who, form) in enumerate(said)]
    return Miniature(
        file="my_words",
        layout="words",
        files=[
            *files,
            ("grün/a_2.wav", BROKEN),
            ("grün/a_3.opus", half_a_second(90, "opus")[:200]),
            ("alone.wav", half_a_second(91)),
            ("grün/notes.txt", b"notes"),
            ("grün/.hidden.wav", BROKEN),
            ("_background_noise_/hum.flac", encoded(voice(92, 24_000), "flac")),
        ],
        clips={f"{word}/{who}_1@my-words": (word, f"{who}@my-words", None) for word, who, _ in said},
        words=["grün", "zoom in"],
        rejects={"grün/a_2.wav": "not_wave", "grün/a_3.opus": "undecodable", "alone.wav": "unexpected_name"},
        recordings=["hum@my-words"],
        source={"speaker": r"/(?P<speaker>[a-z])_\d"},
    )


def words_of_nobody() -> Miniature:
    """A plain folder of words that does not say who speaks."""
    said = [(word, n) for word in ("yes", "no") for n in range(16)]
    return Miniature(
        file="nobody.tgz",
        layout="words",
        files=[(f"top/{word}/{n}.wav", half_a_second(n + 20 * (word == "no"))) for word, n in said],
        clips={f"{word}/top-{n}@nobody": (word, None, None) for word, n in said},
        words=["yes", "no"],
    )


def spoken_digits() -> Miniature:
    """Digits at 8 kHz, in a folder with the name of a release."""
    said = [(digit, who) for digit in (0, 7) for who in PEOPLE]
    return Miniature(
        file="digits.tar.gz",
        layout="spoken_digits",
        files=[
            ("release-1.0/README.md", b"Digits"),
            *(
                (f"release-1.0/recordings/{d}_{who}_{n}.wav", half_a_second(n, rate_hz=8_000))
                for n, (d, who) in enumerate(said)
            ),
            ("release-1.0/recordings/ten_a_0.wav", half_a_second(80)),
            ("release-1.0/recordings/7_a_99.wav", BROKEN),
        ],
        clips={
            f"{'seven' if d else 'zero'}/{who}@digits_nohash_{n}": ("seven" if d else "zero", f"{who}@digits", None)
            for n, (d, who) in enumerate(said)
        },
        words=["zero", "seven"],
        rejects={
            "release-1.0/recordings/ten_a_0.wav": "unexpected_name",
            "release-1.0/recordings/7_a_99.wav": "not_wave",
        },
    )


SETS = {"TRAIN": "train", "DEV": "validation", "TEST": "test"}


def mswc() -> Miniature:
    """Opus clips of words in Unicode, with the list before, in a zip archive."""
    said = [(word, split, n) for word in ("größe", "aujourd’hui") for split in SETS for n in range(2)]
    link = {each: f"{each[0]}/common_voice_xx_{number}.opus" for number, each in enumerate(said)}
    lines = [f"{each[1]},{link[each]},{each[0]},True,{'f' * 8}{each[1]},OTHER" for each in said]
    lines += ["TRAIN,größe/common_voice_xx_90.opus,größe,False,NA,NAN", "DEV,größe/absent.opus,größe,True,s,NAN"]
    return Miniature(
        file="xx.zip",
        layout="mswc",
        files=[
            ("xx/version.txt", b"version 1.0"),
            ("xx/xx_splits.csv", "\n".join(["SET,LINK,WORD,VALID,SPEAKER,GENDER", *lines]).encode()),
            *((f"xx/clips/{link[each]}", half_a_second(n, "opus", 48_000)) for n, each in enumerate(said)),
            ("xx/clips/größe/common_voice_xx_90.opus", half_a_second(90, "opus", 48_000)),
            ("xx/clips/größe/common_voice_xx_91.opus", half_a_second(91, "opus", 48_000)),
        ],
        clips={
            f"{link[each].removesuffix('.opus')}@mswc": (each[0], f"{'f' * 8}{each[1]}@mswc", SETS[each[1]])
            for each in said
        },
        words=["größe", "aujourd’hui"],
        rejects={
            "xx/clips/größe/common_voice_xx_90.opus": "not_valid",
            "xx/clips/größe/common_voice_xx_91.opus": "not_listed",
        },
        method="official",
    )


def listed() -> Miniature:
    """Clips whose words stand in lists at the archive's end."""
    said = [(word, split, n) for word in ("open", "zoom out") for split in ("train", "val", "test") for n in range(2)]
    name = {each: f"{each[0]}/0000{number:04d}_NO_01.wav" for number, each in enumerate(said)}
    lists = {
        split: "\n".join(["file,class", *(f"{name[each]},{each[0]}" for each in said if each[1] == split)])
        for split in ("train", "val", "test")
    }
    stem = {each: name[each].removesuffix(".wav").replace("/", "-") for each in said}
    return Miniature(
        file="Arabic Commands.tar.gz",
        layout="listed",
        files=[
            *((f"dataset/{name[each]}", half_a_second(n)) for n, each in enumerate(said)),
            ("dataset/open/99999999_NO_01.wav", half_a_second(70)),
            ("background_noise/street.wav", encoded(voice(71, 33_000), "wav")),
            *((f"{split}.csv", text.encode()) for split, text in lists.items()),
        ],
        clips={
            f"_clip_/{stem[each]}@arabic-commands": (
                each[0],
                f"{name[each].rpartition('/')[2][:8]}@arabic-commands",
                each[1].replace("val", "validation"),
            )
            for each in said
        },
        words=["open", "zoom out"],
        rejects={"dataset/open/99999999_NO_01.wav": "not_listed"},
        recordings=["street@arabic-commands"],
        source={"speaker": r"(?P<speaker>\d{8})_NO_"},
        method="official",
    )


def hey_snips() -> Miniature:
    """A wake word and other speech, with a list in JSON for each split."""
    parts = {"train": "train", "dev": "validation", "test": "test"}
    said = [(split, hot, n) for split in parts for hot in (1, 0) for n in range(2)]
    entries = {
        part: [
            {
                "id": f"{part}-{hot}-{n}",
                "is_hotword": hot,
                "worker_id": None if n else f"worker {part}",
                "duration": 0.5,
                "audio_file_path": f"audio_files/{part}-{hot}-{n}.wav",
            }
            for split, hot, n in said
            if split == part
        ]
        for part in parts
    }
    return Miniature(
        file="hey_snips.tar.gz",
        layout="hey_snips",
        files=[
            *((f"top/{part}.json", json.dumps(each).encode()) for part, each in entries.items()),
            *((f"top/audio_files/{s}-{hot}-{k}.wav", half_a_second(n)) for n, (s, hot, k) in enumerate(said)),
            ("top/audio_files/lost.wav", half_a_second(60)),
        ],
        clips={
            f"_clip_/{s}-{hot}-{n}@hey-snips": (
                "hey snips" if hot else "_other_",
                None if n else f"worker {s}@hey-snips",
                parts[s],
            )
            for s, hot, n in said
        },
        words=["hey snips", "_other_"],
        rejects={"top/audio_files/lost.wav": "not_listed"},
        method="official",
    )


def unlabeled() -> Miniature:
    """Clips of which nothing is known."""
    return Miniature(
        file="street.zip",
        layout="unlabeled",
        files=[*((f"{n}.wav", half_a_second(n)) for n in range(20)), ("bad.mp3", b"ID3 no sound")],
        clips={f"_clip_/{n}@street": ("_unlabeled_", None, None) for n in range(20)},
        words=["_unlabeled_"],
        rejects={"bad.mp3": "undecodable"},
    )


def musan() -> Miniature:
    """Noise, music with and without vocals, and speech."""
    sound = encoded(voice(5, 24_000), "wav")
    return Miniature(
        file="musan.tar.gz",
        layout="musan",
        files=[
            ("musan/speech/librivox/speech-librivox-0000.wav", sound),
            ("musan/noise/free-sound/noise-free-sound-0000.wav", sound),
            ("musan/noise/free-sound/ANNOTATIONS", b"any text"),
            ("musan/music/fma/music-fma-0000.wav", encoded(voice(6, 24_000), "wav")),
            ("musan/music/fma/music-fma-0001.wav", encoded(voice(7, 24_000), "wav")),
            ("musan/music/fma/ANNOTATIONS", b"music-fma-0000 jazz N A B\nmusic-fma-0001 rock,pop Y C\n"),
        ],
        clips={},
        words=[],
        rejects={
            "musan/speech/librivox/speech-librivox-0000.wav": "human_voice",
            "musan/music/fma/music-fma-0001.wav": "human_voice",
        },
        recordings=["noise-free-sound-0000@musan", "music-fma-0000@musan"],
    )


def demand() -> Miniature:
    """Two scenes of three microphones each."""
    scenes = ("DKITCHEN", "TMETRO")
    return Miniature(
        file="demand.zip",
        layout="demand",
        files=[
            (f"{scene}/ch0{n}.wav", encoded(voice(n + 10 * (scene == "TMETRO"), 24_000), "wav"))
            for scene in scenes
            for n in (1, 2, 3)
        ],
        clips={},
        words=[],
        rejects={f"{scene}/ch0{n}.wav": "other_channel" for scene in scenes for n in (2, 3)},
        recordings=[f"{scene}@demand" for scene in scenes],
    )


def fsd50k() -> Miniature:
    """Sounds with labels, of which some hold voices, in the order audio, labels."""
    sounds = {"1": "Rain", "2": "Speech,Human_voice", "3": "Laughter,Human_voice", "4": "Engine"}
    return Miniature(
        file="FSD50K.tar.gz",
        layout="fsd50k",
        files=[
            *((f"FSD50K.dev_audio/{n}.wav", encoded(voice(int(n), 44_100 * 2), "wav", 44_100)) for n in sounds),
            ("FSD50K.eval_audio/5.wav", encoded(voice(5, 30_000), "wav")),
            (
                "FSD50K.ground_truth/dev.csv",
                "\n".join(
                    ["fname,labels,mids,split", *(f'{n},"{of}","/m/0",train' for n, of in sounds.items())]
                ).encode(),
            ),
        ],
        clips={},
        words=[],
        rejects={
            "FSD50K.dev_audio/2.wav": "human_voice",
            "FSD50K.dev_audio/3.wav": "human_voice",
            "FSD50K.eval_audio/5.wav": "not_listed",
        },
        recordings=["1@fsd50k", "4@fsd50k"],
    )


def noise() -> Miniature:
    """A folder of anybody's noise."""
    return Miniature(
        file="rooms.zip",
        layout="noise",
        files=[
            ("kitchen/morning.ogg", encoded(voice(3, 24_000), "ogg")),
            ("short.wav", encoded(voice(4, 900), "wav")),
            ("README", b"Rooms"),
        ],
        clips={},
        words=[],
        rejects={"short.wav": "too_short"},
        recordings=["kitchen-morning@rooms"],
        source={"role": "noise"},
    )


MINIATURES = {
    each.__name__: each
    for each in (
        words, words_of_nobody, spoken_digits, mswc, listed, hey_snips, unlabeled, musan, demand, fsd50k, noise
    )
}  # fmt: skip
