"""Capture files decoded by several processes, and handed over in their order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from quartet.sensors.capture import UnreadableCaptureError, decode_capture
from quartet.sensors.checks import Decoded
from quartet.sensors.settings import SensorIngestion

_SMALL_BYTES = 16_000_000
"""Less than this is decoded before other processes would have started."""
_BYTES_AHEAD = 256_000_000
"""Bytes of files that are decoded or wait to be taken, at most; or one file."""
_FILES_AHEAD = 4
"""Files for each process that are decoded or wait to be taken, at most."""


class SourceFile(Protocol):
    """A capture file, not read yet."""

    @property
    def name(self) -> str:
        """Its path below the folder of all."""

    @property
    def version(self) -> str:
        """Another text whenever it has changed."""

    @property
    def size(self) -> int:
        """Bytes."""


class Readable(Protocol):
    """Gives the content of files; can be sent to another process."""

    def read(self, name: str) -> bytes:
        """The bytes of a file."""


def decode_files(
    source: Readable, files: Sequence[SourceFile], settings: SensorIngestion
) -> Iterator[tuple[SourceFile, Decoded | str]]:
    """Each file with its readings, or with the reason why it cannot be read.

    Raises:
        RuntimeError: A process has died.
    """
    if settings.workers == 1 or sum(file.size for file in files) < _SMALL_BYTES:
        for file in files:
            yield file, _decode(source, file.name, settings)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(settings.workers, len(files)), mp_context=context)
    try:
        yield from _side_by_side(pool, source, files, settings)
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a process that decodes capture files has died, most likely for want of memory: run "
            f"again with fewer than workers={settings.workers}; what was written is kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _side_by_side(
    pool: ProcessPoolExecutor,
    source: Readable,
    files: Sequence[SourceFile],
    settings: SensorIngestion,
) -> Iterator[tuple[SourceFile, Decoded | str]]:
    waiting: deque[tuple[SourceFile, Future[Decoded | str]]] = deque()
    ahead = 0
    for file in files:
        while waiting and (
            ahead + file.size > _BYTES_AHEAD or len(waiting) >= _FILES_AHEAD * settings.workers
        ):
            first, decoded = waiting.popleft()
            yield first, decoded.result()
            ahead -= first.size
        waiting.append((file, pool.submit(_decode, source, file.name, settings)))
        ahead += file.size
    for file, decoded in waiting:
        yield file, decoded.result()


def _decode(source: Readable, name: str, settings: SensorIngestion) -> Decoded | str:
    try:
        return decode_capture(source.read(name), name, settings)
    except UnreadableCaptureError as error:
        return str(error)
    except (FileNotFoundError, PermissionError) as error:
        return f"cannot be opened ({error.strerror or error})"
