"""Which of the stored readings count: those of each file as it was taken in last.

Readings are stored before the list of files says so, and a file that has changed is stored
again. So the store may hold readings of runs that died, and of earlier versions of a file.
Those of a file count where they lie under the key that the list has for it, nowhere else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quartet.sensors.readings import Readings, concatenate, numbered
from quartet.sensors.windows import window_ends


class Store(Protocol):
    """Keeps readings under keys, and finds them by their time."""

    def batch_keys(self) -> set[str]:
        """Under which keys readings are stored."""

    def append(self, key: str, table: pa.Table) -> None:
        """Store readings, ascending by timestamp, in the place of those of the same key."""

    def remove(self, keys: Collection[str]) -> None:
        """Remove what is stored under any of the keys."""

    def of(self, key: str) -> Iterator[pa.Table]:
        """All that is stored under a key."""

    def rows(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], keys: Collection[str]
    ) -> int:
        """How many rows `read` gives, at most."""

    def read(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], keys: Collection[str]
    ) -> Iterator[tuple[str, pa.Table]]:
        """What is stored of the intervals under one of the keys, and more; with its key."""


class Counting:
    """A store, and the readings in it that count.

    Args:
        store: Readings with the column `file`, under the key of their batch.
        keys: Under which each file's readings count; files without any may be missing.
    """

    def __init__(self, store: Store, keys: Mapping[str, str]) -> None:
        self._store = store
        self._keys = dict(keys)
        self._files: dict[str, set[str]] = defaultdict(set)
        for file, key in keys.items():
            self._files[key].add(file)
        self._superseded: set[str] = set()

    def append(self, key: str, table: pa.Table) -> None:
        """Store readings; they count once they are entered."""
        self._store.append(key, table)

    def enter(self, key: str, files: Iterable[str]) -> None:
        """Let the readings of files count that are stored under a key."""
        for file in files:
            self._keys[file] = key
            self._files[key].add(file)

    def withdraw(self, files: Iterable[str], window_seconds: int) -> Readings:
        """Let the readings of files count no more.

        Returns:
            One of these readings for each window of a device and a sensor in which some lay.
        """
        gone = defaultdict(set)
        for file in files:
            if file in self._keys:
                gone[self._keys.pop(file)].add(file)
        found = []
        for key, names in gone.items():
            for table in self._store.of(key):
                readings = Readings.from_table(table).take(_of_files(table, names))
                found.append(_one_a_window(readings, window_seconds))
            self._files[key] -= names
            if not self._files[key]:
                del self._files[key]
                self._superseded.add(key)
        return _one_a_window(concatenate(found), window_seconds)

    def rows(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> int:
        """How many rows `read` gives, at most."""
        return self._store.rows(starts, ends, self._files.keys())

    def read(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> Iterator[tuple[pa.Table, NDArray[np.bool_]]]:
        """What is stored of the intervals, and more; and which rows count."""
        for key, table in self._store.read(starts, ends, self._files.keys()):
            yield table, _of_files(table, self._files[key])

    def tidy(self) -> None:
        """Remove what has been withdrawn; only once the list of files says so, too."""
        if self._superseded:
            self._store.remove(self._superseded - self._files.keys())
            self._superseded = set()


def _of_files(table: pa.Table, files: Collection[str]) -> NDArray[np.bool_]:
    """Which rows come from one of the files."""
    names, row = numbered(table.column("file"))
    among = np.array([name in files for name in names], dtype=bool)
    return among[row]


def _one_a_window(readings: Readings, window_seconds: int) -> Readings:
    ends, window = np.unique(window_ends(readings.timestamp, window_seconds), return_inverse=True)
    _, first = np.unique(readings.pair.astype(np.int64) * len(ends) + window, return_index=True)
    return readings.take(first)
