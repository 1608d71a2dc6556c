"""Selection of the current readings from the store: those of each file as last ingested.

Readings are stored before the ledger lists their file, and a changed file is stored again. So the
store may contain readings of killed runs and of earlier versions of a file. The current readings
of a file are those stored under its key in the ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quartet.sensors.readings import PairEncoder, concatenate, dictionary_decode
from quartet.sensors.windows import window_ends


class Store(Protocol):
    """Stores readings by batch key, and reads them by time."""

    def batch_keys(self) -> set[str]:
        """Return the keys of all stored readings."""

    def append(self, key: str, table: pa.Table) -> None:
        """Store readings, ascending by timestamp; replaces those with the same key."""

    def remove(self, keys: Collection[str]) -> None:
        """Remove the readings with any of the keys."""

    def read_all(self, key: str) -> Iterator[pa.Table]:
        """Yield all readings with a key."""

    def rows(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], keys: Collection[str]
    ) -> int:
        """Return the maximum number of rows that `read` yields."""

    def read(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], keys: Collection[str]
    ) -> Iterator[tuple[str, pa.Table]]:
        """Yield keys and readings; at least those in the intervals that have one of the keys."""


class CurrentReadings:
    """The current readings in a store.

    Args:
        store: Readings by the key of their batch.
        keys: Key of each file's current readings; files without readings may be missing.
    """

    def __init__(self, store: Store, keys: Mapping[str, str]) -> None:
        self._store = store
        self._keys = dict(keys)
        self._files: dict[str, set[str]] = defaultdict(set)
        for file, key in keys.items():
            self._files[key].add(file)
        self._superseded: set[str] = set()

    def append(self, key: str, readings: pa.Table) -> None:
        """Store readings; they become current with `commit`."""
        self._store.append(key, readings)

    def commit(self, key: str, files: Iterable[str]) -> None:
        """Make the readings of files under a key current."""
        for file in files:
            self._keys[file] = key
            self._files[key].add(file)

    def retract(self, files: Iterable[str], window_seconds: int) -> pa.Table:
        """Retract the current readings of files.

        Returns:
            At least one retracted reading of each sensor for each window that had any.
        """
        retracted = defaultdict(set)
        for file in files:
            if file in self._keys:
                retracted[self._keys.pop(file)].add(file)
        samples = []
        for key, names in retracted.items():
            for table in self._store.read_all(key):
                samples.append(_sample_windows(_filter_files(table, names), window_seconds))
            self._files[key] -= names
            if not self._files[key]:
                del self._files[key]
                self._superseded.add(key)
        return concatenate(samples)

    def rows(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> int:
        """Return the maximum number of rows that `read` scans."""
        return self._store.rows(starts, ends, self._files.keys())

    def read(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[pa.Table]:
        """Yield at least all current readings in the intervals."""
        for key, table in self._store.read(starts, ends, self._files.keys()):
            yield _filter_files(table, self._files[key])

    def compact(self) -> None:
        """Remove retracted readings from the store; call it after the ledger is written."""
        if self._superseded:
            self._store.remove(self._superseded - self._files.keys())
            self._superseded = set()


def _filter_files(table: pa.Table, files: Collection[str]) -> pa.Table:
    names, code = dictionary_decode(table.column("file"))
    is_chosen = np.array([name in files for name in names], dtype=bool)
    return table if is_chosen.all() else table.filter(is_chosen[code])


def _sample_windows(readings: pa.Table, window_seconds: int) -> pa.Table:
    """Return one reading per window and sensor."""
    pair = PairEncoder().encode(readings).column("pair").to_numpy()
    timestamp = readings.column("timestamp").to_numpy()
    ends, window = np.unique(window_ends(timestamp, window_seconds), return_inverse=True)
    _, first = np.unique(pair.astype(np.int64) * len(ends) + window, return_index=True)
    return readings.take(first)
