"""From what has come in to windows: decode, check, store, aggregate, batch by batch.

Readings come late, out of order and more than once, and a run may die at any point. So a
batch is stored first; then each window in which one of its readings lies is computed anew
from all that is stored. Whoever takes the batches writes the windows and the list of files
in one transaction, and only then asks for the next batch: a file that is not listed after
a crash is read again, and its readings, stored already, count once.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from quartet.sensors.checks import FAULT_COLUMNS, NOTHING, Decoded
from quartet.sensors.decoding import Readable, SourceFile, decode_files
from quartet.sensors.readings import concatenate, number_alike
from quartet.sensors.recomputation import Batch, recompute
from quartet.sensors.settings import SensorIngestion
from quartet.sensors.stored import Counting, Store
from quartet.sensors.table import TablePart, decode_table
from quartet.sensors.windows import SECOND

FILE_COLUMNS = [
    "name",
    "version",
    "readings",
    "repeats",
    "quarantined",
    "state",
    "reason",
    "batch_key",
]
INGESTED, UNREADABLE = "ingested", "unreadable"
_WINDOWS = r"windows (\d+) s$"

logger = logging.getLogger(__name__)


class Source(Readable, Protocol):
    """A folder of capture files, or a table."""

    @property
    def table(self) -> object | None:
        """The table, if there is one; else the folder is taken."""

    def files(self) -> Sequence[SourceFile]:
        """All capture files, in the order in which to take them."""

    def parts(self) -> Iterator[TablePart]:
        """The rows of the table, part by part."""


@dataclass(frozen=True)
class IngestedBatch:
    """What to write in one transaction.

    Attributes:
        windows: All that the batch touches, as `aggregate` returns them; they take the place
            of those with the same device, sensor and end.
        emptied: `device`, `sensor` and `window_end` of windows that are to be removed: what
            readings they had, their files hold no more.
        files: `name`, `version`, `readings` (sound ones), `repeats` (of them, those that were
            there before), `quarantined`, `state` (`ingested` or `unreadable`), `reason`,
            `batch_key` (under which the readings are stored; None of an unreadable file).
        quarantine: Readings with a fault: `file`, `position`, `reason`, `body`; of a file at
            most a thousand.
        horizon: End of the last window that is closed, UTC; None as long as there is none.
        reasons: How many readings have which fault; all of them.
    """

    windows: pd.DataFrame
    emptied: pd.DataFrame
    files: pd.DataFrame
    quarantine: pd.DataFrame
    horizon: pd.Timestamp | None
    reasons: Counter[str]


def ingest(
    source: Source,
    store: Store,
    ledger: pd.DataFrame,
    horizon: pd.Timestamp | None,
    settings: SensorIngestion,
    now: int | None = None,
) -> Iterator[IngestedBatch]:
    """Take in all files, or parts of the table, that the ledger does not list as they are now.

    What a file's readings are checked for belongs to its version in the ledger: with
    another list of known devices, another tolerance or another zone, all are read anew.

    Args:
        source: Where readings come from.
        store: Where readings are kept.
        ledger: Files taken before: at least `name`, `version`, `state`, `readings` and
            `batch_key`. Of those not `ingested` another attempt is made.
        horizon: End of the last window that was closed before.
        settings: Length of windows, checks, size of batches, processes.
        now: The time in microseconds since the epoch, which the timestamps of a table do not
            lie behind; that of the machine, if not given.

    Yields:
        Batches, each to be written before the next is asked for.

    Raises:
        ValueError: The ledger lists readings that the store does not hold; or its windows are
            of another length.
        RuntimeError: A process has died.
    """
    taken = ledger[ledger["state"] == INGESTED]
    _refuse_other_windows(taken, settings.window_seconds)
    with_readings = taken[taken["readings"] > 0]
    _refuse_lost_readings(with_readings, store)
    known = dict(zip(taken["name"], taken["version"], strict=True))
    now = time.time_ns() // 1000 if now is None else now
    stored = Counting(
        store, dict(zip(with_readings["name"], with_readings["batch_key"], strict=True))
    )
    collector = _Collector(settings, horizon, known)
    for item in _decoded(source, known, settings, now):
        collector.add(item)
        if collector.readings >= settings.batch_readings or item.alone:
            yield collector.finish(stored)
            stored.tidy()
    if len(collector):
        yield collector.finish(stored)
        stored.tidy()


def _refuse_other_windows(taken: pd.DataFrame, window_seconds: int) -> None:
    lengths = (
        taken["version"].astype(str).str.extract(_WINDOWS, expand=False).dropna().unique().tolist()
    )
    if others := sorted(set(lengths) - {str(window_seconds)}):
        raise ValueError(
            f"the database holds windows of {', '.join(others)} s, and window_seconds is now "
            f"{window_seconds}: put it back, or name another database and another folder for "
            "readings"
        )


def _refuse_lost_readings(taken: pd.DataFrame, store: Store) -> None:
    lost = ~taken["batch_key"].isin(store.batch_keys())
    if lost.any():
        raise ValueError(
            f"the database lists {lost.sum():,} files as ingested, but no reading of theirs is "
            "stored, so that windows with late readings would lose the others: bring the stored "
            "readings back, or empty the database as well and ingest all files again"
        )


def _version(of_file: str, settings: SensorIngestion) -> str:
    """What the ledger tells a file by: its own version, how it is checked, and the windows."""
    devices = sorted(settings.known_devices)
    checks = repr((devices, settings.clock_tolerance_seconds, settings.table_zone))
    return f"{of_file}, checks {_digest(checks)[:8]}, windows {settings.window_seconds} s"


class _Item(NamedTuple):
    """A file or a part of a table, and what was found in it."""

    name: str
    version: str
    found: Decoded | str
    alone: bool


def _decoded(
    source: Source, known: dict[str, str], settings: SensorIngestion, now: int
) -> Iterator[_Item]:
    """What is not known yet, under a progress bar with readings a second."""
    with tqdm(desc="ingesting", unit=" readings", unit_scale=True, disable=None, delay=2) as bar:
        if source.table is not None:
            for item in _decoded_parts(source, known, settings, now):
                bar.update(len(item.found.readings) if isinstance(item.found, Decoded) else 0)
                yield item
            return
        files = [
            file
            for file in source.files()
            if known.get(file.name) != _version(file.version, settings)
        ]
        whole, done = sum(file.size for file in files), 0
        for file, held in decode_files(source, files, settings):
            done += file.size
            count = 0 if isinstance(held, str) else len(held.readings)
            bar.total = (bar.n + count) * whole // max(done, 1)  # as the files up to now
            bar.update(count)
            version = _version(file.version, settings)
            yield _Item(file.name, version, held, alone=False)


def _decoded_parts(
    source: Source, known: dict[str, str], settings: SensorIngestion, now: int
) -> Iterator[_Item]:
    """The parts of the table that are not known yet; nothing for those that it has no more."""
    version, there = "", set()
    for part in source.parts():
        version = _version(part.version, settings)
        there.add(part.name)
        if known.get(part.name) != version:
            yield _Item(part.name, version, decode_table(part, now, settings), alone=True)
    tables = {_table_of(name) for name in there}
    for name in sorted(known.keys() - there):
        if _table_of(name) in tables and known[name] != version:
            yield _Item(name, version, NOTHING, alone=True)


def _table_of(part: str) -> str:
    """The table that a part is named after."""
    return part.rpartition("#")[0]


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


class _Collector:
    """Collects files until they make a batch."""

    def __init__(
        self, settings: SensorIngestion, horizon: pd.Timestamp | None, known: dict[str, str]
    ) -> None:
        self._settings = settings
        self._horizon = horizon
        self._known = known
        self._items: list[_Item] = []
        self.readings = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: _Item) -> None:
        """Take one more file into the batch."""
        if isinstance(item.found, str):
            logger.warning("%s %s; it is tried again by the next run", item.name, item.found)
            if item.name in self._known:
                return  # what was ingested of it before stays, and so does its entry
        else:
            self.readings += len(item.found.readings)
        self._items.append(item)

    def finish(self, stored: Counting) -> IngestedBatch:
        """Store the readings of the batch, compute its windows, and begin another batch."""
        items, self._items, self.readings = self._items, [], 0
        read = [(item, item.found) for item in items if isinstance(item.found, Decoded)]
        names = [item.name for item, _ in read]
        parts = [found.readings for _, found in read]
        seconds = self._settings.window_seconds
        readings, withdrawn = number_alike([concatenate(parts), stored.withdraw(names, seconds)])
        sizes = np.array([len(part) for part in parts], int)
        file = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
        batch = Batch(readings, file, tuple(names), withdrawn)
        key = _digest(*(text for item, _ in read for text in (item.name, item.version)))
        if names:
            stored.append(key, batch.table())
        self._advance(readings.timestamp)
        windows, emptied, repeats = recompute(batch, stored, seconds)
        stored.enter(key, names)
        return IngestedBatch(
            windows,
            emptied,
            _files(items, key, dict(zip(names, repeats.tolist(), strict=True))),
            _faults([found for _, found in read]),
            self._horizon,
            sum((found.reasons for _, found in read), Counter()),
        )

    def _advance(self, timestamp: NDArray[np.int64]) -> None:
        """Move the horizon to the last window that is closed now."""
        if not len(timestamp):
            return
        length = self._settings.window_seconds
        closed = int(timestamp.max()) // SECOND - self._settings.lateness_seconds
        end = pd.Timestamp(closed // length * length, unit="s")
        self._horizon = end if self._horizon is None else max(self._horizon, end)


def _faults(found: list[Decoded]) -> pd.DataFrame:
    tables = [decoded.faults for decoded in found if len(decoded.faults)]
    empty = pd.DataFrame(columns=FAULT_COLUMNS)
    return pd.concat(tables, ignore_index=True) if tables else empty


def _files(items: list[_Item], key: str, repeats: dict[str, int]) -> pd.DataFrame:
    """The entries of a batch in the list of files."""
    rows = [
        (item.name, item.version, 0, 0, 0, UNREADABLE, item.found, None)
        if isinstance(item.found, str)
        else (
            item.name,
            item.version,
            len(item.found.readings),
            repeats[item.name],
            item.found.reasons.total(),
            INGESTED,
            "",
            key,
        )
        for item in items
    ]
    return pd.DataFrame(rows, columns=FILE_COLUMNS)
