"""The probabilities of all windows of a stream, computed in parallel; what is done is kept and not done again."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from base.command import with_progress
from base.errors import DataError
from base.lifeline import end_with
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from serving.description import EXPORT_FILE
from serving.model import Model, open_model
from serving.recognizer import MS
from serving.stream_test.plan import Plan, as_csv
from serving.stream_test.render import rendered, sound_of
from serving.windows import windows

Floats = npt.NDArray[np.float32]
Samples = npt.NDArray[np.int16]

_SEGMENT_S: Final = 60


@dataclass(frozen=True)
class _Task:
    """What a worker needs: the export, the stream, its clips and the step between windows."""

    export: Path
    stream: Plan
    clips: Mapping[str, Samples]
    step_ms: int


def probabilities(
    export: Path, stream: Plan, clips: Mapping[str, Samples], step_ms: int, workers: int, kept: Path
) -> Floats:
    """What a model says of each window of a stream.

    Args:
        export: folder of the export.
        stream: the manifest.
        clips: the audio of its clips.
        step_ms: from one window to the next.
        workers: processes, each on one core.
        kept: folder for the parts that are done; parts of another stream, model or step are deleted.

    Returns:
        float32, (windows, classes).
    """
    step = step_ms * MS
    count = max(0, (stream.samples - CLIP_SAMPLES) // step + 1)
    length = -(-_SEGMENT_S * SAMPLE_RATE_HZ // step)
    segments = [(first, min(count, first + length)) for first in range(0, count, length)]
    described = as_csv(stream) + (export / EXPORT_FILE).read_text() + f"{step_ms}"
    fingerprint = hashlib.sha256(described.encode()).hexdigest()[:16]
    kept.mkdir(parents=True, exist_ok=True)
    places = {segment: kept / f"{fingerprint}-{segment[0]:08d}.npy" for segment in segments}
    for other in set(kept.iterdir()) - set(places.values()):
        other.unlink()
    missing = [segment for segment in segments if not places[segment].exists()]
    if missing:
        _compute(_Task(export, stream, clips, step_ms), {each: places[each] for each in missing}, workers)
    return np.concatenate([np.load(place) for place in places.values()])


def _compute(task: _Task, places: Mapping[tuple[int, int], Path], workers: int) -> None:
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    with ours, ProcessPoolExecutor(workers, context, _begin, (task, theirs)) as pool:
        try:
            done = zip(places.values(), pool.map(_said, places), strict=True)
            for place, said in with_progress(done, len(places), "minute", "listening"):
                _keep(place, said)
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process was killed, perhaps for lack of memory: run the same command again to go on; with a "
                "smaller --workers where it happens again"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _keep(place: Path, said: Floats) -> None:
    unfinished = place.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        np.save(file, said)
    unfinished.rename(place)


_worker: tuple[_Task, Model]


def _begin(task: _Task, lifeline: Connection) -> None:
    global _worker
    end_with(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = task, open_model(task.export)


def _said(segment: tuple[int, int]) -> Floats:
    """The probabilities of the windows from one number to another."""
    task, model = _worker
    step = task.step_ms * MS
    first, last = segment
    samples = rendered(task.stream, sound_of(task.clips), first * step, (last - 1) * step + CLIP_SAMPLES)
    cut = windows(model.export.feature_view, task.step_ms)
    return np.stack([model.network(features) for _, features in cut.feed(samples)])
