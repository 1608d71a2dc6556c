"""The windows that a batch of readings touches, computed anew from all that is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quartet.sensors.readings import EMPTY, Readings, one_after_the_other
from quartet.sensors.stored import Counting
from quartet.sensors.windows import (
    SECOND,
    aggregate_distinct,
    drop_repeats,
    name_windows,
    window_ends,
)

ROWS_AT_A_TIME = 4_000_000
"""Stored readings among which those of the windows are looked for at a time."""


@dataclass(frozen=True)
class Batch:
    """Readings of several files.

    Attributes:
        readings: Of all files, one file after the other.
        file: Place of each reading's file in `files`; shape (n,), int32.
        files: Names of the files.
        withdrawn: Of what the files held before, one reading for each window; they count no
            more. Their pairs are numbered as those of `readings`.
    """

    readings: Readings
    file: NDArray[np.int32]
    files: tuple[str, ...]
    withdrawn: Readings = EMPTY

    def table(self) -> pa.Table:
        """What is stored: the readings ascending by timestamp, with the column `file`."""
        order = np.argsort(self.readings.timestamp, kind="stable")
        names = pa.DictionaryArray.from_arrays(
            pa.array(self.file[order], pa.int32()), pa.array(self.files, pa.string())
        )
        return self.readings.take(order).table().append_column("file", names)

    def where(self, holds: Callable[[Readings], NDArray[np.bool_]]) -> Batch:
        """The readings for which a condition holds."""
        rows = holds(self.readings)
        withdrawn = self.withdrawn.take(holds(self.withdrawn))
        return Batch(self.readings.take(rows), self.file[rows], self.files, withdrawn)

    def window_ends(self, window_seconds: int) -> NDArray[np.int64]:
        """The end of the window of each reading, and then of each that is withdrawn."""
        timestamps = (self.readings.timestamp, self.withdrawn.timestamp)
        return window_ends(np.concatenate(timestamps), window_seconds)


class Recomputed(NamedTuple):
    """What has become of the windows of a batch.

    Attributes:
        windows: As `aggregate` returns them.
        emptied: `device`, `sensor` and `window_end` of those in which no reading lies any more.
        repeats: Readings of each of the f files that were there before; shape (f,), int64.
    """

    windows: pd.DataFrame
    emptied: pd.DataFrame
    repeats: NDArray[np.int64]


def recompute(batch: Batch, stored: Counting, window_seconds: int) -> Recomputed:
    """Every window of a device and a sensor in which one of their readings lies, or lay.

    Memory stays bounded, however late readings are and however long windows: where too
    many stored readings would have to be looked through, the earlier and the later windows
    are done apart, and one window is done for some of the sensors at a time.

    Args:
        batch: The new readings.
        stored: All readings of other files.
        window_seconds: Length of the windows.
    """
    touched = np.unique(batch.window_ends(window_seconds))
    rows = stored.rows(touched - window_seconds * SECOND, touched)
    if rows <= ROWS_AT_A_TIME or not len(touched):
        return _together(batch, stored, window_seconds)
    if len(touched) > 1:
        middle = touched[len(touched) // 2 - 1]
        parts = [
            batch.where(lambda readings: readings.timestamp <= middle),
            batch.where(lambda readings: readings.timestamp > middle),
        ]
        return _joined([recompute(part, stored, window_seconds) for part in parts])
    portions = -(-rows // ROWS_AT_A_TIME)
    parts = [_portion(batch, which, portions) for which in range(portions)]
    return _joined([_together(part, stored, window_seconds) for part in parts])


def _portion(batch: Batch, which: int, portions: int) -> Batch:
    """Some of the sensors of a batch."""
    return batch.where(lambda readings: readings.pair % portions == which)


def _together(batch: Batch, stored: Counting, window_seconds: int) -> Recomputed:
    """All windows of a batch at once."""
    wanted = _Wanted(batch, window_seconds)
    groups = stored.read(wanted.starts, wanted.ends) if len(wanted.ends) else ()
    others = [wanted.of(table, counting) for table, counting in groups]
    before = sum(map(len, others))
    whole = one_after_the_other([*others, batch.readings])
    distinct = drop_repeats(whole)
    own = distinct.repeats[distinct.repeats >= before] - before
    return Recomputed(
        aggregate_distinct(distinct.readings, window_seconds),
        wanted.emptied(batch.withdrawn, whole),
        np.bincount(batch.file[own], minlength=len(batch.files)),
    )


def _joined(parts: list[Recomputed]) -> Recomputed:
    windows = pd.concat([part.windows for part in parts], ignore_index=True)
    return Recomputed(
        windows.sort_values(["device", "sensor", "window_end"], ignore_index=True),
        pd.concat([part.emptied for part in parts], ignore_index=True),
        np.sum([part.repeats for part in parts], axis=0),
    )


class _Wanted:
    """Finds readings that lie in a window with one of the batch, or with one it withdraws."""

    def __init__(self, batch: Batch, window_seconds: int) -> None:
        self._pairs = batch.readings.pairs
        self._place = {pair: place for place, pair in enumerate(self._pairs)}
        self._window_seconds = window_seconds
        pair = np.concatenate([batch.readings.pair, batch.withdrawn.pair])
        ends = batch.window_ends(window_seconds)
        self.ends = np.unique(ends)
        self.starts = self.ends - window_seconds * SECOND
        self._keys = np.unique(self._key(pair, np.searchsorted(self.ends, ends)))

    def of(self, stored: pa.Table, counting: NDArray[np.bool_]) -> Readings:
        """Those of a table's rows that count, with pairs numbered as in the batch."""
        readings = Readings.from_table(stored)
        places = [self._place.get(pair, -1) for pair in readings.pairs]
        pair = np.array(places, np.int32)[readings.pair]
        ends = window_ends(readings.timestamp, self._window_seconds)
        window = np.searchsorted(self.ends, ends)
        window[window == len(self.ends)] = 0
        rows = counting & (pair >= 0) & (self.ends[window] == ends)
        rows[rows] = _among(self._key(pair[rows], window[rows]), self._keys)
        kept = readings.take(rows)
        return Readings(self._pairs, pair[rows], kept.timestamp, kept.value, kept.sequence)

    def emptied(self, withdrawn: Readings, left: Readings) -> pd.DataFrame:
        """The windows of readings that were withdrawn in which none of those left lies."""
        gone = self._keys_of(withdrawn)
        if len(gone):
            gone = np.setdiff1d(gone, self._keys_of(left))
        pair, window = np.divmod(gone, max(len(self.ends), 1))
        return name_windows(self._pairs, pair, self.ends[window])

    def _keys_of(self, readings: Readings) -> NDArray[np.int64]:
        ends = window_ends(readings.timestamp, self._window_seconds)
        return self._key(readings.pair, np.searchsorted(self.ends, ends))

    def _key(self, pair: NDArray[np.int32], window: NDArray[np.int64]) -> NDArray[np.int64]:
        """One number for a pair and the place of a window."""
        return pair.astype(np.int64) * len(self.ends) + window


def _among(keys: NDArray[np.int64], ascending: NDArray[np.int64]) -> NDArray[np.bool_]:
    place = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    return ascending[place] == keys
