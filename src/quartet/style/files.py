"""Write video files atomically."""

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
"""Path, or seekable binary file."""


@contextmanager
def open_output(
    target: Target, container: str, options: dict[str, str]
) -> Iterator[OutputContainer]:
    """Open a container for writing; a path appears only when all data is on disk.

    Args:
        target: A path is written to a temporary file and renamed; a file is written from its
            current position.
        container: FFmpeg's name of the format.
        options: Options of the format.

    Raises:
        OSError: Writing failed, for instance because the disk is full; an existing file at
            the path is unchanged.
        ValueError: The format does not support the content.
    """
    if not isinstance(target, str | os.PathLike):
        with _open_container(
            target, str(getattr(target, "name", "")), container, options
        ) as output:
            yield output
        return
    path = Path(target)
    temporary = path.with_name(f".{path.name[:20]}.{uuid.uuid4().hex[:8]}.part")
    try:
        with _open_container(f"file:{temporary}", str(path), container, options) as output:
            yield output
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _open_container(
    location: Any, name: str, container: str, options: dict[str, str]
) -> Iterator[OutputContainer]:
    """Open a container for writing and close it afterwards; raise only the first error."""
    try:
        output = av.open(
            location,
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
        problem = f"cannot be written as {container}: {error.strerror}"
        if isinstance(error, OSError):
            raise OSError(error.errno, problem, name) from error
        if isinstance(error, av.PyAVCallbackError):
            raise OSError(errno.EIO, problem, name) from error
        raise ValueError(f"{name}: {problem}") from error
