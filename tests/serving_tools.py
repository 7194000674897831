"""An export of a small network with drawn weights, made in seconds, for the tests of what uses exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from features import frontend
from features.statistics import Statistics
from features.views import View, definition, from_definition, version
from serving.description import Calibration, Export, ExportedModel, Format, Threshold, write_export
from stores.lineage import Archive, SplitRule, Task

MFCC: View = from_definition(
    {
        "kind": "mfcc",
        "frame_ms": 30,
        "hop_ms": 20,
        "floor_db": -80.0,
        "mel_bands": 20,
        "mel_low_hz": 20.0,
        "mel_high_hz": 7600.0,
        "mel_scale": "slaney",
        "coefficients": 10,
    }
)
TASK = Task(
    name="small",
    classes=(),
    split=SplitRule("official", (8, 1, 1), ""),
    unknown="mean",
    silence="mean",
    test_silence="cut",
    seed=0,
    counts={},
    clips_manifest_sha256="0" * 64,
)
ARCHIVE = Archive("small.tar.gz", "main", 1, "0" * 64, "local", None)


def noise(clips: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Clips of noise of several levels, int16, (clips, 16000)."""
    generator = np.random.default_rng(seed)
    levels = generator.uniform(100, 6000, (clips, 1))
    return np.asarray(np.clip(generator.normal(0, 1, (clips, 16_000)) * levels, -32_768, 32_767), np.int16)


def tiny_network(view: View, classes: tuple[str, ...], seed: int = 0) -> Any:
    """A convolutional network with drawn weights that reads a view, normalized by the statistics of some noise."""
    import keras

    from training.inputs import Inputs
    from training.models.cnn import Numbers, build

    features = frontend.compute(view, noise(8)).astype(np.float64) * view.scale
    flat = features.reshape(-1, view.width)
    mean, std, lowest, highest = flat.mean(axis=0), flat.std(axis=0) + 1e-6, flat.min(axis=0), flat.max(axis=0)
    inputs = Inputs(view.kind, view.shape, view.step_ms, classes, Statistics(8, len(flat), mean, std, lowest, highest))
    keras.utils.set_random_seed(seed)
    return build(inputs, Numbers(filters=(4, 6), kernel_size=3, dense_units=(8,), dropout=0.0))


def tiny_export(
    folder: Path, classes: tuple[str, ...], *, view: View = MFCC, seed: int = 0, int8: bool = False
) -> Path:
    """An export of the network alone, as `serving.export` writes it; its folder."""
    from serving import formats
    from serving.quiet import quiet
    from serving.runtimes import features_of

    folder.mkdir(parents=True)
    network = tiny_network(view, classes, seed)
    with quiet():
        models: dict[Format, ExportedModel] = {"litert_network": formats.write_litert_network(folder, network, view)}
        if int8:
            models["litert_int8"] = formats.write_litert_int8(folder, network, view, features_of(view, noise(32, 1)))
    export = Export(
        model=folder.name,
        network="cnn",
        classes=classes,
        view="small",
        view_version=version(view),
        definition=definition(view),
        threshold=Threshold(value=0.5, rule="none", false_accepts=None, false_rejects=None, clips=0),
        models=models,
        omitted={},
        calibration=Calibration(rule="noise", ids=()),
        task=TASK,
        archives=(ARCHIVE,),
        network_sha256="0" * 64,
        made_with={},
    )
    write_export(folder, export)
    return folder
