"""Validation finds planted skew and drift, lets chance pass, and its figures are those of pandas and scipy."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_tools import RegistryCommand
from corpus_tools import ROOT, parameters, store_folder, write_parameters
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from training_store import CLASSES, SMALL_MFCC, task_of

from base import params
from features.audio import loudness_dbfs
from features.statistics import Statistics, statistics_json
from features.views import View, Waveform, definition, version
from readers.store import Store, open_store
from registry.drift.comparison import Verdict, drift, skew
from registry.drift.measures import MEASURES, Thresholds, Validate
from registry.drift.profile import Profile, SplitProfile, profile
from stores.catalog import VIEW_CATALOG_SCHEMA
from stores.manifest import CATALOG_FILE, STATISTICS_FILE, Manifest, Shard, shard_file
from stores.tables import write_table
from stores.writing import commit

COUNTS = {"train": 2400, "validation": 400, "test": 400}
COEFFICIENTS = SMALL_MFCC.coefficients
THRESHOLDS = params.load("validate", Validate, ROOT / "params.yaml").thresholds
WORDS = ("_silence_", "cat", "yes", "no")


@pytest.fixture(autouse=True)
def parameters_in_the_folder(tmp_path: Path) -> None:
    """The command reads its thresholds from params.yaml."""
    write_parameters(tmp_path)


def rows_of(split: str, clips: int, seed: int = 0) -> pd.DataFrame:
    """Rows of a catalog: four classes in turn, loudness about -27 dBFS, a tenth padded, a twentieth clipped."""
    generator = np.random.default_rng([seed, *split.encode()])
    label = np.arange(clips) % len(CLASSES)
    return pd.DataFrame(
        {
            "id": [f"{WORDS[each]}/{split}{number:05d}_nohash_0" for number, each in enumerate(label)],
            "word": [WORDS[each] for each in label],
            "speaker": [f"{split}{number % 97}" if each else None for number, each in enumerate(label)],
            "label": label,
            "split": split,
            "length": np.where((generator.random(clips) < 0.1) & (label > 0), 9_000, 16_000),
            "rate": 16_000,
            "peak": 0.5,
            "rms": np.minimum(10 ** (generator.normal(-27, 7, clips) / 20), 1.0),
            "clipped": np.where(generator.random(clips) < 0.05, 12, 0),
            "audio_sha256": [f"{split}{number}" for number in range(clips)],
            "archive": "small.tar.gz",
            "shard": 0,
            "position": np.arange(clips),
        }
    )


def statistics_of(clips: int, shift: float = 0.0, spread: float = 1.0) -> Statistics:
    """Statistics whose coefficient 5 is shifted by this many standard deviations and spread by this factor."""
    mean, std = np.linspace(-200.0, 3.0, COEFFICIENTS), np.linspace(90.0, 2.0, COEFFICIENTS)
    mean[5] += shift * std[5]
    std[5] *= spread
    return Statistics(clips, clips * 25, mean, std, mean - 5 * std, mean + 5 * std)


@dataclasses.dataclass
class Planted:
    """What a store is to hold; changed before it is written."""

    rows: dict[str, pd.DataFrame]
    statistics: dict[str, Statistics]

    def write(self, folder: Path, view: View = SMALL_MFCC) -> Store:
        """Write catalog, statistics and manifest; there are no shards, because nothing may read them."""
        folder.mkdir(parents=True)
        table = pd.concat(self.rows.values(), ignore_index=True).reindex(columns=VIEW_CATALOG_SCHEMA.names)
        catalog = pa.Table.from_pandas(table, VIEW_CATALOG_SCHEMA, preserve_index=False)
        write_table(str(folder / CATALOG_FILE), catalog)
        (folder / STATISTICS_FILE).write_text(statistics_json(self.statistics))
        manifest = Manifest(
            name="small",
            version=version(view),
            definition=definition(view),
            archives=(),
            clip_parameters={},
            task=task_of(),
            shards=tuple(
                Shard(shard_file("small", split, 0, 1), split, len(rows), 0, "0" * 64)
                for split, rows in self.rows.items()
            ),
        )
        commit(str(folder), manifest, (CATALOG_FILE, STATISTICS_FILE))
        return open_store(folder)


def planted(counts: Mapping[str, int] = COUNTS, seed: int = 0) -> Planted:
    return Planted(
        {split: rows_of(split, clips, seed) for split, clips in counts.items()},
        {split: statistics_of(clips) for split, clips in counts.items()},
    )


def louder(content: Planted) -> None:
    content.rows["test"]["rms"] = np.minimum(content.rows["test"]["rms"] * 10 ** (9 / 20), 1.0)


def without_a_class(content: Planted) -> None:
    content.rows["test"] = content.rows["test"].query("label != 3")
    content.statistics["test"] = statistics_of(len(content.rows["test"]))


def with_a_rare_class(content: Planted) -> None:
    rows = content.rows["test"]
    content.rows["test"] = rows[(rows["label"] != 3) | (np.arange(len(rows)) < 100)]
    content.statistics["test"] = statistics_of(len(content.rows["test"]))


def half_padded(content: Planted) -> None:
    content.rows["test"].loc[::2, "length"] = 8_000
    content.rows["test"].loc[1::4, "length"] = 8_000


def silent_clips(content: Planted) -> None:
    content.rows["test"].loc[1::20, "rms"] = 0.0


def clipped_clips(content: Planted) -> None:
    content.rows["test"].loc[1::4, "clipped"] = 1


def shifted(content: Planted) -> None:
    content.statistics["test"] = statistics_of(COUNTS["test"], shift=-0.5)


def spread(content: Planted) -> None:
    content.statistics["test"] = statistics_of(COUNTS["test"], spread=1 / 1.6)


PLANTED: dict[str, tuple[Callable[[Planted], None], set[str]]] = {
    "louder by 9 dB": (louder, {"loudness_difference_db", "loudness_ks"}),
    "a class dropped": (without_a_class, {"missing_classes", "class_share_difference"}),
    "a class rare": (with_a_rare_class, {"class_share_difference"}),
    "half of the clips padded": (half_padded, {"padded_share_difference"}),
    "silent clips": (silent_clips, {"silent_share_difference"}),
    "clipped clips": (clipped_clips, {"clipped_share_difference"}),
    "features shifted": (shifted, {"coefficient_mean_shift_std"}),
    "features spread less": (spread, {"coefficient_spread_ratio"}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_skew_is_found_in_its_split_and_nowhere_else(name: str, tmp_path: Path, run: RegistryCommand) -> None:
    plant, expected = PLANTED[name]
    content = planted()
    plant(content)
    store = content.write(tmp_path / "store")
    done = run("validate", store.path, "--json", "--output", "out/measures.csv")
    wrong = {(each["split"], each["measure"]) for each in done.json["comparisons"] if not each["ok"]}
    assert wrong == {("test", measure) for measure in expected}
    assert done.code == 1
    assert f"error: {store.path}: {len(expected)} of 18 measures exceed their threshold" in done.stderr
    for measure in expected:
        (line,) = [line for line in done.stderr.splitlines() if measure in line]
        assert line.startswith("skew: test against train: ")
        assert "look at" in line or "listen to" in line
    with (tmp_path / "out" / "measures.csv").open(newline="") as file:
        rows = [(row["split"], row["measure"]) for row in csv.DictReader(file) if row["ok"] == "False"]
    assert sorted(rows) == sorted(wrong)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_drift_is_found(name: str, tmp_path: Path, run: RegistryCommand) -> None:
    plant, expected = PLANTED[name]
    content = planted(seed=1)
    plant(content)
    store, reference = content.write(tmp_path / "store"), planted().write(tmp_path / "reference")
    done = run("validate", store.path, "--against", reference.path, "--json")
    found = {
        (each["split"], each["measure"])
        for each in done.json["comparisons"]
        if each["kind"] == "drift" and not each["ok"]
    }
    assert found == {("test", measure) for measure in expected}


def test_stores_that_differ_by_chance_alone_pass(tmp_path: Path, run: RegistryCommand) -> None:
    for seed in range(4):
        counts = {"train": 1200, "validation": 30 + 20 * seed, "test": 30 + 20 * seed}
        planted(counts, seed).write(tmp_path / str(seed))
    for seed in range(1, 4):
        done = run("validate", tmp_path / str(seed), "--against", tmp_path / "0", "--json")
        assert (done.code, done.stderr) == (0, "")
        assert len(done.json["comparisons"]) == 2 * 9 + 3 * 9


def expected_measures(rows: pd.DataFrame, reference: pd.DataFrame, below: float) -> dict[str, float]:
    """The measures of the catalog, by pandas and scipy."""

    def spoken(frame: pd.DataFrame) -> pd.DataFrame:
        words = frame[frame["word"] != "_silence_"]
        level = 20 * np.log10(words["rms"].astype(float).clip(lower=1 / 32768))
        return words.assign(level=level.round(1))

    one, other = spoken(rows), spoken(reference)
    shares = (
        rows["label"].value_counts(normalize=True).sub(reference["label"].value_counts(normalize=True), fill_value=0.0)
    )
    return {
        "missing_classes": len(set(reference["label"]) - set(rows["label"])),
        "class_share_difference": shares.abs().max(),
        "loudness_difference_db": abs(one["level"].median() - other["level"].median()),
        "loudness_ks": stats.ks_2samp(one["level"], other["level"]).statistic,
        "padded_share_difference": abs((one["length"] < 16_000).mean() - (other["length"] < 16_000).mean()),
        "silent_share_difference": abs((one["level"] < below).mean() - (other["level"] < below).mean()),
        "clipped_share_difference": abs((one["clipped"] > 0).mean() - (other["clipped"] > 0).mean()),
    }


def of_split(comparisons: list[Verdict], split: str) -> dict[str, float]:
    return {each.measure: each.value for each in comparisons if each.split == split}


def test_the_measures_of_a_real_store_are_those_of_pandas_and_scipy(finished: Path) -> None:
    store = open_store(finished / "features" / "mfcc")
    rows = pq.read_table(f"{store.path}/catalog.parquet").to_pandas()
    statistics = json.loads(Path(store.path, "statistics.json").read_text())
    thresholds = dataclasses.replace(THRESHOLDS, silent_below_dbfs=-17.0)
    comparisons = skew(profile(store), thresholds)
    train = statistics["train"]
    for split in ("validation", "test"):
        found = of_split(comparisons, split)
        expected = expected_measures(rows[rows["split"] == split], rows[rows["split"] == "train"], -17.0)
        shifts = [
            abs(a - b) / s for a, b, s in zip(statistics[split]["mean"], train["mean"], train["std"], strict=True)
        ]
        ratios = [max(a / b, b / a) for a, b in zip(statistics[split]["std"], train["std"], strict=True)]
        expected |= {"coefficient_mean_shift_std": max(shifts), "coefficient_spread_ratio": max(ratios)}
        assert found == pytest.approx(expected)
        assert set(found) == {measure.name for measure in MEASURES}


def test_what_chance_may_add_is_the_standard_error_of_simulated_differences() -> None:
    """Both groups are drawn from one distribution: the differences' root mean square is the standard error."""
    generator = np.random.default_rng(0)
    squares: dict[str, list[float]] = {"loudness_difference_db": [], "padded_share_difference": []}
    allowed: dict[str, list[float]] = {"loudness_difference_db": [], "padded_share_difference": []}
    thresholds = dataclasses.replace(THRESHOLDS, chance_standard_errors=1.0)
    for _ in range(300):
        splits = {}
        for name, clips in (("train", 400), ("test", 100)):
            levels, counts = np.unique(generator.normal(-27, 7, clips).round(1), return_counts=True)
            padded = int(generator.binomial(clips, 0.2))
            splits[name] = SplitProfile(
                clips, {"yes": clips}, clips, padded, 0, tuple(levels), tuple(counts), (0.0,), (1.0,)
            )
        for each in skew(Profile("a", "1.0.0", "", splits), thresholds):
            if each.measure in squares:
                squares[each.measure].append(each.value**2)
                allowed[each.measure].append(each.chance)
    for measure, values in squares.items():
        assert np.sqrt(np.mean(values)) == pytest.approx(np.mean(allowed[measure]), rel=0.15)


def test_the_same_difference_passes_among_few_clips_and_fails_among_many(tmp_path: Path) -> None:
    verdicts = []
    for clips in (40, 4000):
        content = planted({"train": 4 * clips, "test": clips})
        half_padded(content)
        content.rows["test"].loc[::3, "length"] = 16_000
        store = content.write(tmp_path / str(clips))
        verdicts += [each.ok for each in skew(profile(store), THRESHOLDS) if each.measure == "padded_share_difference"]
        exact = dataclasses.replace(THRESHOLDS, max_padded_share_difference=0.3, chance_standard_errors=3.0)
        verdicts += [each.ok for each in skew(profile(store), exact) if each.measure == "padded_share_difference"]
    assert verdicts == [False, True, False, False]


def test_a_store_does_not_drift_from_itself(finished: Path) -> None:
    found = profile(open_store(finished / "features" / "mfcc"))
    values = drift(found, found, THRESHOLDS)
    assert len(values) == 3 * len(MEASURES)
    assert {each.value for each in values if each.measure != "coefficient_spread_ratio"} == {0.0}
    assert {each.value for each in values if each.measure == "coefficient_spread_ratio"} == {1.0}


def test_a_coefficient_that_never_changes_is_compared_without_dividing_by_zero() -> None:
    flat = SplitProfile(10, {"yes": 10}, 10, 0, 0, (-20.0,), (10,), (-80.0, 1.0), (0.0, 2.0))
    moved = dataclasses.replace(flat, mean=(-79.0, 1.0), std=(0.1, 2.0))
    same = of_split(
        drift(Profile("a", "1", "", {"train": flat}), Profile("a", "1", "", {"train": flat}), THRESHOLDS), "train"
    )
    assert (same["coefficient_mean_shift_std"], same["coefficient_spread_ratio"]) == (0.0, 1.0)
    comparisons = drift(Profile("a", "1", "", {"train": moved}), Profile("a", "1", "", {"train": flat}), THRESHOLDS)
    wrong = {each.measure: each.at for each in comparisons if not each.ok}
    assert wrong == dict.fromkeys(("coefficient_mean_shift_std", "coefficient_spread_ratio"), "coefficient 0")
    json.dumps([dataclasses.asdict(each) for each in comparisons], allow_nan=False)


def test_coefficients_of_another_definition_are_not_compared(tmp_path: Path, run: RegistryCommand) -> None:
    store = planted().write(tmp_path / "store")
    other = planted().write(tmp_path / "other", Waveform(kind="waveform", sample_rate_hz=8_000))
    done = run("validate", store.path, "--against", other.path, "--json")
    assert done.code == 0
    assert "has another definition" in done.stderr and "coefficients are not compared" in done.stderr
    compared = {each["measure"] for each in done.json["comparisons"] if each["kind"] == "drift"}
    assert compared == {measure.name for measure in MEASURES if not measure.name.startswith("coefficient")}


def test_classes_that_only_the_reference_has_are_missing(tmp_path: Path) -> None:
    found = profile(planted().write(tmp_path / "store"))
    split = found.splits["train"]
    more = dataclasses.replace(split, classes={**split.classes, "up": 50, "go": 0})
    (missing,) = [
        each
        for each in drift(found, dataclasses.replace(found, splits={"train": more}), THRESHOLDS)
        if each.measure == "missing_classes"
    ]
    assert (missing.value, missing.at, missing.ok) == (1, "up", False)


def test_a_reference_may_be_a_store_a_folder_of_stores_or_a_printed_profile(
    tmp_path: Path, run: RegistryCommand
) -> None:
    store = planted(seed=1).write(tmp_path / "store")
    reference = planted().write(tmp_path / "features" / "small" / version(SMALL_MFCC))
    (tmp_path / "printed.json").write_text(run("validate", reference.path, "--json").stdout)
    outputs = [
        run("validate", store.path, "--against", place).stdout
        for place in (reference.path, tmp_path / "features", "printed.json")
    ]
    assert outputs[0].count("small ") == 27
    assert len(set(outputs)) == 1


def test_the_reference_of_params_yaml_is_used_where_none_is_named(tmp_path: Path, run: RegistryCommand) -> None:
    store = planted(seed=1).write(tmp_path / "store")
    planted().write(tmp_path / "reference")
    assert run("validate", store.path).stdout.count("small ") == 0
    write_parameters(tmp_path, validate__against="reference")
    assert run("validate", store.path).stdout.count("small ") == 27


levels = st.lists(st.floats(-90.3, 0), min_size=1, max_size=5, unique=True).map(sorted)
split_profiles = levels.flatmap(
    lambda found: st.builds(
        SplitProfile,
        clips=st.integers(0, 9),
        classes=st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=3),
        spoken=st.integers(0, 9),
        padded=st.integers(0, 9),
        clipped=st.integers(0, 9),
        loudness_dbfs=st.just(tuple(found)),
        loudness_clips=st.tuples(*[st.integers(1, 9)] * len(found)),
        mean=st.tuples(st.floats(allow_nan=False, allow_infinity=False)),
        std=st.tuples(st.floats(0, 1e300)),
    )
)


@given(st.builds(Profile, st.text(), st.text(), st.text(), st.dictionaries(st.text(), split_profiles, max_size=3)))
def test_a_profile_survives_json(found: Profile) -> None:
    assert Profile.from_dict(json.loads(json.dumps(found.to_dict())), "here") == found


def test_loudness_is_in_db_of_full_scale_and_silence_is_finite() -> None:
    expected = [0.0, -6.0206, -20.0, -90.309, -90.309]
    assert loudness_dbfs(np.array([1.0, 0.5, 0.1, 1 / 32768, 0.0])) == pytest.approx(expected, abs=1e-3)


def test_the_table_has_a_row_for_each_comparison(finished: Path, tmp_path: Path, run: RegistryCommand) -> None:
    store = store_folder(finished / "features" / "mfcc")
    printed = run("validate", store, "--against", store, "--output", "validation/mfcc.csv", "--json").json[
        "comparisons"
    ]
    with (tmp_path / "validation" / "mfcc.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{name: str(value) for name, value in each.items()} for each in printed]
    of_drift = {(row["split"], row["measure"]) for row in rows if row["kind"] == "drift"}
    assert of_drift == {(split, measure.name) for split in ("train", "validation", "test") for measure in MEASURES}


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "a store of clips": (("{clips}",), "is a store of clips: name a store of features"),
    "against a store of clips": (("{store}", "--against", "{clips}"), "is a store of clips: name a store of features"),
    "against nothing": (("{store}", "--against", "absent"), "absent is not a finished store"),
    "against another JSON": (("{store}", "--against", "other.json"), "other.json holds no profile of a store"),
    "against no JSON": (("{store}", "--against", "text.json"), "text.json is not JSON"),
    "against a missing file": (("{store}", "--against", "absent.json"), "No such file or directory: absent.json"),
    "one split": (("one",), "one has no other split than train: name another store with --against"),
    "no split in common": (("{store}", "--against", "extra"), "extra has the splits extra, expected one of train"),
    "fewer rows than clips": (
        ("short",),
        "the catalog has 399 clips of test, the manifest 400; make the store again",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name: str, finished: Path, tmp_path: Path, run: RegistryCommand) -> None:
    arguments, expected = MISTAKES[name]
    planted({"train": 40}).write(tmp_path / "one")
    planted({"extra": 40}).write(tmp_path / "extra")
    planted().write(tmp_path / "short")
    table = pq.read_table(tmp_path / "short" / "catalog.parquet")
    pq.write_table(table[: len(table) - 1], tmp_path / "short" / "catalog.parquet")
    (tmp_path / "other.json").write_text("[]")
    (tmp_path / "text.json").write_text("text")
    places = {"store": finished / "features" / "mfcc", "clips": finished / "clips"}
    done = run("validate", *(argument.format(**places) for argument in arguments))
    assert (done.code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: ") and expected in done.stderr


def test_every_threshold_is_used_by_one_measure_and_is_explained() -> None:
    names = {field.name for field in dataclasses.fields(Thresholds)}
    assert names - {measure.threshold for measure in MEASURES} == {"silent_below_dbfs", "chance_standard_errors"}
    assert len({measure.threshold for measure in MEASURES}) == len(MEASURES)
    assert all(f"    {name}: " in (Thresholds.__doc__ or "") for name in names)
    assert set(parameters()["validate"]["thresholds"]) == names


def test_a_store_without_spoken_clips_is_compared_by_its_classes_and_coefficients_alone() -> None:
    quiet: Any = SplitProfile(10, {"_silence_": 10}, 0, 0, 0, (), (), (1.0,), (1.0,))
    found = skew(Profile("a", "1", "", {"train": quiet, "test": quiet}), THRESHOLDS)
    assert {each.measure for each in found} == {each.name for each in MEASURES if each.of != "spoken"}
