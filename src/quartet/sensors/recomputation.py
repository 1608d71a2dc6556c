"""The windows that a batch of readings touches, computed anew from all that is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quartet.sensors.readings import Readings, numbered
from quartet.sensors.windows import SECOND, aggregate_distinct, drop_repeats, window_ends

ROWS_AT_A_TIME = 4_000_000
"""Stored readings among which those of the windows are looked for at a time."""


class Store(Protocol):
    """Keeps readings, and finds them by their time."""

    def is_empty(self) -> bool:
        """Whether nothing has been stored yet."""

    def append(self, key: str, table: pa.Table) -> None:
        """Store readings, ascending by timestamp, in the place of those of the same key."""

    def rows(self, starts: NDArray[np.int64], ends: NDArray[np.int64], without: str = "") -> int:
        """How many rows `read` gives, at most."""

    def read(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], without: str = ""
    ) -> Iterator[pa.Table]:
        """What is stored of the intervals, and more, but not under the key `without`."""


@dataclass(frozen=True)
class Batch:
    """Readings of several files.

    Attributes:
        readings: Of all files, one file after the other.
        file: Place of each reading's file in `files`; shape (n,), int32.
        files: Names of the files.
    """

    readings: Readings
    file: NDArray[np.int32]
    files: tuple[str, ...]

    def table(self) -> pa.Table:
        """What is stored: the readings ascending by timestamp, with the column `file`."""
        order = np.argsort(self.readings.timestamp, kind="stable")
        names = pa.DictionaryArray.from_arrays(
            pa.array(self.file[order], pa.int32()), pa.array(self.files, pa.string())
        )
        return self.readings.take(order).table().append_column("file", names)

    def take(self, rows: NDArray[np.bool_]) -> Batch:
        """The readings under a mask."""
        return Batch(self.readings.take(rows), self.file[rows], self.files)


class Recomputed(NamedTuple):
    """What has become of the windows of a batch.

    Attributes:
        windows: As `aggregate` returns them.
        repeats: Readings of each of the f files that were there before; shape (f,), int64.
    """

    windows: pd.DataFrame
    repeats: NDArray[np.int64]


def recompute(batch: Batch, store: Store, key: str, window_seconds: int) -> Recomputed:
    """Every window of a device and a sensor in which one of their readings lies.

    Memory stays bounded, however late readings are and however long windows: where too
    many stored readings would have to be looked through, the earlier and the later windows
    are done apart, and one window is done for some of the sensors at a time.

    Args:
        batch: The new readings.
        store: All readings, those of the batch among them.
        key: Under which the batch is stored.
        window_seconds: Length of the windows.
    """
    ends = window_ends(batch.readings.timestamp, window_seconds)
    touched = np.unique(ends)
    rows = store.rows(touched - window_seconds * SECOND, touched, key)
    if rows <= ROWS_AT_A_TIME or not len(touched):
        return _together(batch, store, key, window_seconds)
    if len(touched) > 1:
        early = ends < touched[len(touched) // 2]
        parts = [batch.take(early), batch.take(~early)]
        return _joined([recompute(part, store, key, window_seconds) for part in parts])
    portions = batch.readings.pair % -(-rows // ROWS_AT_A_TIME)
    parts = [batch.take(portions == portion) for portion in np.unique(portions)]
    return _joined([_together(part, store, key, window_seconds) for part in parts])


def _together(batch: Batch, store: Store, key: str, window_seconds: int) -> Recomputed:
    """All windows of a batch at once."""
    wanted = _Wanted(batch, window_seconds)
    groups = store.read(wanted.starts, wanted.ends, key) if len(wanted.ends) else ()
    stored = [wanted.of(group) for group in groups]
    before = sum(map(len, stored))
    distinct = drop_repeats(_one_after_the_other([*stored, batch.readings]))
    own = distinct.repeats[distinct.repeats >= before] - before
    return Recomputed(
        aggregate_distinct(distinct.readings, window_seconds),
        np.bincount(batch.file[own], minlength=len(batch.files)),
    )


def _joined(parts: list[Recomputed]) -> Recomputed:
    windows = pd.concat([part.windows for part in parts], ignore_index=True)
    return Recomputed(
        windows.sort_values(["device", "sensor", "window_end"], ignore_index=True),
        np.sum([part.repeats for part in parts], axis=0),
    )


class _Wanted:
    """Finds stored readings that lie in a window with one of the batch."""

    def __init__(self, batch: Batch, window_seconds: int) -> None:
        self._pairs = batch.readings.pairs
        self._place = {pair: place for place, pair in enumerate(self._pairs)}
        self._files = batch.files
        self._window_seconds = window_seconds
        ends = window_ends(batch.readings.timestamp, window_seconds)
        self.ends = np.unique(ends)
        self.starts = self.ends - window_seconds * SECOND
        self._keys = np.unique(self._key(batch.readings.pair, np.searchsorted(self.ends, ends)))

    def of(self, stored: pa.Table) -> Readings:
        """Those of a table, with pairs numbered as in the batch.

        Readings of the batch's own files are left aside: an earlier version of a file counts
        no more.
        """
        readings = Readings.from_table(stored)
        places = [self._place.get(pair, -1) for pair in readings.pairs]
        pair = np.array(places, np.int32)[readings.pair]
        ends = window_ends(readings.timestamp, self._window_seconds)
        window = np.searchsorted(self.ends, ends)
        window[window == len(self.ends)] = 0
        rows = (pair >= 0) & (self.ends[window] == ends)
        rows &= ~_of_files(stored.column("file"), self._files)
        rows[rows] = _among(self._key(pair[rows], window[rows]), self._keys)
        kept = readings.take(rows)
        return Readings(self._pairs, pair[rows], kept.timestamp, kept.value, kept.sequence)

    def _key(self, pair: NDArray[np.int32], window: NDArray[np.int64]) -> NDArray[np.int64]:
        """One number for a pair and the place of a window."""
        return pair.astype(np.int64) * len(self.ends) + window


def _of_files(column: pa.ChunkedArray, files: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which rows come from one of the files."""
    names, row = numbered(column)
    own = set(files)
    among = np.array([name in own for name in names], dtype=bool)
    return among[row]


def _among(keys: NDArray[np.int64], ascending: NDArray[np.int64]) -> NDArray[np.bool_]:
    place = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    return ascending[place] == keys


def _one_after_the_other(parts: list[Readings]) -> Readings:
    """Readings whose pairs are numbered alike, one after the other."""
    return Readings(
        parts[-1].pairs,
        np.concatenate([part.pair for part in parts]),
        np.concatenate([part.timestamp for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.sequence for part in parts]),
    )
