"""Decoding of capture files by several processes, in the order of the files."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from quartet.sensors.batch import UNREADABLE, Batch, FileEntry
from quartet.sensors.capture import decode_capture
from quartet.sensors.events import UnreadableCaptureError
from quartet.sensors.settings import SensorIngestion

_SMALL_BYTES = 16_000_000
"""Below this total size, decoding takes less time than starting processes."""
_BYTES_AHEAD = 256_000_000
"""Maximum total size of files that are being decoded or wait to be consumed; or one file."""
_FILES_AHEAD = 4
"""Maximum number of files per process that are being decoded or wait to be consumed."""


class SourceFile(Protocol):
    """A capture file."""

    @property
    def name(self) -> str:
        """Path relative to the folder of captures."""

    @property
    def version(self) -> str:
        """Text that changes with the file."""

    @property
    def size(self) -> int:
        """Size in bytes."""


class Readable(Protocol):
    """Reads files; can be pickled to another process."""

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""


def decode_files(
    source: Readable, files: Sequence[SourceFile], settings: SensorIngestion
) -> Iterator[tuple[SourceFile, Batch]]:
    """Yield each file with its decoded batch, whose entry has the reason if it is unreadable.

    Raises:
        RuntimeError: A worker process was killed.
    """
    if settings.workers == 1 or sum(file.size for file in files) < _SMALL_BYTES:
        for file in files:
            yield file, _decode(source, file, settings)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(settings.workers, len(files)), mp_context=context)
    try:
        yield from _decode_in_pool(pool, source, files, settings)
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process that decodes capture files was killed, probably for lack of memory; "
            f"set sensor_ingestion.workers below {settings.workers} and rerun: ingested files are "
            "skipped"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_in_pool(
    pool: ProcessPoolExecutor,
    source: Readable,
    files: Sequence[SourceFile],
    settings: SensorIngestion,
) -> Iterator[tuple[SourceFile, Batch]]:
    pending: deque[tuple[SourceFile, Future[Batch]]] = deque()
    bytes_ahead = 0
    for file in files:
        while pending and (
            bytes_ahead + file.size > _BYTES_AHEAD
            or len(pending) >= _FILES_AHEAD * settings.workers
        ):
            first, decoded = pending.popleft()
            yield first, decoded.result()
            bytes_ahead -= first.size
        pending.append((file, pool.submit(_decode, source, file, settings)))
        bytes_ahead += file.size
    for file, decoded in pending:
        yield file, decoded.result()


def _decode(source: Readable, file: SourceFile, settings: SensorIngestion) -> Batch:
    version = format_ledger_version(file.version, settings)
    name = file.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if name != file.name:
        reason = "has a name that is not UTF-8; rename it"
        return Batch([FileEntry(name, version, state=UNREADABLE, reason=reason)])
    try:
        return decode_capture(source.read(file.name), file.name, settings, version)
    except UnreadableCaptureError as error:
        reason = str(error)
    except (FileNotFoundError, PermissionError) as error:
        reason = f"cannot be opened ({error.strerror or error})"
    return Batch([FileEntry(file.name, version, state=UNREADABLE, reason=reason)])


def format_ledger_version(version: str, settings: SensorIngestion) -> str:
    """Return a file's version in the ledger: its own version and a digest of the checks."""
    devices = sorted(settings.known_devices)
    checks = repr((devices, settings.clock_tolerance_seconds, settings.table_zone))
    return f"{version}, checks {compute_digest(checks)[:8]}"


def compute_digest(*texts: str) -> str:
    """Return sixteen hexadecimal digits of a SHA-256 of the texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
