"""`python -m registry sample`: pictures and audio of some clips of a word, found through the catalog."""

from __future__ import annotations

from pathlib import Path

import click

from base import command, files
from features.audio import encode_audio
from readers.belonging import check_belonging
from readers.store import open_store
from registry import sample
from registry.commands.output import json_option, show_json, show_table


@click.command()
@click.argument("store")
@click.option("--word", required=True, help="A word, or a class such as _silence_ or _unknown_.")
@click.option("--split", help="Only clips of this split.")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many clips.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed draws others.")
@click.option("--copies", is_flag=True, help="With each clip its copies, side by side in one picture.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path("samples"), show_default=True)
@click.option("--clips", help="The store of clips, for the audio; by default the folder clips of the same data.")
@json_option
def main(
    store: str,
    word: str,
    split: str | None,
    count: int,
    seed: int,
    copies: bool,
    output: Path,
    clips: str | None,
    as_json: bool,
) -> None:
    """Draw clips of a word from STORE and write a picture and a WAV of each."""
    opened = open_store(store)
    found = sample.find(opened, word, split)
    audio = None
    if clips:
        audio = open_store(clips)
        check_belonging(audio, opened)
    elif opened.tensor != "audio":
        audio = sample.find_clips(opened)
        if audio is None:
            command.say(f"{store} holds no audio and its clips are not found: pictures only; name them with --clips")
    families = sample.families(opened, found) if copies else {}
    found = list(families) if copies else found
    drawn = sample.draw(found, count, seed)
    if copies:
        written = [
            _write(each, original, output)
            for original in drawn
            for each in sample.load_family(opened, audio, [original, *families[original]])
        ]
    else:
        written = [_write(sample.load(opened, audio, each), each, output) for each in drawn]
    if len(drawn) < count:
        command.say(f"{store} has {len(found)} such clips, {count} were asked for")
    if as_json:
        show_json(written)
    else:
        show_table([tuple(each.values()) for each in written], tuple(written[0]))


def _write(drawn: sample.DrawnClip, pictured: sample.FoundClip, folder: Path) -> dict[str, object]:
    """Write the files of a clip, its picture under the name of the clip that it shows first; what is written."""
    picture, audio = folder / f"{_stem(pictured)}.png", folder / f"{_stem(drawn.found)}.wav"
    with files.published(str(picture)) as file:
        file.write(drawn.picture)
    if drawn.sound:
        with files.published(str(audio)) as file:
            file.write(encode_audio(drawn.sound.samples, drawn.sound.rate_hz))
    return {
        "id": drawn.found.id,
        "word": drawn.found.word,
        "class": drawn.found.class_name or None,
        "split": drawn.found.split,
        "length_ms": drawn.length_ms,
        "picture": str(picture),
        "audio": str(audio) if drawn.sound else None,
    }


def _stem(found: sample.FoundClip) -> str:
    return found.id.replace("/", "_")
