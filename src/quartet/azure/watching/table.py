"""Shows videos: a live table in a terminal, a line a change elsewhere, a summary in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from quartet.azure.watching.names import printable
from quartet.azure.watching.rows import LEFT_ALONE, READY, Observer, Row, Shown
from quartet.text_tables import takes_escapes

if TYPE_CHECKING:
    from rich.table import Table

_COLOURS = {
    Shown.RUNNING: "cyan",
    Shown.DONE: "green",
    Shown.ELSEWHERE: "blue",
    Shown.FAILED: "yellow",
    Shown.STOPPED: "yellow",
    Shown.POISON: "bold red",
    Shown.REFUSED: "bold red",
    Shown.WAITING: "dim",
}
_FIRST = (Shown.RUNNING, Shown.FAILED, *LEFT_ALONE, Shown.ELSEWHERE, Shown.WAITING, Shown.STOPPED)
"""In this order they are worth the space; what is done comes last, the latest first."""
_MOST = 20
"""Rows of the live table."""
_UNTOLD = (Shown.WAITING, Shown.ELSEWHERE)
"""Not worth a line: nothing happens here."""


@contextmanager
def shown(output: TextIO) -> Generator[Observer]:
    """An observer that shows videos on a terminal, or writes lines where there is none."""
    if not takes_escapes(output):
        yield Lines(output)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(file=output), refresh_per_second=4) as live:
        yield lambda rows: live.update(table(rows))


class Lines:
    """An observer that writes a line whenever something has become of a video."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._told: dict[str, tuple[Shown, int]] = {}

    def __call__(self, rows: Sequence[Row]) -> None:
        """Write what is new. What was done or given up before the first look is in the summary."""
        begins = not self._told
        for row in rows:
            now = (row.state, row.attempt)
            before = self._told.get(row.name)
            self._told[row.name] = now
            old = begins and row.state is Shown.DONE
            if now != before and row.state not in _UNTOLD and not old:
                print(line(row), file=self._output, flush=True)


def line(row: Row) -> str:
    """A video in one line of plain text."""
    attempt, seconds, said = cells(row)
    took = f"{seconds} s" if seconds and not row.is_under_way else ""
    facts = [f"attempt {attempt}" if row.attempt > 1 else "", took]
    parts = [printable(row.name), str(row.state), ", ".join(filter(None, facts)), said]
    return "  ".join(filter(None, parts))


def cells(row: Row) -> tuple[str, str, str]:
    """Attempt, seconds and what is said, empty where nothing is known."""
    seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
    return str(row.attempt or ""), seconds, printable(row.said)


def table(rows: Sequence[Row]) -> Table:
    """The videos that matter most at this moment, and how many there are of each kind."""
    from rich.table import Table
    from rich.text import Text

    count = counted(rows) or "no videos so far"
    found = Table(box=None, pad_edge=False, header_style="bold", caption=count)
    found.caption_justify = "left"
    found.add_column("video", no_wrap=True, max_width=50)
    found.add_column("state", no_wrap=True)
    found.add_column("attempt", justify="right", no_wrap=True)
    found.add_column("seconds", justify="right", no_wrap=True)
    found.add_column("", overflow="fold")
    for row in _worth_showing(rows):
        state = Text(str(row.state), style=_COLOURS[row.state])
        name, *rest = (Text(text) for text in (printable(row.name), *cells(row)))
        found.add_row(name, state, *rest)
    return found


def _worth_showing(rows: Sequence[Row]) -> list[Row]:
    chosen = [row for state in _FIRST for row in rows if row.state is state]
    done = [row for row in reversed(rows) if row.state is Shown.DONE]
    return (chosen + done)[:_MOST]


def counted(rows: Sequence[Row]) -> str:
    """How many videos are in which state: `12 done, 1 poison`."""
    numbers = Counter(row.state for row in rows)
    return ", ".join(f"{numbers[state]} {state}" for state in Shown if numbers[state])


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Lines for the end: how many, and which are left alone or could not be tried."""
    yield counted(rows) or "no videos"
    for row in rows:
        if row.state not in (Shown.DONE, Shown.RUNNING):
            yield f"  {line(row)}"


def dry_summary(rows: Sequence[Row]) -> Iterator[str]:
    """Lines that say what would be started, and what has become of the others."""
    ready = [row for row in rows if row.said == READY]
    yield f"{len(rows)} videos, of which {len(ready)} would be started"
    for row in rows:
        if row.state is not Shown.DONE:
            name = printable(row.name)
            yield f"  {name}  would be started" if row in ready else f"  {line(row)}"
