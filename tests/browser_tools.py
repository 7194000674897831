"""Chromium for the tests of the page: an export, a microphone that plays clips, and what the browser logs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from corpus_tools import ROOT
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright
from scipy.io import wavfile

from readers.audio import audio_of
from readers.store import open_store
from results.predictions import read_predictions

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EXPORT = ROOT / "exports/cnn"
Samples = npt.NDArray[np.int16]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
needs_export = pytest.mark.skipif(
    not (EXPORT / "export.json").exists(), reason="there is no exports/cnn: run `make repro`"
)


def clips_of(word: str, count: int) -> Samples:
    """Test clips of a word that the model is sure of, int16, (count, 16000)."""
    said = read_predictions(ROOT / "evaluation/cnn/predictions.parquet")
    label = said.classes.index(word)
    sure = np.where(said.labels == label, said.probabilities[:, label], 0)
    ids = [said.ids[place] for place in np.argsort(-sure)[:count]]
    return audio_of(open_store(str(ROOT / "data/clips")), ids)


def played(path: Path, clips: Sequence[Samples]) -> Path:
    """A file for the fake microphone: clips with some quiet around each; the browser plays it again and again."""
    noise = np.random.default_rng(0).integers(-8, 9, 12_800).astype(np.int16)
    wavfile.write(path, 16_000, np.concatenate([part for clip in clips for part in (noise, clip)] + [noise]))
    return path


@contextlib.contextmanager
def chromium(playwright: Playwright, *flags: str, microphone: Path | None = None) -> Iterator[Browser]:
    """A browser; with a file, its microphone plays it and pages may use it."""
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    given = [*fake, f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *given, *flags])
    yield browser
    browser.close()


@contextlib.contextmanager
def opened(browser: Browser, url: str, *expected: str, script: str | None = None, **options: Any) -> Iterator[Page]:
    """A page in a fresh context, which must log no error but the expected ones.

    Args:
        browser: where to open it.
        url: its address.
        expected: parts of errors that may be logged.
        script: to run before those of the page.
        options: of the context, such as the size of the window.
    """
    logged: list[str] = []

    def log(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            logged.append(message.text)

    with browser.new_context(**options) as context:
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.on("console", log)
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.goto(url)
        page.wait_for_selector("#facts dd, #teach-hint:not(:empty)")
        yield page
    unexpected = [line for line in logged if not any(part in line for part in expected)]
    assert not unexpected, unexpected
