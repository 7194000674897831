"""`python -m features sample`: pictures and audio of some clips of a word, found through the catalogue."""

from __future__ import annotations

from pathlib import Path

import click

import command
from features.audio import encode_audio
from features.commands.output import json_option, show_json, show_table
from features.registry import sample
from features.store import open as open_store


@click.command()
@click.argument("store")
@click.option("--word", required=True, help="A word, or a class such as _silence_ or _unknown_.")
@click.option("--split", help="Only clips of this split.")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many clips.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed draws others.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path("samples"), show_default=True)
@click.option("--clips", help="The store of clips, for the audio; by default the folder clips beside STORE or above.")
@json_option
def main(
    store: str, word: str, split: str | None, count: int, seed: int, output: Path, clips: str | None, as_json: bool
) -> None:
    """Draw clips of a word from STORE and write a picture and a WAV of each."""
    opened = open_store(store)
    found = sample.find(opened, word, split)
    audio = open_store(clips) if clips else sample.clips_beside(opened)
    if opened.tensor != "audio" and audio is None:
        command.say(f"{store} holds no audio and no store of clips is beside it: pictures only; name one with --clips")
    output.mkdir(parents=True, exist_ok=True)
    written = [_write(sample.load(opened, audio, place), output) for place in sample.draw(found, count, seed)]
    if len(written) < count:
        command.say(f"{store} has {len(found)} such clips, {count} were asked for")
    if as_json:
        show_json(written)
    else:
        show_table([tuple(each.values()) for each in written], tuple(written[0]))


def _write(drawn: sample.Sample, folder: Path) -> dict[str, object]:
    """Write the files of a clip; what is written."""
    stem = drawn.place.id.replace("/", "_")
    picture, audio = folder / f"{stem}.png", folder / f"{stem}.wav"
    picture.write_bytes(drawn.picture)
    if drawn.sound:
        audio.write_bytes(encode_audio(drawn.sound.samples, drawn.sound.rate_hz))
    return {
        "id": drawn.place.id,
        "word": drawn.place.word,
        "class": drawn.place.class_name or None,
        "split": drawn.place.split,
        "length_ms": drawn.length_ms,
        "picture": str(picture),
        "audio": str(audio) if drawn.sound else None,
    }
