"""Format the table at the end of a run of several pipelines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from kedro_cloud.core.console import align_columns

WIDTH = 100
"""Columns of a terminal in which the table is not wrapped."""
_HEADER = ("pipeline", "result (95 % interval)", "strongest baseline", "time")


Row = tuple[Sequence[str], Sequence[str]]
"""Cells of a pipeline, and notes: the chosen model and why, and where to look."""


def format_table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table; notes are below their row, wrapped at `WIDTH`."""
    cells = [_HEADER, *(cells for cells, _ in rows)]
    header, *lines = align_columns(cells)
    indent = " " * (2 + max(len(name) for name, *_ in cells))
    table = [header]
    for line, (_, notes) in zip(lines, rows, strict=True):
        table.append(line)
        for note in notes:
            table += textwrap.wrap(
                note,
                WIDTH,
                initial_indent=indent,
                subsequent_indent=indent + "  ",
                break_long_words=False,  # paths
                break_on_hyphens=False,
            )
    return table
