"""What to say of text that is not UTF-8, in the same words for every table."""

from __future__ import annotations

from typing import Any

from kedro.io.core import DatasetError


def check_not_utf16(file: Any, path: str) -> None:
    """Raise if a file of text, opened for reading bytes, begins as UTF-16; rewinds it.

    Raises:
        DatasetError: Names the file, and what to do.
    """
    start = file.read(4)
    file.seek(0)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
        raise DatasetError(format_encoding_error(path))


def format_encoding_error(path: str) -> str:
    """The line for a file in another encoding."""
    return (
        f"{path}: its text is not UTF-8; save it anew as UTF-8, which spreadsheets call CSV UTF-8"
    )
