"""Work that can be interrupted: each item is worked on once, and the output takes its place when it is whole.

A stage writes into a work folder that is named after its plan, the sum of what decides its bytes. An item whose report
is there is not worked on again. The output takes its place only when it is finished, so a failed or interrupted run
leaves the output of the run before as it was.
"""

from __future__ import annotations

import hashlib
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter

from base import __version__, files
from base.errors import DataError
from stores import writing
from stores.manifest import PLAN_FILE, WORK_FOLDER

_FAILED: Final = "failed-"
_COMMITTED_FILE: Final = "committed.json"
_PLAN_DIGITS: Final = 16

Item = TypeVar("Item")
Report = TypeVar("Report")


@dataclass(frozen=True)
class Work:
    """The unfinished work of a stage.

    Attributes:
        output: where the output belongs: the folder of a store, or a file.
        home: folder of the unfinished work on that output.
        folder: folder in it of this plan alone.
    """

    output: str
    home: str
    folder: str

    @property
    def staged(self) -> str:
        """Where the output is made, before it takes its place."""
        return files.join(self.folder, "output")

    def path(self, name: str) -> str:
        """Path of a file of the unfinished work."""
        return files.join(self.folder, name)

    def report_path(self, step: str, index: int) -> str:
        """Path of the report on an item of a step."""
        return self.path(f"{step}-{index:05d}.json")

    def reports(self, step: str) -> int:
        """Items of a step that are finished."""
        return sum(name.startswith(f"{step}-") and name.endswith(".json") for name in files.names(self.folder))

    def fail(self, step: str, index: int, message: str) -> None:
        """Keep why an item can't be finished, for `finish` to report; runners wrap exceptions beyond recognition."""
        text = files.to_json({"message": message})
        files.write_text(self.path(f"{_FAILED}{step}-{index:05d}.json"), text, concurrent=True)


def begin_store(folder: str, plan: dict[str, Any]) -> Work:
    """Begin or resume the work on a store.

    Args:
        folder: folder of the store.
        plan: all that decides the bytes of the output.
    """
    if files.is_file(folder):
        raise DataError(f"{folder} is a file, expected the name of a folder to write")
    return _begin(folder, files.join(folder, WORK_FOLDER), plan)


def begin_file(path: str, plan: dict[str, Any]) -> Work:
    """Begin or resume the work on a single file.

    Args:
        path: the file.
        plan: all that decides its bytes.
    """
    if path.endswith("/") or files.is_folder(path):
        raise DataError(f"{path} is a folder, expected the name of the file to write")
    folder, name = posixpath.split(path)
    return _begin(path, files.join(folder, WORK_FOLDER, name), plan)


def _begin(output: str, home: str, plan: dict[str, Any]) -> Work:
    text = files.to_json({**plan, "code_version": __version__})
    key = hashlib.sha256(text.encode()).hexdigest()[:_PLAN_DIGITS]
    work = Work(output, home, files.join(home, key))
    for name in files.names(home):
        if name != key:
            files.remove(files.join(home, name))
    for name in files.names(work.folder):
        if name.startswith((_FAILED, ".")):
            files.remove(work.path(name))
    if not files.is_file(work.path(PLAN_FILE)):
        files.write_text(work.path(PLAN_FILE), text)
    return work


def is_committed(work: Work) -> bool:
    """Whether all of the output was made before, and an interrupted run has only to put it in place."""
    return files.is_file(work.path(_COMMITTED_FILE))


def finish(work: Work) -> None:
    """After the pipeline: see that the output is in its place, and clear the work.

    Raises:
        DataError: an item or the output failed, or the pipeline ended before its end.
    """
    failures = [name for name in files.names(work.folder) if name.startswith(_FAILED)]
    if failures:
        raise DataError(files.read_json(work.path(failures[0]))["message"])
    if not is_committed(work):
        raise DataError(f"the pipeline ended without {work.output}: run the same command again to resume")
    _put_in_place(work)
    files.remove(work.home)
    above = posixpath.dirname(work.home)
    if posixpath.basename(above) == WORK_FOLDER and not files.names(above):
        files.remove(above)


def _put_in_place(work: Work) -> None:
    if writing.is_finished(work.staged):
        writing.replace(work.output, work.staged)
    elif files.is_file(work.staged):
        files.move(work.staged, work.output)


class Step(ABC, Generic[Item, Report]):
    """What a stage does with one item; instances travel to the workers.

    Attributes:
        name: of the step, for file names and Beam's pages.
        report: type of its reports, a dataclass that JSON can hold.
    """

    name: str
    report: type[Any]

    @abstractmethod
    def index(self, item: Item) -> int:
        """The number of an item, from 0."""

    @abstractmethod
    def run(self, item: Item, work: Work) -> Report | None:
        """Work on an item; its report, or None where it must be left undone since something before it failed.

        Raises:
            DataError: the item can't be finished.
        """

    def holds(self, report: Report, work: Work) -> bool:
        """Whether the files that an earlier report speaks of are still there."""
        return True

    def clean(self, item: Item, work: Work) -> None:
        """Delete what is of no more use once the report on an item is written."""

    def read_report(self, index: int, work: Work) -> Report | None:
        """The report on a finished item, or None where it is not finished."""
        place = work.report_path(self.name, index)
        if not files.is_file(place):
            return None
        report: Report = TypeAdapter(self.report).validate_json(files.read_text(place))
        return report if self.holds(report, work) else None


class JointStep(Step[Item, Report]):
    """A step that works on an item for several outputs at once, since what they take from it is the same."""

    @abstractmethod
    def run_together(self, item: Item, works: Sequence[Work]) -> list[Report]:
        """Work on an item; a report for each output.

        Raises:
            DataError: the item can't be finished.
        """

    def run(self, item: Item, work: Work) -> Report:
        """Work on an item for one output."""
        return self.run_together(item, [work])[0]


def run_step(step: Step[Any, Any], item: Any, work: Work) -> Any:
    """The report on an item, which is worked on unless its report is there; the report is written last.

    Returns:
        The report, or None where the item can't be finished: then `finish` tells why.
    """
    index = step.index(item)
    report = step.read_report(index, work)
    if report is None:
        try:
            report = step.run(item, work)
        except DataError as error:
            work.fail(step.name, index, str(error))
        if report is None:
            return None
        _write_report(step, index, report, work)
        step.clean(item, work)
    return report


def run_joint_step(step: JointStep[Any, Any], item: Any, works: Sequence[Work]) -> list[Any] | None:
    """The reports on an item for several outputs; it is worked on for those alone that lack theirs.

    Returns:
        The reports in the order of the outputs, or None where the item can't be finished: then `finish` tells why.
    """
    index = step.index(item)
    reports = {work: step.read_report(index, work) for work in works}
    missing = [work for work, report in reports.items() if report is None]
    if missing:
        try:
            made = step.run_together(item, missing)
        except DataError as error:
            missing[0].fail(step.name, index, str(error))
            return None
        for work, report in zip(missing, made, strict=True):
            _write_report(step, index, report, work)
            reports[work] = report
    return list(reports.values())


def _write_report(step: Step[Any, Any], index: int, report: Any, work: Work) -> None:
    files.write_text(work.report_path(step.name, index), files.to_json(asdict(report)), concurrent=True)


def commit(work: Work) -> None:
    """Mark the output at `Work.staged` as whole, and put it in its place."""
    files.write_text(work.path(_COMMITTED_FILE), files.to_json({"output": work.output}))
    _put_in_place(work)
