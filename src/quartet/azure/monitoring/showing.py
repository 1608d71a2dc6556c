"""Shows the status of jobs: live in a terminal, a line a change elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from quartet.azure.monitoring.progress import State, Status, StepStatus
from quartet.text_tables import aligned, duration, takes_escapes

if TYPE_CHECKING:
    from rich.console import Group

Show = Callable[[Status], None]
_COLOURS = {
    State.QUEUED: "dim",
    State.WAITING: "dim",
    State.PREPARING: "cyan",
    State.RUNNING: "cyan",
    State.ENDING: "cyan",
    State.FINISHED: "green",
    State.KEPT: "green",
    State.FAILED: "bold red",
    State.STOPPED: "yellow",
    State.SKIPPED: "yellow",
    State.UNKNOWN: "yellow",
}
_HEADINGS = ("job", "pipeline", "state", "age", "duration", "primary metric")


@contextmanager
def shown(output: TextIO) -> Iterator[Show]:
    """Shows each status in the place of the one before, or as lines where there is no terminal."""
    if not takes_escapes(output):
        yield Lines(output)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(file=output), refresh_per_second=4) as live:
        yield lambda status: live.update(live_view(status))


class Lines:
    """Writes a line for whatever has changed since the last status."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._states: dict[str, State] = {}
        self._metric: tuple[str, float] | None = None

    def __call__(self, status: Status) -> None:
        """Write what has changed; waiting is not worth a line."""
        width = max((len(step.name) for step in status.steps), default=0)
        for step in status.steps:
            before = self._states.get(step.name, State.WAITING)
            self._states[step.name] = step.state
            if step.state is not before:
                self._write(step_line(step, width))
        if status.metric and status.metric != self._metric:
            self._metric = status.metric
            self._write(metric_text(status))
        if self._states.get("") is not status.state:
            self._states[""] = status.state
            self._write(headline(status))

    def _write(self, text: str) -> None:
        print(text, file=self._output, flush=True)


def step_line(step: StepStatus, width: int = 0) -> str:
    """A step in a line of plain text."""
    parts = [f"{step.name:<{width}}", f"{step.state:<9}", duration(step.seconds), step.fault]
    return "  ".join(filter(None, parts)).rstrip()


def headline(status: Status) -> str:
    """A job in a line: `train_7: mnist_training running, 2 of 4 steps, 3 min 12 s`."""
    steps = f"{status.done} of {len(status.steps)} steps" if status.steps else ""
    facts = [f"{status.pipeline} {status.state}", steps, duration(status.seconds)]
    return f"{status.name}: {', '.join(filter(None, facts))}"


def metric_text(status: Status) -> str:
    """The primary metric: `test_accuracy 0.9948`; empty if there is none yet."""
    return f"{status.metric[0]} {status.metric[1]:.6g}" if status.metric else ""


def afterwards(status: Status) -> Iterator[str]:
    """Lines for the end: what failed and how to go on, what is not known, where to see more."""
    for step in status.steps:
        if step.state is State.FAILED:
            yield f"step '{step.name}' failed: {step.fault or 'it did not say why'}"
            yield from (f"    {text}" for text in step.log)
    if status.note:
        yield status.note
    if status.again and status.state in (State.FAILED, State.STOPPED):
        yield f"mend it and go on with: {status.again}"
    if status.link:
        yield f"see {status.link}"


def listing(statuses: Sequence[Status], now: datetime) -> list[str]:
    """A table of jobs in plain text."""
    return aligned([_HEADINGS, *(_row(status, now) for status in statuses)])


def live_view(status: Status) -> Group:
    """A job for a terminal: a table of its steps, a bar, its metric."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("duration", justify="right", no_wrap=True)
    for step in status.steps:
        state = Text(str(step.state), style=_COLOURS[step.state])
        table.add_row(step.name, state, duration(step.seconds))
    below = Table.grid()  # a bar by itself does not end its line
    below.add_row(ProgressBar(total=max(1, len(status.steps)), completed=status.done, width=40))
    below.add_row(Text(headline(status), style=_COLOURS[status.state]))
    if status.metric:
        below.add_row(Text(metric_text(status), style="bold"))
    return Group(table, below)


def _row(status: Status, now: datetime) -> tuple[str, ...]:
    age = ""
    if status.created is not None:
        created = status.created if status.created.tzinfo else status.created.replace(tzinfo=UTC)
        age = duration(max(0.0, (now - created).total_seconds()))
    return (
        status.name,
        status.pipeline,
        str(status.state),
        age,
        duration(status.seconds),
        metric_text(status),
    )
