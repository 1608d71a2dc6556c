"""Format the table at the end of a run of several pipelines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from kedro_cloud.core.console import align_columns

WIDTH = 100
"""Columns of a terminal in which the table is not wrapped."""
_HEADER = ("pipeline", "found (95 % interval)", "strongest baseline", "time")


@dataclass(frozen=True)
class ScenarioRow:
    """What a pipeline found.

    Attributes:
        name: Name of the pipeline.
        found: Its main results.
        baseline: The strongest baseline, or an empty text.
        duration: Time of its nodes, or an empty text.
        notes: Lines below: the chosen model and why, and where to look.
    """

    name: str
    found: str
    baseline: str
    duration: str
    notes: Sequence[str]


def format_table(rows: Sequence[ScenarioRow]) -> list[str]:
    """Return the lines of the table; notes are below their row, wrapped at `WIDTH`."""
    cells = [(row.name, row.found, row.baseline or "-", row.duration) for row in rows]
    header, *lines = align_columns([_HEADER, *cells])
    indent = " " * (2 + max(len(name) for name, *_ in (_HEADER, *cells)))
    table = [header]
    for line, row in zip(lines, rows, strict=True):
        table.append(line)
        for note in row.notes:
            table += textwrap.wrap(
                note,
                WIDTH,
                initial_indent=indent,
                subsequent_indent=indent + "  ",
                break_long_words=False,  # paths
                break_on_hyphens=False,
            )
    return table
