"""Capture files decoded by several processes, and handed over in their order."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from quartet.sensors.batch import UNREADABLE, Batch, FileEntry
from quartet.sensors.capture import UnreadableCaptureError, decode_capture
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
        """Return the bytes of a file."""


def decode_files(
    source: Readable, files: Sequence[SourceFile], settings: SensorIngestion
) -> Iterator[tuple[SourceFile, Batch]]:
    """Yield each file with what it held; its entry says where it cannot be read, and why.

    Raises:
        RuntimeError: A process has died.
    """
    if settings.workers == 1 or sum(file.size for file in files) < _SMALL_BYTES:
        for file in files:
            yield file, _decode(source, file, settings)
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
) -> Iterator[tuple[SourceFile, Batch]]:
    waiting: deque[tuple[SourceFile, Future[Batch]]] = deque()
    ahead = 0
    for file in files:
        while waiting and (
            ahead + file.size > _BYTES_AHEAD or len(waiting) >= _FILES_AHEAD * settings.workers
        ):
            first, decoded = waiting.popleft()
            yield first, decoded.result()
            ahead -= first.size
        waiting.append((file, pool.submit(_decode, source, file, settings)))
        ahead += file.size
    for file, decoded in waiting:
        yield file, decoded.result()


def _decode(source: Readable, file: SourceFile, settings: SensorIngestion) -> Batch:
    version = checked_version(file.version, settings)
    try:
        return decode_capture(source.read(file.name), file.name, settings, version)
    except UnreadableCaptureError as error:
        reason = str(error)
    except (FileNotFoundError, PermissionError) as error:
        reason = f"cannot be opened ({error.strerror or error})"
    return Batch([FileEntry(file.name, version, state=UNREADABLE, reason=reason)])


def checked_version(version: str, settings: SensorIngestion) -> str:
    """Return what the ledger tells a file by: its own version, and how it is checked."""
    devices = sorted(settings.known_devices)
    checks = repr((devices, settings.clock_tolerance_seconds, settings.table_zone))
    return f"{version}, checks {digest(checks)[:8]}"


def digest(*texts: str) -> str:
    """Return sixteen hexadecimal digits that tell texts apart."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
