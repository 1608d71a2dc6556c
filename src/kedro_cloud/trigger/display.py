"""Show files: a live table in a terminal, else a line for each change; a summary at the end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from kedro_cloud.trigger.protocol import ClaimState
from kedro_cloud.trigger.watch import GIVEN_UP, READY, FileStatus, Observer

if TYPE_CHECKING:
    from rich.table import Table

_COLOURS = {
    ClaimState.RUNNING: "cyan",
    ClaimState.FAILED: "yellow",
    ClaimState.POISON: "bold red",
    ClaimState.REFUSED: "bold red",
    ClaimState.ELSEWHERE: "blue",
    ClaimState.WAITING: "dim",
    ClaimState.STOPPED: "yellow",
    ClaimState.DONE: "green",
}
"""By status, the most urgent first: the order of the table."""
_MAX_ROWS = 20
_NO_LINE = (ClaimState.WAITING, ClaimState.ELSEWHERE)


@contextmanager
def showing(output: TextIO) -> Generator[Observer]:
    """Return an observer that shows a table in a terminal, and writes lines elsewhere."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not output.isatty():
        yield LineWriter(output)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(file=output), refresh_per_second=4) as live:
        yield lambda files: live.update(make_table(files))


@dataclass
class LineWriter:
    """An observer that writes a line when the status of a file changes.

    Attributes:
        output: Receives the lines.
    """

    output: TextIO
    _written: dict[str, tuple[ClaimState, int]] = field(default_factory=dict, init=False)

    def __call__(self, files: Sequence[FileStatus]) -> None:
        """Write what is new; what was done before the first scan is in the summary."""
        first = not self._written
        for file in files:
            key = (file.state, file.attempt)
            changed = self._written.get(file.name) != key
            self._written[file.name] = key
            if changed and file.state not in _NO_LINE and not (first and file.state == "done"):
                print(format_line(file), file=self.output, flush=True)


def escape(text: str) -> str:
    """Return text for a terminal: what could move its cursor is escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def format_line(file: FileStatus) -> str:
    """Return a file as one line of plain text."""
    facts = [f"attempt {file.attempt}"] if file.attempt > 1 else []
    if file.seconds and file.state is not ClaimState.RUNNING:
        facts.append(f"{file.seconds:.1f} s")
    parts = [escape(file.name), str(file.state), ", ".join(facts), escape(file.message)]
    return "  ".join(filter(None, parts))


def make_table(files: Sequence[FileStatus]) -> Table:
    """Return the most urgent files as a table, with the number of files by status."""
    from rich.table import Table
    from rich.text import Text

    caption = count_files(files) or "no files so far"
    table = Table(box=None, pad_edge=False, header_style="bold", caption=caption)
    table.caption_justify = "left"
    table.add_column("file", no_wrap=True, max_width=50)
    table.add_column("state", no_wrap=True)
    table.add_column("attempt", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    order = [*_COLOURS]
    newest_done = [file for file in reversed(files) if file.state is ClaimState.DONE]
    others = [file for file in files if file.state is not ClaimState.DONE]
    for file in sorted([*others, *newest_done], key=lambda file: order.index(file.state))[
        :_MAX_ROWS
    ]:
        table.add_row(
            Text(escape(file.name)),
            Text(str(file.state), style=_COLOURS[file.state]),
            Text(str(file.attempt or "")),
            Text("" if file.seconds is None else f"{file.seconds:.1f}"),
            Text(escape(file.message)),
        )
    return table


def count_files(files: Sequence[FileStatus]) -> str:
    """Return the number of files by status: `12 done, 1 poison`."""
    numbers = Counter(file.state for file in files)
    return ", ".join(f"{numbers[status]} {status}" for status in ClaimState if numbers[status])


def summarize_files(files: Sequence[FileStatus]) -> Iterator[str]:
    """Yield lines for the end: how many files, and which were not done."""
    yield count_files(files) or "no files"
    for file in files:
        if file.state not in (ClaimState.DONE, ClaimState.RUNNING):
            yield f"  {format_line(file)}"


def summarize_dry_run(files: Sequence[FileStatus]) -> Iterator[str]:
    """Yield lines that say what would be started, and why others would not."""
    ready = [file for file in files if file.message == READY]
    yield f"{len(files)} files, of which {len(ready)} would be started"
    for file in files:
        if file in ready:
            yield f"  {escape(file.name)}  would be started"
        elif file.state is not ClaimState.DONE:
            yield f"  {format_line(file)}"


def exit_code(files: Sequence[FileStatus]) -> int:
    """Return 1 if a file was given up, else 0."""
    return int(any(file.state in GIVEN_UP for file in files))
