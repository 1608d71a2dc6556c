"""Texts of the code as Markdown shows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

_CODE = re.compile(r"(`[^`]*`)")
_MEANT_OTHERWISE = re.compile(r"([*<>\[\]]|(?<![^\W_])_|_(?![^\W_]))")
"""What Markdown would not show as it is; lines within a name it leaves alone."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with cells of one line each."""
    lines = [header, ["---"] * len(header), *(map(cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """One line, in which a bar, as around a distance, does not begin the next cell."""
    return _outside_code(" ".join(text.split()), lambda part: part.replace("|", "\\|"))


def prose(text: str) -> str:
    """Text in which only code between backticks means anything to Markdown."""
    return _outside_code(text, lambda part: _MEANT_OTHERWISE.sub(r"\\\1", part))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts = _CODE.split(text)
    parts[::2] = map(change, parts[::2])
    return "".join(parts)


def code(text: str) -> str:
    """Code within a line."""
    return f"`{text}`"


def unbroken(text: str) -> str:
    """Code that stylesheets/extra.css never breaks, as an option would be after its hyphens."""
    return f"{code(text)}{{ .name }}"
