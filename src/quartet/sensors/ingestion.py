"""Ingestion of readings to windows: decode, check, store and aggregate, batch by batch.

Readings arrive late, out of order and more than once, and a run may be killed at any point. So the
readings of a batch are stored first; then each window with one of its readings is recomputed from
all stored readings. The caller writes the windows and the ledger of files in one transaction
before it requests the next batch. After a crash, a file that is not in the ledger is read again,
and its stored readings are counted once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import pandas as pd
from tqdm import tqdm

from quartet.sensors.batch import INGESTED, UNREADABLE, Batch, FileEntry, combine, merge
from quartet.sensors.decoding import (
    Readable,
    SourceFile,
    compute_digest,
    decode_files,
    format_ledger_version,
)
from quartet.sensors.readings import concatenate
from quartet.sensors.recomputation import recompute
from quartet.sensors.settings import SensorIngestion
from quartet.sensors.stored import CurrentReadings, Store
from quartet.sensors.table import TablePart, decode_table
from quartet.sensors.window_length import USUAL_SECONDS, choose_window_length
from quartet.sensors.windows import SECOND

logger = logging.getLogger(__name__)

_COMBINED = 1000
"""Number of decoded files that are combined, as a small table takes 18 kB with its schema."""


class Source(Readable, Protocol):
    """A folder of capture files, or a table."""

    @property
    def table(self) -> object | None:
        """The table; None for a folder of capture files."""

    def files(self) -> Sequence[SourceFile]:
        """Return all capture files, in the order of ingestion."""

    def parts(self) -> Iterator[TablePart]:
        """Yield the rows of the table, part by part."""


def ingest(
    source: Source,
    store: Store,
    ledger: pd.DataFrame,
    watermark: pd.Timestamp | None,
    settings: SensorIngestion,
) -> Iterator[Batch]:
    """Ingest the files, or parts of the table, that are new or changed since the last run.

    The version of a file in the ledger includes the checks: with other known devices, another
    tolerance or another time zone, all files are ingested again.

    Args:
        source: Capture files or a table.
        store: Stored readings.
        ledger: Files of earlier runs: at least `name`, `version`, `state`, `readings` and
            `batch_key`. Files whose state is not `ingested` are tried again.
        watermark: End of the last closed window.
        settings: Window length, checks, batch size and workers. Without a length, it is chosen
            from the readings of the first batch.

    Yields:
        Batches, each to be written before the next is requested.

    Raises:
        ValueError: Readings of files in the ledger are missing from the store.
        RuntimeError: A worker process was killed.
    """
    ingested = ledger[ledger["state"] == INGESTED]
    with_readings = ingested[ingested["readings"] > 0]
    _check_stored(with_readings, store)
    versions = dict(zip(ingested["name"], ingested["version"], strict=True))
    stored = CurrentReadings(
        store, dict(zip(with_readings["name"], with_readings["batch_key"], strict=True))
    )
    pending: list[Batch] = []
    readings = 0
    for index, decoded in enumerate(_decode_new(source, versions, settings), start=1):
        pending.append(decoded)
        if index % _COMBINED == 0:
            pending[-_COMBINED:] = [combine(pending[-_COMBINED:])]
        readings += decoded.readings.num_rows
        # A part of a table is a batch. Without a length of windows, it waits for the other parts,
        # as the complete table decides the length if it fits into a batch.
        by_part = source.table is not None and settings.window_seconds is not None
        if readings >= settings.batch_readings or by_part:
            settings = _with_window_length(settings, pending, is_complete=False)
            batch = _compute_windows(pending, stored, watermark, settings)
            watermark, readings = batch.watermark, 0
            yield batch
            stored.compact()
    if pending:
        is_complete = source.table is not None
        settings = _with_window_length(settings, pending, is_complete=is_complete)
        yield _compute_windows(pending, stored, watermark, settings)
        stored.compact()


def _with_window_length(
    settings: SensorIngestion, pending: Sequence[Batch], *, is_complete: bool
) -> SensorIngestion:
    """Return the settings with a length of windows, chosen from the readings if there is none."""
    if settings.window_seconds is not None:
        return settings
    readings = concatenate([batch.readings for batch in pending])
    length = choose_window_length(readings, is_complete=is_complete)
    if length is None:
        return settings
    logger.info(length.describe())
    return settings.model_copy(update={"window_seconds": length.seconds})


def _check_stored(ingested: pd.DataFrame, store: Store) -> None:
    missing = ~ingested["batch_key"].isin(store.batch_keys())
    if missing.any():
        raise ValueError(
            f"sensor_reading_store: the readings of {missing.sum():,} files are missing, which the "
            "database lists as ingested; late readings would replace them in their windows. "
            "Restore the stored readings, or empty the database too and ingest all files again"
        )


def _decode_new(
    source: Source, versions: dict[str, str], settings: SensorIngestion
) -> Iterator[Batch]:
    """Yield new and changed files with a progress bar; `versions` are those in the ledger."""
    with tqdm(desc="ingesting", unit=" readings", unit_scale=True, disable=None, delay=2) as bar:
        if source.table is not None:
            for batch in _decode_parts(source, versions, settings):
                bar.update(batch.readings.num_rows)
                yield batch
            return
        files = [
            file
            for file in source.files()
            if versions.get(file.name) != format_ledger_version(file.version, settings)
        ]
        total, done = sum(file.size for file in files), 0
        for file, batch in decode_files(source, files, settings):
            done += file.size
            readings = batch.readings.num_rows
            bar.total = (bar.n + readings) * total // max(done, 1)  # extrapolated by file size
            bar.update(readings)
            (entry,) = batch.files
            if entry.state == UNREADABLE and entry.name in versions:
                text = "%s %s; its readings remain as they were, and the next run retries it"
                logger.warning(text, entry.name, entry.reason)
            else:
                yield batch


def _decode_parts(
    source: Source, versions: dict[str, str], settings: SensorIngestion
) -> Iterator[Batch]:
    """Yield new and changed parts of the table, and removed ones as empty batches."""
    version, present, is_reported = "", set(), False
    now = time.time_ns() // 1000  # later times are invalid
    for part in source.parts():
        version = format_ledger_version(part.version, settings)
        present.add(part.name)
        if versions.get(part.name) != version:
            batch = decode_table(part, now, settings, version)
            if batch.has_local_times and not is_reported:
                logger.info(
                    "%s: times without a zone are read as %s; set sensor_ingestion.table_zone for "
                    "another zone",
                    *(_table_name(part.name), settings.table_zone),
                )
                is_reported = True
            yield batch
    tables = {_table_name(name) for name in present}
    for name in sorted(versions.keys() - present):
        # A removed part has the table's version once its empty batch is in the ledger.
        if _table_name(name) in tables and versions[name] != version:
            yield Batch([FileEntry(name, version)])


def _table_name(part: str) -> str:
    """Return the name of the table from that of a part, such as `readings.csv#1`."""
    return part.rpartition("#")[0]


def _compute_windows(
    pending: list[Batch],
    stored: CurrentReadings,
    watermark: pd.Timestamp | None,
    settings: SensorIngestion,
) -> Batch:
    """Store the readings of the pending batches, and recompute their windows."""
    batch = merge(pending)
    pending.clear()  # frees memory for the windows
    ingested = [entry for entry in batch.files if entry.state == INGESTED]
    names = [entry.name for entry in ingested]
    key = compute_digest(*(text for entry in ingested for text in (entry.name, entry.version)))
    # Without readings the length is still open, and any gives no windows.
    seconds = settings.window_seconds or USUAL_SECONDS
    retracted = stored.retract(names, seconds)
    if names:
        stored.append(key, batch.readings)
    files = [
        entry._replace(batch_key=key) if entry.state == INGESTED else entry for entry in batch.files
    ]
    batch = replace(
        batch,
        files=files,
        watermark=_advance(watermark, batch, settings.lateness_seconds, seconds),
    )
    batch = recompute(batch, retracted, stored, seconds)
    stored.commit(key, names)
    return replace(batch, window_seconds=settings.window_seconds)


def _advance(
    watermark: pd.Timestamp | None, batch: Batch, lateness_seconds: int, window_seconds: int
) -> pd.Timestamp | None:
    """Return the end of the last closed window after the batch."""
    if not batch.readings.num_rows:
        return watermark
    latest = batch.readings.column("timestamp")[-1].as_py() // SECOND - lateness_seconds
    end = pd.Timestamp(latest // window_seconds * window_seconds, unit="s")
    return end if watermark is None else max(watermark, end)
