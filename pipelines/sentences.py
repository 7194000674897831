"""`python -m pipelines.sentences`: hours of sentences by synthetic voices, without the words of Speech Commands.

They are for tests of models that listen to continuous audio: whatever such a model hears in them is a mistake.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import numpy as np
from scipy import signal

from base import command
from base.errors import DataError
from base.files import published
from features.splits import hash64
from pipelines.corpus import acoustics, espeak, synthesis
from pipelines.corpus.synthesis import WORDS, Speaker

_PEOPLE: Final = (
    "my brother", "her aunt", "the teacher", "a neighbor", "the old sailor", "their doctor", "a young singer",
    "the baker", "our guide", "the children", "some visitors", "the engineer", "a farmer", "his daughter",
    "the mayor", "most people", "the painter", "a stranger", "the whole class", "my grandmother",
)  # fmt: skip
_DEEDS: Final = (
    "found", "carried", "sold", "painted", "remembered", "borrowed", "repaired", "described", "wanted", "opened",
    "lost", "brought", "kept", "studied", "watched", "cleaned", "collected", "measured", "promised", "ignored",
)  # fmt: skip
_THINGS: Final = (
    "the letters", "a basket of apples", "an umbrella", "the second chapter", "a bottle of milk", "the garden gate",
    "some music", "a heavy box", "the broken window", "an answer", "the morning paper", "a map of the city",
    "several books", "the wooden table", "a piece of cake", "the bicycle", "their luggage", "a photograph",
    "the soup", "an empty page",
)  # fmt: skip
_TIMES: Final = (
    "yesterday", "before breakfast", "in the evening", "after the concert", "every summer", "last winter",
    "this morning", "at the station", "near the river", "behind the school", "in the kitchen", "under the bridge",
    "during the storm", "without a word", "very slowly", "for a good reason", "with great care",
    "at the end of the month", "by accident", "in a small village",
)  # fmt: skip
_FRAMES: Final = (
    "{who} {did} {what} {when}.",
    "{when}, {who} {did} {what}.",
    "I think that {who} {did} {what}.",
    "Did you hear that {who} {did} {what} {when}?",
    "Nobody knew why {who} {did} {what}.",
    "{who} {did} {what}, and {other} {also} {more} {when}.",
    "What happened when {who} {did} {what}?",
    "Perhaps {who} {did} {what} because {other} {also} {more}!",
)
_PAUSE_S: Final = (0.2, 1.5)
_SENTENCES_AT_ONCE: Final = 20
_PEAK: Final = 0.5


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--hours", default=1.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--voices", default=16, show_default=True, type=click.IntRange(2, 500))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--without", multiple=True, help="A word that must not be said either; may be given again.")
def main(folder: Path, hours: float, voices: int, seed: int, without: Sequence[str]) -> None:
    """Write sentences by VOICES voices into FOLDER, a WAV file for each voice, HOURS in all.

    The words of Speech Commands are in none of them. Equal arguments give equal bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cast = synthesis.cast(voices, hash64(seed, "sentences"))
    samples = round(hours * 3600 / voices * acoustics.SAMPLE_RATE_HZ)
    for speaker in command.with_progress(cast, voices, "voice", "synthesizing"):
        with published(str(folder / f"{speaker.id}.wav")) as file, wave.open(file, "wb") as audio:
            audio.setparams((1, 2, acoustics.SAMPLE_RATE_HZ, samples, "NONE", ""))
            audio.writeframes(monologue(speaker, samples, without, seed).astype("<i2").tobytes())
    command.say(f"{folder}: {hours:g} h of sentences by {voices} voices")


def monologue(speaker: Speaker, samples: int, without: Sequence[str], seed: int) -> acoustics.Pcm:
    """A speaker at one place who says one sentence after another.

    Args:
        speaker: who speaks.
        samples: how long, at 16 kHz.
        without: words that are not said.
        seed: decides the sentences and the place.

    Returns:
        int16, (samples,).

    Raises:
        DataError: eSpeak NG does not work on this machine, or too few sentences lack the words.
    """
    rng = np.random.default_rng(hash64(seed, "sentences", speaker.id))
    place, texts = acoustics.draw_place(rng), sentences(rng, without)
    said, length = [], 0
    while length < samples:
        utterances = [_utterance(speaker, next(texts), rng) for _ in range(_SENTENCES_AT_ONCE)]
        for spoken in synthesis.speak(speaker, utterances):
            pause = np.zeros(round(rng.uniform(*_PAUSE_S) * acoustics.SAMPLE_RATE_HZ))
            said += [pause, spoken]
            length += len(pause) + len(spoken)
    sound = signal.oaconvolve(np.concatenate(said)[:samples], place.response)[:samples]
    return acoustics.quantise(sound * (_PEAK / np.abs(sound).max()))


def sentences(rng: np.random.Generator, without: Sequence[str]) -> Iterator[str]:
    """Sentences without some words and without those of Speech Commands, one after another without an end.

    Raises:
        DataError: a thousand sentences in a row have one of the words.
    """
    unwanted = {word.lower() for word in (*WORDS, *without)}
    in_vain = 0
    while in_vain < 1000:
        who, other = rng.choice(_PEOPLE, 2, replace=False)
        did, also = rng.choice(_DEEDS, 2, replace=False)
        what, more = rng.choice(_THINGS, 2, replace=False)
        frame, when = rng.choice(_FRAMES), rng.choice(_TIMES)
        text = str(frame).format(who=who, did=did, what=what, when=when, other=other, also=also, more=more)
        if unwanted & {word.strip(".,!?") for word in text.lower().split()}:
            in_vain += 1
            continue
        in_vain = 0
        yield text[0].upper() + text[1:]
    raise DataError(f"no sentence is left without {', '.join(sorted(without))}: leave some of these words out")


def _utterance(speaker: Speaker, text: str, rng: np.random.Generator) -> espeak.Utterance:
    return espeak.Utterance(
        text=text,
        rate_wpm=round(speaker.rate_wpm * rng.uniform(0.95, 1.15)),
        pitch=speaker.pitch + int(rng.integers(-3, 4)),
        pitch_range=speaker.pitch_range,
    )


if __name__ == "__main__":
    command.run(main)
