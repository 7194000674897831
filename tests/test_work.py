"""The map over shards, run on lists: each item once, failures kept, and the output in place only when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from base import files
from base.errors import DataError
from pipelines.engine.steps import JointStep, Step, run_step
from pipelines.engine.transforms import Commit, JointMap, ShardMap, _Commit
from pipelines.engine.work import Work, begin_file, begin_store, finish, is_committed


@dataclass(frozen=True)
class Squared:
    """Report on a number."""

    index: int
    square: int


class Square(Step[int, Squared]):
    """Writes the square of a number into a file, and an entry into a log each time that it does so."""

    name = "square"
    report = Squared

    def __init__(self, log: Path, bad: tuple[int, ...] = ()) -> None:
        self._log, self._bad = log, bad

    def index(self, item: int) -> int:
        return item

    def holds(self, report: Squared, work: Work) -> bool:
        return files.is_file(work.path(f"part-{report.index}"))

    def run(self, item: int, work: Work) -> Squared:
        if item in self._bad:
            raise DataError(f"{item} can't be squared")
        with self._log.open("a") as log:
            log.write(f"{item}\n")
        files.write_text(work.path(f"part-{item}"), str(item**2))
        return Squared(item, item**2)


class Powers(JointStep[int, Squared]):
    """Writes a power of a number for each output, the square for the first; the log has the outputs made together."""

    name = "powers"
    report = Squared

    def __init__(self, log: Path, outputs: Sequence[str], bad: tuple[int, ...] = ()) -> None:
        self._log, self._bad = log, bad
        self._exponents = {output: 2 + place for place, output in enumerate(outputs)}

    def index(self, item: int) -> int:
        return item

    def run_together(self, item: int, works: Sequence[Work]) -> list[Squared]:
        if item in self._bad:
            raise DataError(f"{item} has no powers")
        with self._log.open("a") as log:
            log.write(f"{item}: {[self._exponents[work.output] for work in works]}\n")
        return [Squared(item, item ** self._exponents[work.output]) for work in works]


def add_up(reports: list[Squared], work: Work) -> None:
    """The squares, one a line, in order of index."""
    if any(report.square == 36 for report in reports):
        raise DataError("36 is too much")
    files.write_text(work.staged, "".join(f"{report.square}\n" for report in reports))


def run(work: Work, items: range, step: Square) -> None:
    """The whole stage, on a list."""
    if not is_committed(work):
        with beam.Pipeline("FnApiRunner") as pipeline:
            _ = pipeline | beam.Create(items) | ShardMap(work, step) | Commit(work, len(items), add_up)
    finish(work)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


def squared(log: Path) -> list[int]:
    return sorted(int(line) for line in log.read_text().splitlines())


@pytest.fixture(params=["local", "memory"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    folder = str(tmp_path / "run[1]") if request.param == "local" else f"memory://{tmp_path.name}/run[1]"
    return files.join(folder, "out.txt")


def test_a_map_alone_gives_the_reports_of_a_list(log: Path, out: str) -> None:
    reports: Any = [3, 1] | ShardMap(begin_file(out, {}), Square(log))
    assert sorted(reports, key=lambda report: report.index) == [Squared(1, 1), Squared(3, 9)]


def test_the_output_has_all_reports_in_order_and_no_work_is_left(log: Path, out: str) -> None:
    run(begin_file(out, {}), range(4), Square(log))
    assert files.read_text(out) == "0\n1\n4\n9\n"
    assert files.names(out.rpartition("/")[0]) == ["out.txt"]


def test_what_was_finished_is_not_done_again_and_what_is_gone_is(log: Path, out: str) -> None:
    with pytest.raises(DataError, match="2 can't be squared"):
        run(begin_file(out, {}), range(4), Square(log, bad=(2, 3)))
    assert squared(log) == [0, 1] and not files.exists(out)
    work = begin_file(out, {})
    files.remove(work.path("part-1"))
    run(work, range(4), Square(log))
    assert squared(log) == [0, 1, 1, 2, 3] and files.read_text(out) == "0\n1\n4\n9\n"


def test_work_of_another_plan_is_not_taken_for_finished(log: Path, out: str) -> None:
    with pytest.raises(DataError):
        run(begin_file(out, {"shards": 3}), range(4), Square(log, bad=(3,)))
    work = begin_file(out, {"shards": 4})
    assert files.names(work.home) == [work.folder.rpartition("/")[2]]
    run(work, range(4), Square(log))
    assert squared(log) == [0, 0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("bad", [(5,), (6,)])
def test_a_failure_keeps_the_output_before(bad: tuple[int, ...], log: Path, out: str) -> None:
    """5 fails on its own; without it the sum of all fails, since 36 is among them."""
    files.write_text(out, "of a run before")
    with pytest.raises(DataError, match="5 can't be squared" if bad == (5,) else "36 is too much"):
        run(begin_file(out, {}), range(7), Square(log, bad=() if bad == (6,) else bad))
    assert files.read_text(out) == "of a run before"


def test_a_run_that_died_before_its_output_took_its_place_only_moves_it(log: Path, out: str) -> None:
    work = begin_file(out, {})
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(range(3)) | ShardMap(work, Square(log))
    add_up([Squared(index, index**2) for index in range(3)], work)
    files.write_text(work.path("committed.json"), "{}")
    work = begin_file(out, {})
    assert is_committed(work)
    finish(work)
    assert files.read_text(out) == "0\n1\n4\n" and squared(log) == [0, 1, 2]


def test_an_item_is_worked_on_for_those_outputs_alone_that_lack_its_report(log: Path, tmp_path: Path) -> None:
    works = [begin_file(str(tmp_path / name), {}) for name in ("squares", "cubes")]
    outputs = [work.output for work in works]
    first: Any = [1, 2, 3] | JointMap(works, Powers(log, outputs, bad=(3,)))
    assert sorted([each.square for each in reports] for reports in first) == [[1, 1], [4, 8]]
    with pytest.raises(DataError, match="3 has no powers"):
        finish(works[0])
    files.remove(works[0].report_path("powers", 1))
    files.remove(works[1].report_path("powers", 2))
    again: Any = [1, 2, 3] | JointMap(works, Powers(log, outputs))
    assert sorted([each.square for each in reports] for reports in again) == [[1, 1], [4, 8], [9, 27]]
    assert sorted(log.read_text().splitlines()) == ["1: [2, 3]", "1: [2]", "2: [2, 3]", "2: [3]", "3: [2, 3]"]


def test_a_pipeline_that_ended_early_says_so(out: str) -> None:
    with pytest.raises(DataError, match=r"ended without .*out\.txt: run the same command again"):
        finish(begin_file(out, {}))


def test_outputs_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file, expected the name of a folder"):
        begin_store(str(tmp_path / "file"), {})
    with pytest.raises(DataError, match="is a folder, expected the name of the file"):
        begin_file(str(tmp_path), {})


def test_a_run_that_died_while_it_cleared_its_work_has_nothing_left_to_do(
    log: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, remove_there = files.remove, MemoryFileSystem.rm_file

    def dies(path: str) -> None:
        if path.endswith("square-00001.json"):
            raise KeyboardInterrupt
        remove(path)

    def dies_there(system: MemoryFileSystem, path: str) -> None:
        if path.endswith("square-00001.json"):
            raise KeyboardInterrupt
        remove_there(system, path)

    work = begin_file(out, {})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "remove", dies)
        patch.setattr(MemoryFileSystem, "rm_file", dies_there)
        run(work, range(3), Square(log))
    run(begin_file(out, {}), range(3), Square(log))
    assert squared(log) == [0, 1, 2] and files.names(out.rpartition("/")[0]) == ["out.txt"]


class Late(Square):
    """An attempt that an engine believes dead, and that goes on after another one has ended."""

    def __init__(self, log: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(log)
        self._meanwhile = meanwhile

    def run(self, item: int, work: Work) -> Squared:
        self._meanwhile()
        return super().run(item, work)


class Cleaned(Late):
    """One whose inputs the other attempt has deleted."""

    def run(self, item: int, work: Work) -> Squared:
        self._meanwhile()
        raise FileNotFoundError(f"the input of {item}")


def test_an_attempt_whose_inputs_another_has_used_up_takes_the_report_of_the_other(log: Path, out: str) -> None:
    work = begin_file(out, {})
    late = Cleaned(log, lambda: run_step(Square(log), 3, work))
    assert run_step(late, 3, work) == Squared(3, 9)
    with pytest.raises(FileNotFoundError):
        run_step(Cleaned(log, lambda: None), 4, work)


def test_what_comes_after_the_end_of_the_work_leaves_nothing(log: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "run" / "out.txt")
    work = begin_file(out, {})

    def end() -> None:
        run(work, range(4), Square(log))

    with pytest.raises(OSError):
        run_step(AfterTheEnd(log, end), 3, work)
    assert run_step(Square(log), 2, work) is None
    work.fail("square", 2, DataError("too late"))
    _Commit(work, 1, add_up, places=False).process(None, [Squared(0, 0)])
    assert files.names(str(tmp_path / "run")) == ["out.txt"] and files.read_text(out) == "0\n1\n4\n9\n"


class AfterTheEnd(Late):
    """An attempt in the middle of writing a file while all of the work ends."""

    def run(self, item: int, work: Work) -> Squared:
        with files.published(work.path(f"part-{item}"), concurrent=True) as file:
            file.write(b"9")
            self._meanwhile()
        return Squared(item, item**2)


def test_two_that_commit_at_once_make_one_output(log: Path, out: str) -> None:
    work = begin_file(out, {})
    reports: Any = [0, 1] | ShardMap(work, Square(log))
    ordered = sorted(reports, key=lambda report: report.index)

    def add_up_while_another_does(squared: list[Squared], work: Work) -> None:
        _Commit(work, 2, add_up, places=False).process(None, ordered)
        add_up(squared, work)

    _Commit(work, 2, add_up_while_another_does, places=False).process(None, ordered)
    finish(work)
    assert files.read_text(out) == "0\n1\n"


def test_a_report_that_can_not_be_read_is_made_again(log: Path, out: str) -> None:
    with pytest.raises(DataError):
        run(begin_file(out, {}), range(3), Square(log, bad=(2,)))
    work = begin_file(out, {})
    files.write_text(work.report_path("square", 0), "")
    files.write_text(work.report_path("square", 1), '{"index": 1')
    run(begin_file(out, {}), range(3), Square(log))
    assert squared(log) == [0, 0, 1, 1, 2]


def test_what_killed_runs_left_half_written_is_gone_when_the_next_begins(out: str) -> None:
    work = begin_file(out, {})
    for path in (work.path(".spill-00000-00001.0f.part"), files.join(work.staged, ".shard.0f.part")):
        files.write_text(path, "half")
    begin_file(out, {})
    assert [name for name in files.names(work.folder) if name.startswith(".")] == files.names(work.staged) == []
