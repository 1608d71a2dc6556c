"""Show the status of jobs: live in a terminal, elsewhere as a line per change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from kedro_cloud.core.console import (
    ChangePrinter,
    align_columns,
    format_duration,
    live_display,
    state_table,
)
from kedro_cloud.jobs.progress import Status, StepState, StepStatus

if TYPE_CHECKING:
    from rich.console import Group

Show = Callable[[Status], None]
_HEADINGS = ("job", "pipeline", "state", "age", "duration", "primary metric")


def show_status(output: TextIO) -> AbstractContextManager[Show]:
    """Return a context with a function that shows a status: live, or its changes as lines."""
    changes = ChangePrinter(output)

    def write(status: Status) -> None:
        width = max((len(step.name) for step in status.steps), default=0)
        for step in status.steps:
            changes.write(step.name, step.state, format_step(step, width), StepState.WAITING)
        if status.metric:
            changes.write("primary metric", status.metric, format_metric(status))
        changes.write("", status.state, format_headline(status))

    return live_display(output, make_view, write)


def format_step(step: StepStatus, width: int = 0) -> str:
    """Return a step as a line of text."""
    parts = [f"{step.name:<{width}}", f"{step.state:<9}", format_duration(step.seconds), step.fault]
    return "  ".join(filter(None, parts)).rstrip()


def format_headline(status: Status) -> str:
    """Return a job as a line: `train_7: training running, 2 of 4 steps, 3 min 12 s`."""
    steps = f"{status.done} of {len(status.steps)} steps" if status.steps else ""
    facts = [f"{status.pipeline} {status.state}", steps, format_duration(status.seconds)]
    return f"{status.name}: {', '.join(filter(None, facts))}"


def format_metric(status: Status) -> str:
    """Return the primary metric, `test_accuracy 0.9948`; empty if it is not logged yet."""
    return f"{status.metric[0]} {status.metric[1]:.6g}" if status.metric else ""


def format_end(status: Status) -> Iterator[str]:
    """Yield the last lines: failed steps, missing information, how to resume, and the link."""
    for step in status.steps:
        if step.state is StepState.FAILED:
            yield f"step '{step.name}' failed: {step.fault or 'no reason was reported'}"
            yield from (f"    {line}" for line in step.log)
    if status.note:
        yield status.note
    if status.again and status.state in (StepState.FAILED, StepState.STOPPED):
        yield f"fix this and resume with: {status.again}"
    if status.link:
        yield f"see {status.link}"


def format_list(statuses: Sequence[Status], now: datetime) -> list[str]:
    """Return a table of jobs as lines of text."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for status in statuses:
        created = status.created
        if created is not None and created.tzinfo is None:
            created = created.replace(tzinfo=UTC)
        age = max(0.0, (now - created).total_seconds()) if created else None
        rows.append(
            (
                *(status.name, status.pipeline, str(status.state), format_duration(age)),
                *(format_duration(status.seconds), format_metric(status)),
            )
        )
    return align_columns(rows)


def make_view(status: Status) -> Group:
    """Return a table of a job's steps, with the job and its metric below."""
    from rich.console import Group
    from rich.text import Text

    rows = ((step.name, step.state, [format_duration(step.seconds)]) for step in status.steps)
    below = f"{format_headline(status)}\n{format_metric(status)}".rstrip()
    return Group(state_table(["duration"], rows), Text(below, style="bold"))
