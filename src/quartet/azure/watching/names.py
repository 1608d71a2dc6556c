"""Which names are of videos, and which of those nobody starts."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

LONGEST = 900
"""Bytes of a name. Blob storage takes 1024 characters, of which a marker's own name wants some."""
_QUOTES = {"'": "an apostrophe", '"': "a quotation mark", "\\": "a backslash"}
_INVISIBLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's control characters, halves of characters, and separators of lines."""


def is_video(name: str, suffixes: Collection[str]) -> bool:
    """Whether a name is that of a video: by its ending, and no part of it is hidden.

    Args:
        name: Of a blob or file, with the folders above it.
        suffixes: Endings in small letters, each with its dot.
    """
    hidden = any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
    return name.lower().endswith(tuple(suffixes)) and not hidden


def refusal(name: str) -> str | None:
    """Why nothing is started for a video of this name; None for an honest one.

    On Azure ML a name gets into a shell command, between apostrophes, and everywhere into Kedro's
    configuration, where `${` begins something to look up. Whoever may upload must not be able to
    leave either.
    """
    for character, called in _QUOTES.items():
        if character in name:
            return f"its name has {called}"
    if any(unicodedata.category(character) in _INVISIBLE for character in name):
        return "its name has a control character, or is not UTF-8"
    if "${" in name:
        return "its name has ${, which configuration would look up"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "a folder in its name is empty, . or .."
    if len(name.encode()) > LONGEST:
        return f"its name has more than {LONGEST} bytes"
    return None


def printable(name: str) -> str:
    """The name for a line of text: what could move a terminal's cursor is written out."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in shown
    )
