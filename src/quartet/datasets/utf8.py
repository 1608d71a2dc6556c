"""Undecodable text: files that are not UTF-8, and files with some bytes that are not."""

from __future__ import annotations

import codecs
import io
from typing import Any

from kedro.io.core import DatasetError

SUBSTITUTE = "\x1a"
"""Unicode's control character in place of an invalid one, before each replaced byte."""
_CHUNK_BYTES = 1 << 20


def _replace_bytes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    invalid = error.object[error.start : error.end]
    return "".join(f"{SUBSTITUTE}\\x{byte:02x}" for byte in invalid), error.end


codecs.register_error("quartet.substitute", _replace_bytes)


def decode_text(content: bytes) -> str:
    """Return bytes as text, with `SUBSTITUTE` and `\\xff` for an undecodable byte FF."""
    return content.decode("utf-8", "quartet.substitute")


class UTF8Stream(io.RawIOBase):
    """A binary stream as valid UTF-8: an undecodable byte FF becomes `SUBSTITUTE` and `\\xff`.

    Readers of tables refuse a complete file for one such byte. With it replaced, the checks of
    rows find and report those that contain it.
    """

    def __init__(self, file: Any) -> None:
        """Wrap a binary file, which is read from its position."""
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("quartet.substitute")
        self._pending = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer, or as much of it as there is."""
        is_last = False
        while not self._pending and not is_last:
            chunk = self._file.read(_CHUNK_BYTES)
            is_last = not chunk
            self._pending = self._decoder.decode(chunk, is_last).encode()
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size


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
