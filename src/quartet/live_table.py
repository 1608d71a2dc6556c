"""Shows things that change: a live table in a terminal, a line per change elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, TypeVar

from quartet.text_tables import takes_escapes

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
    "failed": "bold red",
    "stopped": "yellow",
    "skipped": "yellow",
    "unknown": "yellow",
}


@contextmanager
def live(
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


class Changes:
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


def state_table(headings: Sequence[str], rows: Iterable[tuple[str, str, Sequence[str]]]) -> Table:
    """Make a table of steps and their states, coloured.

    Args:
        headings: Of the columns after name and state.
        rows: Name, state and cells; a cell that ends in `!` is highlighted.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, state, cells in rows:
        marked = (Text(cell, style="yellow" if cell.endswith("!") else "") for cell in cells)
        table.add_row(Text(name), Text(state, style=_STYLES[state]), *marked)
    return table
