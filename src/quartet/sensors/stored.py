"""Which of the stored readings count: those of each file as it was taken in last.

Readings are stored before the ledger lists their file, and a file that has changed is stored
again. So the store may hold readings of runs that died, and of earlier versions of a file.
Those of a file count where they are stored under the key that the ledger has for it, nowhere else.
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
    """Keeps readings under keys, and finds them by their time."""

    def batch_keys(self) -> set[str]:
        """Return under which keys readings are stored."""

    def append(self, key: str, table: pa.Table) -> None:
        """Store readings, ascending by timestamp, in the place of those of the same key."""

    def remove(self, keys: Collection[str]) -> None:
        """Remove what is stored under any of the keys."""

    def read_all(self, key: str) -> Iterator[pa.Table]:
        """Yield all that is stored under a key."""

    def rows(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], keys: Collection[str]
    ) -> int:
        """Return how many rows `read` yields, at most."""

    def read(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], keys: Collection[str]
    ) -> Iterator[tuple[str, pa.Table]]:
        """Yield what is stored of the intervals under one of the keys, and more; with its key."""


class CountedReadings:
    """The readings in a store that count.

    Args:
        store: Readings under the key of their batch.
        keys: Under which each file's readings count; files without any may be missing.
    """

    def __init__(self, store: Store, keys: Mapping[str, str]) -> None:
        self._store = store
        self._keys = dict(keys)
        self._files: dict[str, set[str]] = defaultdict(set)
        for file, key in keys.items():
            self._files[key].add(file)
        self._superseded: set[str] = set()

    def append(self, key: str, readings: pa.Table) -> None:
        """Store readings; they count once they are committed."""
        self._store.append(key, readings)

    def commit(self, key: str, files: Iterable[str]) -> None:
        """Count the readings of files that are stored under a key."""
        for file in files:
            self._keys[file] = key
            self._files[key].add(file)

    def retract(self, files: Iterable[str], window_seconds: int) -> pa.Table:
        """Count the readings of files no more.

        Returns:
            At least one of them for each window of a device and a sensor in which there were any.
        """
        gone = defaultdict(set)
        for file in files:
            if file in self._keys:
                gone[self._keys.pop(file)].add(file)
        found = []
        for key, names in gone.items():
            for table in self._store.read_all(key):
                found.append(_one_a_window(_of_files(table, names), window_seconds))
            self._files[key] -= names
            if not self._files[key]:
                del self._files[key]
                self._superseded.add(key)
        return concatenate(found)

    def rows(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> int:
        """Return how many rows `read` looks through, at most."""
        return self._store.rows(starts, ends, self._files.keys())

    def read(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[pa.Table]:
        """Yield the readings of the intervals that count, and others."""
        for key, table in self._store.read(starts, ends, self._files.keys()):
            yield _of_files(table, self._files[key])

    def compact(self) -> None:
        """Remove what has been retracted; only once the ledger says so, too."""
        if self._superseded:
            self._store.remove(self._superseded - self._files.keys())
            self._superseded = set()


def _of_files(table: pa.Table, files: Collection[str]) -> pa.Table:
    names, row = dictionary_decode(table.column("file"))
    among = np.array([name in files for name in names], dtype=bool)
    return table if among.all() else table.filter(among[row])


def _one_a_window(readings: pa.Table, window_seconds: int) -> pa.Table:
    pair = PairEncoder().encode(readings).column("pair").to_numpy()
    timestamp = readings.column("timestamp").to_numpy()
    ends, window = np.unique(window_ends(timestamp, window_seconds), return_inverse=True)
    _, first = np.unique(pair.astype(np.int64) * len(ends) + window, return_index=True)
    return readings.take(first)
