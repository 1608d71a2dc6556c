"""Show files: a live table in a terminal, otherwise a line for each change; a final summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TextIO, get_args

from kedro_cloud.core.console import ChangePrinter, format_duration, live_display, state_table
from kedro_cloud.trigger.files import READY, Observer, WatchedFile
from kedro_cloud.trigger.protocol import ClaimState

if TYPE_CHECKING:
    from rich.table import Table

_URGENCY = list(get_args(ClaimState))
"""States, the most urgent first."""
_MAX_ROWS = 20


def show_files(output: TextIO) -> AbstractContextManager[Observer]:
    """Yield an observer that shows a table in a terminal, and writes lines elsewhere."""
    return live_display(output, make_table, make_line_writer(output))


def make_line_writer(output: TextIO) -> Observer:
    """Return an observer that writes a line when the state of a file changes."""
    changes = ChangePrinter(output)

    def write(files: Sequence[WatchedFile]) -> None:
        for file in files:
            # The summary reports files that this watcher did not process.
            processed = file.state != "done" or file.seconds is not None
            if processed and file.state not in ("waiting", "elsewhere"):
                changes.write(file.file.name, (file.state, file.attempt), format_line(file))

    return write


def escape(text: str) -> str:
    """Return text for a terminal, with control characters escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def format_line(file: WatchedFile) -> str:
    """Return a file as one line of plain text."""
    facts = [f"attempt {file.attempt}"] if file.attempt > 1 else []
    if file.seconds and file.state != "running":
        facts.append(format_duration(file.seconds))
    return "  ".join(
        filter(None, [escape(file.file.name), file.state, ", ".join(facts), escape(file.message)])
    )


def make_table(files: Sequence[WatchedFile]) -> Table:
    """Return the most urgent files as a table, with the number of files by state."""
    done = [file for file in reversed(files) if file.state == "done"]  # the newest first
    shown = [file for file in files if file.state != "done"] + done
    shown.sort(key=lambda file: _URGENCY.index(file.state))
    rows = (
        (
            escape(file.file.name),
            file.state,
            (str(file.attempt or ""), format_duration(file.seconds), escape(file.message)),
        )
        for file in shown[:_MAX_ROWS]
    )
    table = state_table(("attempt", "time", ""), rows, named="file")
    table.caption, table.caption_justify = format_counts(files), "left"
    return table


def format_counts(files: Sequence[WatchedFile]) -> str:
    """Return the number of files by state: `12 done, 1 poison`."""
    counts = Counter(file.state for file in files)
    parts = (f"{counts[state]} {state}" for state in reversed(_URGENCY) if counts[state])
    return ", ".join(parts) or "no files"


def summarize(files: Sequence[WatchedFile], dry_run: bool = False) -> Iterator[str]:
    """Yield the lines of the summary: counts, and files that are not done or would be started."""
    would_start = [file for file in files if dry_run and file.message == READY]
    if dry_run:
        yield f"{len(files)} files, of which {len(would_start)} would be started"
    else:
        yield format_counts(files)
    for file in files:
        if file in would_start:
            yield f"  {escape(file.file.name)}  would be started"
        elif file.state not in ("done", "running"):
            yield f"  {format_line(file)}"
