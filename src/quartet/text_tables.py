"""Tables in plain text, for terminals, logs and files alike."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
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
