"""What is done with each item of a stage's work: once, as its report tells, whatever is killed meanwhile.

An engine may try an item again while an attempt that it believes dead still runs. Both make the same bytes under names
of their own, so either may come last. Whatever comes when the work has ended leaves nothing: the plan is gone.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from base import files
from base.errors import DataError
from pipelines.engine.work import Work

FAULTS: Final = (DataError, OSError, MemoryError)
"""What ends a step for a reason that the user can mend."""

Item = TypeVar("Item")
Report = TypeVar("Report")


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

    def counts(self, report: Any) -> dict[str, int]:
        """What the engines' own metrics count of an item, by name, such as clips and rejects by reason."""
        return {}

    def clean(self, item: Item, work: Work) -> None:
        """Delete what is of no more use once the report on an item is written."""

    def read_report(self, index: int, work: Work) -> Report | None:
        """The report on a finished item, or None where it is not finished, as where its report can't be read."""
        try:
            content = files.read_bytes(work.report_path(self.name, index))
            report: Report = TypeAdapter(self.report).validate_json(content)
        except (FileNotFoundError, ValidationError):
            return None
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
        The report, or None where it must be left undone since something before it failed, or the work has ended.

    Raises:
        DataError, OSError, MemoryError: the item can't be finished.
    """
    index = step.index(item)
    report = step.read_report(index, work)
    if report is None:
        if work.is_over:
            return None
        try:
            report = step.run(item, work)
        except FAULTS:
            report = step.read_report(index, work)  # another attempt has finished it, and cleaned up
            if report is None:
                raise
            return report
        if report is None:
            return None
        _write_report(step, index, report, work)
        step.clean(item, work)
    return report


def run_joint_step(step: JointStep[Any, Any], item: Any, works: Sequence[Work]) -> list[Any] | None:
    """The reports on an item for several outputs; it is worked on for those alone that lack theirs.

    Returns:
        The reports in the order of the outputs; None where the work has ended.

    Raises:
        DataError, OSError, MemoryError: the item can't be finished.
    """
    index = step.index(item)
    reports = {work: step.read_report(index, work) for work in works}
    missing = [work for work, report in reports.items() if report is None]
    if missing and not missing[0].is_over:
        for work, report in zip(missing, step.run_together(item, missing), strict=True):
            _write_report(step, index, report, work)
            reports[work] = report
    elif missing:
        return None
    return list(reports.values())


def timed(run: Callable[..., Report], step: Step[Any, Any], item: Any, works: Any) -> tuple[Report, float]:
    """What one of the two functions above gives, and the seconds that it took."""
    began = time.monotonic()
    return run(step, item, works), time.monotonic() - began


def _write_report(step: Step[Any, Any], index: int, report: Any, work: Work) -> None:
    files.write_text(work.report_path(step.name, index), files.to_json(asdict(report)), concurrent=True)
