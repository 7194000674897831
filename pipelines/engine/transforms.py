"""The transforms that a stage's pipeline is made of: a step for each item, and the end that makes the output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeAlias

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from base import files
from base.errors import DataError
from pipelines.engine import pool
from pipelines.engine.counters import count
from pipelines.engine.steps import FAULTS, JointStep, Step, run_joint_step, run_step, timed
from pipelines.engine.work import Work, commit, is_committed, put_in_place

_KILLED = DataError(
    "a worker process was killed, perhaps for lack of memory: run the same command again to resume; "
    "--direct_num_workers=1 takes the least memory"
)


class ShardMap(beam.PTransform[Any, Any]):
    """Items → reports, one each, of the items that could be finished; in the processes of this machine's pool, if any.

    Reports leave at the end of a bundle, so that its items are worked on at the same time.
    """

    def __init__(self, work: Work, step: Step[Any, Any]) -> None:
        super().__init__(step.name)
        self._work, self._step = work, step

    def expand(self, items: beam.pvalue.PCollection[Any]) -> beam.pvalue.PCollection[Any]:
        run = _Run(run_step, self._step, self._work, self._work, marks=has_other_workers(items.pipeline))
        reports: beam.pvalue.PCollection[Any] = items | beam.ParDo(run)
        return reports


class JointMap(beam.PTransform[Any, Any]):
    """Items → lists of reports, one for each of several outputs, of the items that could be finished; as `ShardMap`."""

    def __init__(self, works: Sequence[Work], step: JointStep[Any, Any]) -> None:
        super().__init__(step.name)
        self._works, self._step = tuple(works), step

    def expand(self, items: beam.pvalue.PCollection[Any]) -> beam.pvalue.PCollection[Any]:
        first = self._works[0]
        run = _Run(run_joint_step, self._step, self._works, first, marks=has_other_workers(items.pipeline))
        reports: beam.pvalue.PCollection[Any] = items | beam.ParDo(run)
        return reports


class _Run(beam.DoFn):
    def __init__(self, run: Callable[..., Any], step: Step[Any, Any], works: Any, first: Work, *, marks: bool) -> None:
        """Set up the function `run` of step, item and works.

        Args:
            run: does the step.
            step: the step.
            works: what `run` takes.
            first: keeps why a process failed, and that a worker has begun.
            marks: whether to mark that.
        """
        self._run, self._step, self._works, self._first, self._marks = run, step, works, first, marks
        self._pending: list[tuple[int, Future[Any]]] = []

    def setup(self) -> None:
        if self._marks and not self._first.is_over:
            files.write_text(self._first.started, "", concurrent=True)

    def start_bundle(self) -> None:
        self._pending = []

    def process(self, item: Any) -> None:
        self._pending.append((self._step.index(item), pool.submit(timed, self._run, self._step, item, self._works)))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for index, pending in self._pending:
            try:
                report, seconds = pending.result()
            except BrokenProcessPool:
                self._first.fail(self._step.name, index, _KILLED)
                return
            except FAULTS as error:
                self._first.fail(self._step.name, index, error)
                continue
            if report is not None:
                count(self._step.name, seconds, self._step.counts(report))
                yield GlobalWindows.windowed_value(report)


MakeOutput: TypeAlias = Callable[[list[Any], Work], None]
"""Makes the output at `Work.staged` from the reports in order of index; raises DataError where it must not be made."""


class Commit(beam.PTransform[Any, Any]):
    """Reports → the whole output, once all reports are there; else nothing.

    The process that waits for the pipeline puts it in its place. Where none waits, this does.
    """

    def __init__(self, work: Work, expected: int, make_output: MakeOutput) -> None:
        """Wire the end of a stage.

        Args:
            work: the work.
            expected: how many reports there must be.
            make_output: makes the output from reports that have an `index`.
        """
        super().__init__("commit")
        self._work, self._expected, self._make_output = work, expected, make_output

    def expand(self, reports: beam.pvalue.PCollection[Any]) -> beam.pvalue.PCollection[Any]:
        places = not waits(reports.pipeline.options)
        step = _Commit(self._work, self._expected, self._make_output, places=places)
        done: beam.pvalue.PCollection[Any] = (
            reports.pipeline | beam.Create([None]) | beam.ParDo(step, beam.pvalue.AsList(reports))
        )
        return done


class _Commit(beam.DoFn):
    def __init__(self, work: Work, expected: int, make_output: MakeOutput, *, places: bool) -> None:
        self._work, self._expected, self._make_output, self._places = work, expected, make_output, places

    def process(self, _: None, reports: Iterable[Any]) -> None:
        ordered = sorted(reports, key=lambda report: report.index)
        if len(ordered) < self._expected:
            return
        try:
            if not is_committed(self._work):
                if self._work.is_over:
                    return
                self._make_output(ordered, self._work)
                commit(self._work)
            if self._places:
                put_in_place(self._work)
        except FAULTS as error:
            if self._places or not is_committed(self._work):  # by another attempt
                self._work.fail("commit", 0, error)


def waits(options: PipelineOptions) -> bool:
    """Whether the process that starts a pipeline stays until its end."""
    submitted_alone = options.view_as(StandardOptions).no_wait_until_finish
    return not (submitted_alone or options.view_as(GoogleCloudOptions).template_location)


def has_other_workers(pipeline: beam.Pipeline) -> bool:
    """Whether a job server gives a pipeline to workers, which may fail to start."""
    return any(each.__name__ == "PortableRunner" for each in type(pipeline.runner).__mro__)
