"""Tables and times in plain text, for terminals, logs and files alike."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import zip_longest
from typing import TextIO


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


def duration(seconds: float | None) -> str:
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
