"""Format output for a terminal, a log or a file: tables, durations, live displays."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

Snapshot = TypeVar("Snapshot")
_STYLES: Mapping[str, str] = {
    "waiting": "dim",
    "queued": "dim",
    "preparing": "cyan",
    "running": "cyan",
    "ending": "cyan",
    "finished": "green",
    "kept": "green",
    "done": "green",
    "elsewhere": "blue",
    "poison": "bold red",
    "refused": "bold red",
    "failed": "bold red",
    "stopped": "yellow",
    "skipped": "yellow",
    "unknown": "yellow",
}
"""Style for rich by state of a step, a job or a file."""


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line per row, with left-aligned columns two spaces apart and no trailing spaces.

    Args:
        rows: Cells of each row; rows may have different lengths.
    """
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def format_duration(seconds: float | None) -> str:
    """Format a duration: `9.4 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def supports_escapes(output: TextIO) -> bool:
    """Return whether the output is a terminal that supports colours and cursor movement.

    It is not with TERM=dumb, or with NO_COLOR set.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return output.isatty() and not plain


def bold(text: str, output: TextIO) -> str:
    """Return the text in bold if the output supports it."""
    return f"\x1b[1m{text}\x1b[0m" if supports_escapes(output) else text


@contextmanager
def live_display(
    output: TextIO,
    render: Callable[[Snapshot], RenderableType],
    print_lines: Callable[[Snapshot], None],
) -> Iterator[Callable[[Snapshot], None]]:
    """Yield a function that displays a snapshot of the progress.

    Args:
        output: A terminal, file or pipe.
        render: Renders a snapshot that replaces the previous one, on a terminal.
        print_lines: Prints the changes, to a file or pipe.
    """
    if not supports_escapes(output):
        yield print_lines
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(file=output), refresh_per_second=4) as display:
        yield lambda snapshot: display.update(render(snapshot))


class ChangePrinter:
    """Print a line for each item whose state has changed."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._states: dict[str, Hashable] = {}

    def write(self, name: str, state: Hashable, line: str, initial: Hashable = None) -> None:
        """Print the line if the state has changed.

        Args:
            name: Name of the item.
            state: Its current state.
            line: Line to print.
            initial: State before the first call, for which no line is printed.
        """
        if self._states.get(name, initial) != state:
            print(line, file=self._output, flush=True)
        self._states[name] = state


def state_table(
    headings: Sequence[str], rows: Iterable[tuple[str, str, Sequence[str]]], named: str = "step"
) -> Table:
    """Return a table of steps, or other named items, with coloured states.

    Args:
        headings: Headings of the columns after name and state; "" for a wrapped text column.
        rows: Name, state and cells; a cell that ends in `!` is highlighted.
        named: Heading of the name column.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(named, no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in headings:
        if heading:
            table.add_column(heading, justify="right", no_wrap=True)
        else:
            table.add_column(overflow="fold")
    for name, state, cells in rows:
        marked = (Text(cell, style="yellow" if cell.endswith("!") else "") for cell in cells)
        table.add_row(Text(name), Text(state, style=_STYLES[state]), *marked)
    return table
