"""`python -m benchmarks.decisions`: whether evaluate, predict, the interface and the page decide alike."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import requests
from playwright.sync_api import expect, sync_playwright
from tabulate import tabulate

from base import command
from base.errors import DataError
from benchmarks.web_load import served
from features.audio import encode_audio
from features.views import SAMPLE_RATE_HZ
from readers.audio import audio_of
from readers.store import open_store
from results.predictions import read_predictions

_ANSWER_MS: Final = 30_000
_SHOWN: Final = {"silence": "_silence_", "other word": "_unknown_"}
"""What the page says instead of a class."""


@click.command()
@click.argument("export", type=click.Path(path_type=Path))
@click.argument("clips")
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(1), help="The first clips alone.")
def main(export: Path, clips: str, predictions: Path, count: int | None) -> None:
    """Ask EXPORT in three ways for the test clips of PREDICTIONS, which `evaluate` wrote, and compare the best classes.

    The audio is that of the store CLIPS. The exit code is 1 where one clip is decided otherwise.
    """
    said = read_predictions(predictions)
    ids = list(said.ids)[:count]
    expected = [said.classes[place] for place in said.probabilities[: len(ids)].argmax(axis=1)]
    files = [encode_audio(samples, SAMPLE_RATE_HZ) for samples in audio_of(open_store(clips), ids)]
    found = {"predict": _predicted(export, files)}
    with served(export, "requests_per_s=100000", "requests_at_once=100000") as (port, _):
        address = f"http://127.0.0.1:{port}"
        found["interface"] = list(_answered(address, files))
        found["page"] = list(_shown(address, files))
    equal = {way: sum(a == b for a, b in zip(words, expected, strict=True)) for way, words in found.items()}
    click.echo(tabulate(equal.items(), (f"of {len(ids)} clips", "as evaluate")))
    if differing := [way for way, number in equal.items() if number < len(ids)]:
        raise DataError(f"{' and '.join(differing)} decided otherwise than evaluate")


def _predicted(export: Path, files: Sequence[bytes]) -> list[str]:
    """What `serving.predict` says of files."""
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder) / f"{number:05d}.wav") for number in range(len(files))]
        for name, content in zip(names, files, strict=True):
            Path(name).write_bytes(content)
        arguments = [sys.executable, "-m", "serving.predict", str(export), "--json", *names]
        lines = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return [json.loads(line)["top"][0]["word"] for line in lines]


def _answered(address: str, files: Sequence[bytes]) -> Iterator[str]:
    """What the interface answers to files."""
    with requests.Session() as session:
        for content in command.with_progress(files, len(files), "clip", "interface"):
            answer = session.post(f"{address}/v1/predict", data=content, headers={"Content-Type": "audio/wav"})
            answer.raise_for_status()
            yield answer.json()["top"][0]["word"]


def _shown(address: str, files: Sequence[bytes]) -> Iterator[str]:
    """What the page shows of files, in Chromium.

    Raises:
        DataError: there is no Chromium.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise DataError("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        for number, content in enumerate(command.with_progress(files, len(files), "clip", "page")):
            name = f"{number}.wav"
            page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": content})
            expect(page.locator("#clip-name")).to_have_text(f"{name}, 1.00 s.", timeout=_ANSWER_MS)
            word = page.locator("#clip-best li").first.inner_text().split("\n")[0]
            yield _SHOWN.get(word, word)
        browser.close()


if __name__ == "__main__":
    command.run(main)
