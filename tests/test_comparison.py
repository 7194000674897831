"""Claims about the comparison of models: what shares a table and a row, the test of two, the page."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command_tools import exit_code
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from training_store import ARCHIVES, CLASSES, SMALL_MFCC, example_ids, task_of

from base.errors import DataError
from features.views import definition, version
from reports.comparison.charts import Point, accuracy_by_cost
from reports.comparison.page import write_page
from reports.comparison.paired import compared, mcnemar, p_text
from reports.comparison.published import Ours, Published, original, read_published
from reports.comparison.runs import Run, Table, find, read_runs, tables
from reports.pictures import style
from results.cost import Cost, Latency
from results.evaluation import Evaluation, write_evaluation
from results.metrics import wilson_interval
from results.model import ModelDescription, write_description
from results.network_file import write_network
from results.predictions import Predictions
from training import compare

CLIPS = 40
IDS, LABELS = zip(*sorted(example_ids("test", CLIPS)), strict=True)


def description(name: str, seed: int = 0, **changes: Any) -> ModelDescription:
    """A model of the small task."""
    found = ModelDescription(
        name=name,
        network="cnn",
        view="small",
        view_version=version(SMALL_MFCC),
        definition=definition(SMALL_MFCC),
        source="small",
        classes=CLASSES,
        task=task_of(),
        archives=ARCHIVES,
        parameters={"fit": {"seed": seed, "epochs": 3}, "augment": {}, "numbers": {"filters": [6], "dropout": 0.1}},
        trainable_parameters=1234,
        epochs=3,
        best_epoch=2,
        validation=None,
    )
    return dataclasses.replace(found, **changes)


def predictions(wrong: Sequence[int], clips: int = CLIPS) -> Predictions:
    """Those of a model that takes some clips, by their place, for the class after their own."""
    labels = np.array(LABELS[:clips])
    said = labels.copy()
    said[list(wrong)] = (said[list(wrong)] + 1) % len(CLASSES)
    probabilities = np.full((clips, len(CLASSES)), 0.1, np.float32)
    probabilities[np.arange(clips), said] = 0.7
    return Predictions(IDS[:clips], labels, probabilities, CLASSES)


def write_run(root: Path, model: ModelDescription, said: Predictions, seconds: float | None = None) -> None:
    """A model and its evaluation as the stages leave them."""
    features = keras.Input(SMALL_MFCC.shape, name="features")
    scores = layers.Dense(len(CLASSES), activation="softmax")(layers.Flatten()(features))
    write_network(root / "models" / model.name, keras.Model(features, scores))
    write_description(root / "models" / model.name, model)
    evaluation = Evaluation(
        model=model.name, store="small", store_manifest_sha256="0", differences=(), predictions=said, counts={}
    )
    write_evaluation(root / "evaluation" / model.name, evaluation)
    if seconds is not None:
        log = {"model": model.name, "epochs": model.epochs, "seconds": seconds, "cpu_seconds": 2 * seconds}
        log |= {"clips_per_epoch": 96, "processor": "Ein <b>Prozessor</b>", "cores": 2}
        (root / "logs" / "training").mkdir(parents=True, exist_ok=True)
        (root / "logs" / "training" / f"{model.name}.json").write_text(json.dumps(log))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five runs: a model with three seeds, a better one, and one on other test clips."""
    folder = tmp_path_factory.mktemp("comparison")
    for seed, wrong in enumerate((range(8), range(10), range(12))):
        write_run(folder, description(f"plain_{seed}", seed), predictions(wrong), 100.0 + seed)
    write_run(folder, description("better", trainable_parameters=99), predictions([3]))
    write_run(folder, description("elsewhere"), predictions([], clips=20))
    return folder


@pytest.fixture(scope="module")
def found(root: Path) -> list[Run]:
    runs, left_out = read_runs([root])
    assert not left_out
    return runs


@pytest.fixture(scope="module")
def grouped(found: list[Run]) -> list[Table]:
    return tables(found)


def test_models_of_the_same_test_clips_share_a_table_and_seeds_of_one_recipe_share_a_row(grouped: list[Table]) -> None:
    names = [[[run.name for run in row.runs] for row in table.rows] for table in grouped]
    assert names == [[["better"], ["plain_0", "plain_1", "plain_2"]], [["elsewhere"]]]
    assert [table.clips for table in grouped] == [40, 20]


def test_a_row_of_seeds_has_their_mean_and_spread_and_the_interval_of_one_set_of_clips(grouped: list[Table]) -> None:
    row = grouped[0].rows[1]
    accuracies = np.array([32, 30, 28]) / 40
    assert row.accuracy == pytest.approx(accuracies.mean())
    assert row.spread == pytest.approx(accuracies.std(ddof=1))
    assert row.interval == wilson_interval(30, 40)
    assert row.training == (101.0, 202.0)
    assert (grouped[0].rows[0].spread, grouped[0].rows[0].training) == (None, None)


def test_the_same_recipe_and_seed_twice_are_two_rows(found: list[Run]) -> None:
    again = dataclasses.replace(found[1], name="again")
    assert [len(row.runs) for row in tables([found[1], again])[0].rows] == [1, 1]


def test_the_macro_top3_gives_each_class_the_same_weight(tmp_path: Path) -> None:
    said = predictions([])
    silence = np.flatnonzero(said.labels == 0)
    said.probabilities[silence] = [0.1, 0.2, 0.3, 0.4]  # the right class is the last of four
    fewer = np.setdiff1d(np.arange(CLIPS), silence[1:])
    write_run(
        tmp_path,
        description("uneven"),
        Predictions(tuple(IDS[i] for i in fewer), said.labels[fewer], said.probabilities[fewer], CLASSES),
    )
    run = find(read_runs([tmp_path])[0], "uneven")
    assert run.macro_top3 == pytest.approx(3 / 4)
    assert run.figures.top3 == pytest.approx(30 / 31)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_mcnemars_test_is_the_two_sided_binomial_test_of_the_disagreements(b: int, c: int, both: int) -> None:
    first = np.array([True] * b + [False] * c + [True] * both, bool)
    second = np.array([False] * b + [True] * c + [True] * both, bool)
    found, reverse = mcnemar(first, second), mcnemar(second, first)
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert (found.only_first, found.only_second) == (b, c) == (reverse.only_second, reverse.only_first)
    assert found.p_value == pytest.approx(min(1.0, 2 * tail)) == pytest.approx(reverse.p_value)


def test_a_probability_is_said_with_two_digits_or_as_very_small() -> None:
    assert [p_text(value) for value in (1.0, 0.0341, 1e-5)] == ["p = 1", "p = 0.034", "p < 0.0001"]


def test_models_with_other_test_clips_are_not_compared(found: list[Run]) -> None:
    by_name = {run.name: run for run in found}
    assert compared(by_name["better"], by_name["plain_0"]).only_first == 7
    with pytest.raises(DataError, match=r"their test clips differ \(40 and 20, of which 20 are the same\); evaluate"):
        compared(by_name["better"], by_name["elsewhere"])
    other = dataclasses.replace(by_name["better"], name="other", model=description("other", task=other_task()))
    with pytest.raises(DataError, match="their tasks are small and digits; train both for the same task"):
        compared(by_name["better"], other)


def other_task() -> Any:
    return dataclasses.replace(task_of(), name="digits")


LATENCY = Latency(median_ms=1.5, p99_ms=2.5, runs=9)


def cost(count: int) -> Cost:
    return Cost(multiply_adds=count, network=LATENCY, with_front_end=LATENCY)


LITERATURE = (
    Published(
        name="Their <i>CNN</i>",
        task="12 classes",
        accuracy=0.96,
        multiply_adds=2_000_000,
        multiply_adds_from="source",
        source="https://example.org/paper",
        beside=("small",),
        ours=Ours(network="cnn", numbers={"filters": [6]}),
        difference="more & other clips",
    ),
)


def test_the_page_stands_alone_and_escapes_every_text(grouped: list[Table], found: list[Run], tmp_path: Path) -> None:
    hostile = dataclasses.replace(grouped[1], task="<script>")
    costs = {run.folder: cost(1000 * (1 + number)) for number, run in enumerate(found)}
    write_page(tmp_path, [grouped[0], hostile], costs, LITERATURE)
    page = (tmp_path / "results.html").read_text()
    assert "<script" not in page and "<b>Prozessor" not in page and "&lt;script&gt;" in page
    links = set(re.findall(r'(?:src|href)="([^#"]*)', page))
    assert links - {""} == {"data:,", "https://example.org/paper"}
    assert page.count("<svg") == 3  # no training of the second table left a log
    assert "± 5.0 % of 3 seeds" in page and "more &amp; other clips" in page
    assert "right with better alone: 7 clips, plain_0: 0" in page
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_page(tmp_path, [grouped[0], hostile], costs, LITERATURE)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_label_of_a_crowded_picture_covers_another() -> None:
    generator = np.random.default_rng(0)
    points = [
        Point(
            name=f"model_{number}",
            cost=float(10 ** generator.uniform(6, 6.6)),
            accuracy=float(generator.uniform(0.93, 0.97)),
            interval=(0.9, 0.98) if number % 2 else None,
            published=number % 2 == 0,
        )
        for number in range(12)
    ]
    with style():
        placed = labels_of(points)
    assert len(placed) == 12
    assert not any(one.overlaps(other) for i, one in enumerate(placed) for other in placed[:i])


def labels_of(points: list[Point]) -> list[Any]:
    """The boxes of the names in a picture."""
    from matplotlib.axes import Axes

    drawn: list[Any] = []
    original_text = Axes.text

    def text(self: Axes, *arguments: Any, **options: Any) -> Any:
        drawn.append(original_text(self, *arguments, **options))
        return drawn[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Axes, "text", text)
        accuracy_by_cost(points, "cost")
    return [each.get_window_extent() for each in drawn]


def test_a_model_without_errors_or_alone_has_a_picture() -> None:
    with style():
        alone = Point(name="a", cost=1.0, accuracy=1.0, interval=(0.99, 1.0), published=False)
        assert accuracy_by_cost([alone], "cost").startswith("<svg")


def test_the_published_models_can_be_read_and_find_those_of_ours_that_repeat_them() -> None:
    published = read_published()
    assert len({each.name for each in published}) == len(published)
    for each in published:
        assert (each.multiply_adds is None) == (each.multiply_adds_from is None)
        assert not each.beside or each.multiply_adds
        assert not each.ours or each.difference

    def name_of(network: str, **numbers: Any) -> str | None:
        model = description("x", network=network, parameters={"fit": {"seed": 0}, "numbers": numbers})
        match = original(model, published)
        return match.name if match else None

    assert name_of("bc_resnet", tau=3.0, dropout=0.1) == "BC-ResNet-3"
    assert name_of("bc_resnet", tau=5.0, dropout=0.1) is None
    assert name_of("lstm", units=250, reads="last", dense_units=[100, 50]) == "LSTM on magnitudes"
    assert name_of("lstm", units=128, reads="mean", dense_units=[]) is None


def test_the_command_writes_page_table_and_test(root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chosen, other, out = tmp_path / "chosen", tmp_path / "other", tmp_path / "out"
    for name, project in (("better", chosen), ("plain_0", other)):
        for part in ("evaluation", "models"):
            shutil.copytree(root / part / name, project / part / name)
        shutil.copytree(root / "logs", project / "logs")
    (chosen / "evaluation" / "unfinished").mkdir()
    assert exit_code(compare.main, chosen, other, "--folder", out, "--runs", 2) == 0
    said = capfd.readouterr().err
    assert f"{chosen / 'evaluation' / 'unfinished'} is left out: " in said
    assert f"{out / 'results.html'}: 2 evaluations of 2 models" in said
    rows = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [row["evaluation"] for row in rows] == ["better", "plain_0"]
    weights = math.prod(SMALL_MFCC.shape) * len(CLASSES)
    assert {(row["multiply_adds"], row["latency_runs"]) for row in rows} == {(str(weights), "2")}
    assert all(0 < float(row["latency_median_ms"]) <= float(row["latency_p99_ms"]) for row in rows)
    assert [row["training_seconds"] for row in rows] == ["", "100.0"]
    assert float(rows[1]["accuracy"]) == 0.8
    assert int(rows[0]["model_keras_bytes"]) == (root / "models" / "better" / "model.keras").stat().st_size
    assert "| `plain_0` | 80.0 % | 65.2 to 89.5 % | 1 seed |" in (out / "results.md").read_text()
    assert exit_code(compare.main, chosen, other, "--test", "better", "plain_0") == 0
    assert capfd.readouterr().out == (
        "better is right about 97.5% and plain_0 about 80.0% of the same 40 test clips; 7 clips are right with better "
        "alone, 0 with plain_0 alone; McNemar's exact test: p = 0.016\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere/evaluation: no evaluation of a finished model: train and evaluate one"),
        (["--test", "better", "bettr"], "there is no evaluation 'bettr'; found were better, "),
        (["--test", "better", "elsewhere"], "better and elsewhere can't be compared"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str],
    message: str,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(root)
    assert exit_code(compare.main, *arguments) == 1
    said = capfd.readouterr().err
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1


def test_a_log_of_another_training_and_a_damaged_one_are_not_believed(root: Path, tmp_path: Path) -> None:
    write_run(tmp_path, description("again"), predictions([1]), 5.0)
    log = tmp_path / "logs" / "training" / "again.json"
    assert read_runs([tmp_path])[0][0].log
    log.write_text(log.read_text().replace('"epochs": 3', '"epochs": 4'))
    assert read_runs([tmp_path])[0][0].log is None
    log.write_text("{}")
    with pytest.raises(DataError, match=r"again.json is not the log of a training: delete it"):
        read_runs([tmp_path])


def test_evaluations_of_one_name_are_told_apart_by_their_project(tmp_path: Path) -> None:
    for project in ("random", "by_speaker"):
        write_run(tmp_path / project, description("lstm"), predictions([1]))
    write_run(tmp_path / "random", description("other"), predictions([2]))
    found, _ = read_runs([tmp_path / "random", tmp_path / "by_speaker"])
    assert [run.name for run in found] == ["by_speaker lstm", "other", "random lstm"]
