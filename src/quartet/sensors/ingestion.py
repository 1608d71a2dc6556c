"""From files of readings to windows: decode, check, store, aggregate, batch by batch.

Readings come late, out of order and more than once, and a run may die at any point. So a
batch is stored first; then each window in which one of its readings lies is computed again
from all that is stored. Whoever takes the batches writes the windows and the ledger of files
in one transaction, and only then asks for the next batch: a file that is not listed after
a crash is read again, and its readings, stored already, count once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import pandas as pd
from tqdm import tqdm

from quartet.sensors.batch import INGESTED, UNREADABLE, Batch, FileEntry, merge
from quartet.sensors.decoding import (
    Readable,
    SourceFile,
    checked_version,
    decode_files,
    digest,
)
from quartet.sensors.recomputation import recompute
from quartet.sensors.settings import SensorIngestion
from quartet.sensors.stored import CountedReadings, Store
from quartet.sensors.table import TablePart, decode_table
from quartet.sensors.windows import SECOND

logger = logging.getLogger(__name__)


class Source(Readable, Protocol):
    """A folder of capture files, or a table."""

    @property
    def table(self) -> object | None:
        """The table, if there is one; else the folder is taken."""

    def files(self) -> Sequence[SourceFile]:
        """Return all capture files, in the order in which to take them."""

    def parts(self) -> Iterator[TablePart]:
        """Yield the rows of the table, part by part."""


def ingest(
    source: Source,
    store: Store,
    ledger: pd.DataFrame,
    watermark: pd.Timestamp | None,
    settings: SensorIngestion,
    now: int | None = None,
) -> Iterator[Batch]:
    """Take in all files, or parts of the table, that the ledger does not list as they are now.

    What a file's readings are checked for belongs to its version in the ledger: with
    another list of known devices, another tolerance or another zone, all are read anew.

    Args:
        source: Where readings come from.
        store: Where readings are kept.
        ledger: Files taken before: at least `name`, `version`, `state`, `readings` and
            `batch_key`. Of those not `ingested` another attempt is made.
        watermark: End of the last window that was closed before.
        settings: Length of windows, checks, size of batches, processes.
        now: The time in microseconds since the epoch, which the timestamps of a table do not
            lie behind; that of the machine, if not given.

    Yields:
        Batches, each to be written before the next is asked for.

    Raises:
        ValueError: The ledger lists readings that the store does not hold.
        RuntimeError: A process has died.
    """
    taken = ledger[ledger["state"] == INGESTED]
    with_readings = taken[taken["readings"] > 0]
    _check_stored(with_readings, store)
    known = dict(zip(taken["name"], taken["version"], strict=True))
    now = time.time_ns() // 1000 if now is None else now
    stored = CountedReadings(
        store, dict(zip(with_readings["name"], with_readings["batch_key"], strict=True))
    )
    waiting: list[Batch] = []
    readings = 0
    for decoded in _decode_new(source, known, settings, now):
        waiting.append(decoded)
        readings += decoded.readings.num_rows
        if readings >= settings.batch_readings or source.table is not None:
            batch = _compute_windows(waiting, stored, watermark, settings)
            watermark, readings = batch.watermark, 0
            yield batch
            stored.compact()
    if waiting:
        yield _compute_windows(waiting, stored, watermark, settings)
        stored.compact()


def _check_stored(taken: pd.DataFrame, store: Store) -> None:
    lost = ~taken["batch_key"].isin(store.batch_keys())
    if lost.any():
        raise ValueError(
            f"the database lists {lost.sum():,} files as ingested, but no reading of theirs is "
            "stored, so that windows with late readings would lose the others: bring the stored "
            "readings back, or empty the database as well and ingest all files again"
        )


def _decode_new(
    source: Source, known: dict[str, str], settings: SensorIngestion, now: int
) -> Iterator[Batch]:
    """Yield what is not known yet, file by file, under a progress bar with readings a second."""
    with tqdm(desc="ingesting", unit=" readings", unit_scale=True, disable=None, delay=2) as bar:
        if source.table is not None:
            for batch in _decode_parts(source, known, settings, now):
                bar.update(batch.readings.num_rows)
                yield batch
            return
        files = [
            file
            for file in source.files()
            if known.get(file.name) != checked_version(file.version, settings)
        ]
        whole, done = sum(file.size for file in files), 0
        for file, batch in decode_files(source, files, settings):
            done += file.size
            readings = batch.readings.num_rows
            bar.total = (bar.n + readings) * whole // max(done, 1)  # as the files up to now
            bar.update(readings)
            (entry,) = batch.files
            if entry.state == UNREADABLE:
                logger.warning("%s %s; the next run tries again", entry.name, entry.reason)
            if entry.state == INGESTED or entry.name not in known:
                yield batch  # else what was ingested of it before stays, and so does its entry


def _decode_parts(
    source: Source, known: dict[str, str], settings: SensorIngestion, now: int
) -> Iterator[Batch]:
    """Yield the parts of the table that are not known yet; empty, those that it has no more."""
    version, there = "", set()
    for part in source.parts():
        version = checked_version(part.version, settings)
        there.add(part.name)
        if known.get(part.name) != version:
            yield decode_table(part, now, settings, version)
    tables = {_table_of(name) for name in there}
    for name in sorted(known.keys() - there):
        if _table_of(name) in tables and known[name] != version:
            yield Batch([FileEntry(name, version)])


def _table_of(part: str) -> str:
    """Return the table that a part is named after."""
    return part.rpartition("#")[0]


def _compute_windows(
    waiting: list[Batch],
    stored: CountedReadings,
    watermark: pd.Timestamp | None,
    settings: SensorIngestion,
) -> Batch:
    """Store the readings of the waiting files, and compute the windows that they touch."""
    batch = merge(waiting)
    waiting.clear()  # before memory is needed for the windows
    read = [entry for entry in batch.files if entry.state == INGESTED]
    names = [entry.name for entry in read]
    key = digest(*(text for entry in read for text in (entry.name, entry.version)))
    retracted = stored.retract(names, settings.window_seconds)
    if names:
        stored.append(key, batch.readings)
    files = [
        entry._replace(batch_key=key) if entry.state == INGESTED else entry for entry in batch.files
    ]
    batch = replace(batch, files=files, watermark=_advance(watermark, batch, settings))
    batch = recompute(batch, retracted, stored, settings.window_seconds)
    stored.commit(key, names)
    return batch


def _advance(
    watermark: pd.Timestamp | None, batch: Batch, settings: SensorIngestion
) -> pd.Timestamp | None:
    """Move the watermark to the end of the last window that is closed now."""
    if not batch.readings.num_rows:
        return watermark
    latest = batch.readings.column("timestamp")[-1].as_py() // SECOND - settings.lateness_seconds
    end = pd.Timestamp(latest // settings.window_seconds * settings.window_seconds, unit="s")
    return end if watermark is None else max(watermark, end)
