"""Write to a terminal, a log or a file: tables, durations, and views that change."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

Seen = TypeVar("Seen")
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


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows whose columns begin below each other, two blanks apart.

    Args:
        rows: Their cells; a row may have fewer than the others.

    Returns:
        A line for each row, without blanks at its end.
    """
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def format_duration(seconds: float | None) -> str:
    """Time as one says it: `9.4 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for most, large, small, names in _SCALES:
        if whole < most or names[0] == "d":
            return f"{whole // large} {names[0]} {whole % large // small} {names[1]}"
    raise AssertionError  # the last scale takes all


_SCALES = (
    (3_600, 60, 1, ("min", "s")),
    (86_400, 3_600, 60, ("h", "min")),
    (0, 86_400, 3_600, ("d", "h")),
)


def takes_escapes(output: TextIO) -> bool:
    """Whether colours and a moving cursor are wanted there.

    Not in a file or a pipe, not where TERM is `dumb`, and not where NO_COLOR is set.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return output.isatty() and not plain


def bold(text: str, output: TextIO) -> str:
    """The text in bold, or as it is where nobody wants that."""
    return f"\x1b[1m{text}\x1b[0m" if takes_escapes(output) else text


@contextmanager
def live_display(
    output: TextIO, view: Callable[[Seen], RenderableType], lines: Callable[[Seen], None]
) -> Iterator[Callable[[Seen], None]]:
    """Yield a function that shows what it is given.

    Args:
        output: A terminal, or a file or pipe.
        view: Makes what replaces the view before, on a terminal.
        lines: Prints what has changed, elsewhere.
    """
    if not takes_escapes(output):
        yield lines
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(file=output), refresh_per_second=4) as shown:
        yield lambda seen: shown.update(view(seen))


class ChangePrinter:
    """Prints a line for each thing whose state is another than the last time."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._states: dict[str, Hashable] = {}

    def write(self, name: str, state: Hashable, line: str, initial: Hashable = None) -> None:
        """Print the line if the state has changed.

        Args:
            name: Of the thing.
            state: It is in now.
            line: To print.
            initial: The state before the first call, which is not worth a line.
        """
        if self._states.get(name, initial) != state:
            print(line, file=self._output, flush=True)
        self._states[name] = state


def state_table(
    headings: Sequence[str], rows: Iterable[tuple[str, str, Sequence[str]]], named: str = "step"
) -> Table:
    """Make a table of steps, or other named things, and their states, coloured.

    Args:
        headings: Of the columns after name and state; a column of text has none, and is wrapped.
        rows: Name, state and cells; a cell that ends in `!` is highlighted.
        named: Heading of the names.
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
