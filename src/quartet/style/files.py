"""Videos that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import OutputContainer

Target = str | os.PathLike[str] | BinaryIO
"""A path, or a binary file that can seek."""


@contextmanager
def written(target: Target, container: str, options: dict[str, str]) -> Iterator[OutputContainer]:
    """A container to write to, under its name only when all of it is on the disk.

    Args:
        target: A path is written beside and renamed; a file is written from where it stands.
        container: FFmpeg's name of the format.
        options: Of that format.

    Raises:
        OSError: It cannot be written, for instance because the disk is full; what was under
            the path is still there.
        ValueError: The format cannot hold what it is given.
    """
    if not isinstance(target, str | os.PathLike):
        with _closed(target, str(getattr(target, "name", "")), container, options) as output:
            yield output
        return
    path = Path(target)
    beside = path.with_name(f".{path.name[:60]}.{uuid.uuid4().hex[:8]}.part")
    try:
        with _closed(f"file:{beside}", str(path), container, options) as output:
            yield output
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _closed(
    place: Any, name: str, container: str, options: dict[str, str]
) -> Iterator[OutputContainer]:
    """A container to write to, closed afterwards; only the first error counts."""
    try:
        output = av.open(
            place,
            "w",
            format=container,
            container_options=options,
            metadata_errors="surrogateescape",
        )
        try:
            yield output
        except BaseException:
            with suppress(av.FFmpegError):
                output.close()
            raise
        output.close()
    except av.FFmpegError as error:
        fault = f"cannot be written as {container}: {error.strerror}"
        if isinstance(error, OSError):
            raise OSError(error.errno, fault, name) from error
        if isinstance(error, av.PyAVCallbackError):
            raise OSError(errno.EIO, fault, name) from error
        raise ValueError(f"{name}: {fault}") from error
