"""`python -m serving.teach`: a trained model learns words of one's own from a folder of takes, up to a new export."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
from ruamel.yaml import YAML

from base import command, params
from base.errors import DataError
from features import clip_id
from features.splits import SPLITS, speaker_split
from results.model import ModelDescription, read_description
from serving.taught import EXPORT_FOLDER, FEWEST_TAKES, Figures, Taught, write_taught
from stores.lineage import Archive, SplitRule

LOG_FILE: Final = "teach.log"

_NAME: Final = "taught"
_CORPUS: Final = "own"
_FEWEST_OF_SPLIT: Final = 0.1
_MOST_SALTS: Final = 10_000
_TAKE: Final = ".wav"
_COPIES: Final = [
    {"kind": "noise", "copies": 1, "snr_db": [5.0, 20.0]},
    {"kind": "speed", "copies": 1, "factor": [0.85, 1.15]},
    {"kind": "gain", "copies": 1, "gain_db": [-12.0, 6.0]},
]
_FIT: Final[dict[str, Any]] = {
    "epochs": 4,
    "early_stopping_epochs": 4,
    "warmup_epochs": 0,
    "learning_rate": 0.001,
    "label_smoothing": 0.0,
}
"""Without smoothing, since few takes of a word would otherwise seldom pass the threshold."""
_LATENCY_RUNS: Final = 20
"""Clips that each format is timed on; the model's own export has the figures."""


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("raw", type=click.Path(path_type=Path))
@click.argument("takes", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def main(model: Path, raw: Path, takes: Path, folder: Path) -> None:
    """Teach the trained MODEL the words in the folder TAKES, and write all that this makes into FOLDER.

    MODEL is a folder that train wrote, RAW the one of the archives that it was trained on, TAKES one with a folder of
    audio files for each word. FOLDER/export is what `serving.web` and `serving.predict` take then, taught.json says how
    well the old words and the new ones are recognized. The numbers that are not about this are those of params.yaml.
    """
    description, project = read_description(model), params.read_yaml(params.PARAMS_FILE)
    words = takes_of(takes)
    check_words(words, description)
    folder.mkdir(parents=True, exist_ok=True)
    content = parameters(project, description, raw.resolve(), takes.resolve(), words)
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    steps = commands(description, model.resolve())
    seconds, cpu_seconds = {}, {}
    for number, (name, arguments) in enumerate(steps.items(), 1):
        command.say(f"step {number} of {len(steps)}: {name}")
        begun, cpu_begun = time.monotonic(), cpu_of_children()
        run(name, arguments, folder)
        seconds[name] = round(time.monotonic() - begun, 1)
        cpu_seconds[name] = round(cpu_of_children() - cpu_begun, 1)
    counts = {word: len(files) for word, files in words.items()}
    taught = Taught(words=tuple(words), takes=counts, seconds=seconds, cpu_seconds=cpu_seconds, figures=figures(folder))
    write_taught(folder, taught)
    command.say(said(taught))


def takes_of(folder: Path) -> dict[str, list[str]]:
    """The names of the takes of each word in a folder, without their endings.

    Raises:
        DataError: there is no word in it.
    """
    found = {
        place.name: sorted(path.stem for path in place.glob(f"*{_TAKE}"))
        for place in sorted(folder.iterdir() if folder.is_dir() else ())
        if place.is_dir() and not place.name.startswith((".", "_"))
    }
    words = {word: names for word, names in found.items() if names}
    if not words:
        raise DataError(f"{folder} has no word: a word is a folder of {_TAKE} files, record some")
    return words


def check_words(words: Mapping[str, Sequence[str]], description: ModelDescription) -> None:
    """Make sure that the words are new and that there is enough of each.

    Raises:
        DataError: the model knows a word, or there are too few takes of it.
    """
    if known := [word for word in words if word in description.classes]:
        raise DataError(f"the model {description.name} knows {', '.join(known)} already: take other words")
    if few := [f"{word} ({len(names)})" for word, names in words.items() if len(names) < FEWEST_TAKES]:
        raise DataError(f"too few takes of {', '.join(few)}: record at least {FEWEST_TAKES} of each word")


def parameters(
    project: Mapping[str, Any], model: ModelDescription, raw: Path, takes: Path, words: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The params.yaml of the chain: the project's, with another corpus, task and model.

    Args:
        project: the content of the project's params.yaml.
        model: what is taught.
        raw: folder of the archives that it was trained on.
        takes: folder of the new words.
        words: word → names of its takes.
    """
    archives = [source(archive, raw) for archive in model.archives]
    own = {"path": str(takes), "layout": "words", "corpus": _CORPUS}
    silence, unknown = (name in model.classes for name in ("_silence_", "_unknown_"))
    known = [name for name in model.classes if not name.startswith("_")]
    task = {"words": [*known, *words], "silence": silence, "unknown": unknown}
    split = asdict(model.task.split)
    entry = {"model": model.name, "task": _NAME, "source": model.source, "layers": "dense", "fit": _FIT}
    return {
        **project,
        "corpus": {**project["corpus"], "sources": [*archives, own]},
        "select": {
            **project["select"],
            "task": _NAME,
            "tasks": {_NAME: task},
            "where": None,
            "held_out": None,
            "split": {**split, "ratio": list(split["ratio"]), "salt": salt(words, model.task.split)},
        },
        "augment": {**project["augment"], "recipes": {_NAME: _COPIES}},
        "finetuned": {_NAME: entry},
        "export": {**project["export"], "latency_runs": _LATENCY_RUNS},
    }


def source(archive: Archive, raw: Path) -> dict[str, Any]:
    """An archive that a model was trained on, as an entry of corpus.sources."""
    facts = {"role": archive.role, "layout": archive.layout, "corpus": archive.corpus, "speaker": archive.speaker}
    return {"path": str(raw / archive.file), **{name: value for name, value in facts.items() if value}}


def salt(words: Mapping[str, Sequence[str]], rule: SplitRule) -> str:
    """The first salt by which each word has a tenth of its takes for validation and a tenth for the test.

    Takes have no speaker, so they are divided by a hash of their ids, and of a few takes all may come to lie in one
    split.

    Raises:
        DataError: there is none among many.
    """
    for number in range(_MOST_SALTS):
        if all(_is_fair(word, names, rule, str(number)) for word, names in words.items()):
            return str(number)
    raise DataError("the takes can't be divided into train, validation and test: record more of each word")


def _is_fair(word: str, names: Sequence[str], rule: SplitRule, given: str) -> bool:
    ids = (clip_id.named(word, name, _CORPUS) for name in names)
    counts = Counter(speaker_split(each, rule.ratio, given) for each in ids)
    fewest = max(1, int(_FEWEST_OF_SPLIT * len(names)))
    return min(counts[name] for name in SPLITS) >= fewest and counts["train"] >= len(names) / 2


def commands(model: ModelDescription, start: Path) -> dict[str, tuple[str, ...]]:
    """Each step and its command: module and paths, relative to the folder in which it works."""
    store, copies = f"features/{model.source}", f"copies/{_NAME}"
    return {
        "corpus": ("pipelines.corpus", "raw"),
        "ingest": ("pipelines.ingest", "raw", "clips"),
        "select": ("pipelines.select", "clips", "selection.parquet"),
        "augment": ("pipelines.augment", "clips", "selection.parquet", copies),
        "extract": ("pipelines.extract", f"{copies}/clips", f"{copies}/selection.parquet", store),
        "finetune": ("training.finetune", _NAME, str(start), store, "model"),
        "evaluate": ("training.evaluate", "model", store, "evaluation"),
        "compare": ("training.before_after", str(start), store, "evaluation", "before_after"),
        "export": ("serving.export", "model", store, f"{copies}/clips", "evaluation", EXPORT_FOLDER),
    }


def run(name: str, arguments: Sequence[str], folder: Path) -> None:
    """Run a step's command in a folder.

    Raises:
        DataError: it failed, with what it said last.
    """
    room = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(room), "TF_CPP_MIN_LOG_LEVEL": "2"}
    log = folder / LOG_FILE
    with log.open("a") as file:
        file.write(f"{name}: python -m {' '.join(arguments)}\n")
        file.flush()
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    if done.returncode:
        last = log.read_text().strip().rpartition("\n")[2].removeprefix("error: ")
        raise DataError(f"the step {name} failed: {last}")


def cpu_of_children() -> float:
    """Processor seconds of all processes that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def figures(folder: Path) -> tuple[Figures, ...]:
    """What the step `compare` found."""
    with (folder / "before_after" / "before_after.csv").open(newline="") as file:
        return tuple(
            Figures(
                model=row["model"],
                words=row["words"],
                correct=int(row["correct"]),
                clips=int(row["clips"]),
                low=float(row["low"]),
                high=float(row["high"]),
            )
            for row in csv.DictReader(file)
        )


def said(taught: Taught) -> str:
    """What came of it, in a line."""
    parts = [
        f"{each.words} words {each.model}: {each.correct} of {each.clips}"
        for each in taught.figures
        if each.words != "all"
    ]
    wall, processors = (sum(each.values()) for each in (taught.seconds, taught.cpu_seconds))
    return f"{', '.join(parts)}; {wall:.0f} s, {processors:.0f} s of processors"


if __name__ == "__main__":
    command.run(main)
