"""Decompression with a limit, so that a small file cannot fill memory or run for hours."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import IO, Any

from kedro.io.core import DatasetError

from quartet.datasets.utf8 import check_not_utf16

MAX_EXPANSION = 100
"""Times its size that a compressed file may expand to. Text expands 3 to 20 times, MNIST 5 times;
gzip can reach 1,000 times and bzip2 a million times, with content that repeats a few bytes."""
FREE_BYTES = 100_000_000
"""Bytes that any file may expand to: small samples may repeat themselves."""
GZIP_MAGIC = b"\x1f\x8b"
_ARCHIVES = {
    b"7z\xbc\xaf": ("7z", "7z x"),
    b"PK\x03\x04": ("zip", "unzip"),
    b"\xfd7zXZ\x00": ("xz", "xz -d"),
    b"(\xb5/\xfd": ("zstd", "zstd -d"),
    b"Rar!": ("RAR", "unrar x"),
}


def check_expansion(path: str, compressed: int | None, expanded: int) -> None:
    """Check that a file does not expand too far.

    Args:
        path: Path of the file, for messages.
        compressed: Its size in bytes; None if a web server does not tell it.
        expanded: Its size in bytes after decompression, or what of it was read.

    Raises:
        DatasetError: It is more than `FREE_BYTES` and `MAX_EXPANSION` times its size.
    """
    size = FREE_BYTES if compressed is None else compressed
    limit = max(FREE_BYTES, MAX_EXPANSION * size)
    if expanded > limit:
        raise DatasetError(
            f"{path}: its {size:,} bytes expand to more than {limit:,} (at most "
            f"{MAX_EXPANSION} times a file's size is read); check where the file is from, or "
            "decompress it first"
        )


def check_no_archive(path: str, start: bytes, expected: str) -> None:
    """Check that the first bytes of a file are not those of an archive that is not supported.

    Raises:
        DatasetError: The file is a 7z, zip, xz, zstd or RAR archive.
    """
    for magic, (name, command) in _ARCHIVES.items():
        if start.startswith(magic):
            raise DatasetError(
                f"{path}: is a {name} archive, expected {expected}; extract it with {command}"
            )


def open_decompressed(file: IO[bytes], size: int | None, path: str) -> IO[bytes]:
    """Return a binary file at its start, decompressed if its first bytes are those of gzip.

    Reading raises DatasetError if the stream is damaged or expands too far.

    Args:
        file: The file, at its start.
        size: Its size in bytes; None if unknown.
        path: Its path, for messages.
    """
    magic = file.read(len(GZIP_MAGIC))
    file.seek(0)
    if magic != GZIP_MAGIC:
        return file
    return io.BufferedReader(_Limited(gzip.GzipFile("", "rb", fileobj=file), size, path))


def open_text_table(file: IO[bytes], size: int | None, path: str) -> IO[bytes]:
    """Return the text of a table at its start, decompressed as by `open_decompressed`.

    Raises:
        DatasetError: It is an archive, or UTF-16.
    """
    content = open_decompressed(file, size, path)
    check_no_archive(path, content.read(6), "a text table")
    content.seek(0)
    check_not_utf16(content, path)
    return content


class _Limited(io.RawIOBase):
    """A decompressed file that can be read up to the limit."""

    def __init__(self, file: gzip.GzipFile, compressed: int | None, path: str) -> None:
        self._file, self._compressed, self._path = file, compressed, path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any, /) -> int:
        try:
            content = self._file.read(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DatasetError(
                f"{self._path}: the gzip file is damaged ({error}); download it again"
            ) from error
        check_expansion(self._path, self._compressed, self._file.tell())
        buffer[: len(content)] = content
        return len(content)
