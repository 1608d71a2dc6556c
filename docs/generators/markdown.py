"""Write texts of the code as Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

_CODE = re.compile(r"(`[^`]*`)")
_SPECIAL = re.compile(r"([*<>\[\]]|(?<![^\W_])_|_(?![^\W_]))")
"""Characters to escape; Markdown leaves underscores within a name alone."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with cells of one line each."""
    lines = [header, ["---"] * len(header), *(map(cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Return one line with its bars escaped, so that they do not begin the next cell."""
    return _outside_code(" ".join(text.split()), lambda part: part.replace("|", "\\|"))


def prose(text: str) -> str:
    """Return a text in which only code between backticks is Markdown."""
    return _outside_code(text, lambda part: _SPECIAL.sub(r"\\\1", part))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts = _CODE.split(text)
    parts[::2] = map(change, parts[::2])
    return "".join(parts)


def code(text: str) -> str:
    """Return code within a line."""
    return f"`{text}`"
