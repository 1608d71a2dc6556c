"""Encoding errors of text files."""

from __future__ import annotations

from typing import Any

from kedro.io.core import DatasetError


def check_not_utf16(file: Any, path: str) -> None:
    """Check that a file, opened in binary mode at its start, is not UTF-16; rewind it.

    Raises:
        DatasetError: The file is UTF-16.
    """
    start = file.read(4)
    file.seek(0)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
        raise DatasetError(format_encoding_error(path))


def format_encoding_error(path: str) -> str:
    """Return the message for a file that is not UTF-8."""
    return f"{path}: its text is not UTF-8; save it as UTF-8, called CSV UTF-8 in spreadsheets"
