"""Storage of readings on a disk or blob storage, read by time."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io.core import DatasetError
from numpy.typing import NDArray

from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location

_NAME = re.compile(r"(?P<key>[0-9a-f]+)_(?P<first>-?\d+)_(?P<last>-?\d+)\.parquet")
_SECOND = 1_000_000
_ROWS_PER_GROUP = 65_536
"""Rows per row group, the unit of reading: small enough that late readings are cheap."""


@dataclass(frozen=True)
class _Part:
    """A Parquet file of the store; its readings are from `first` to `last`, in seconds."""

    file: str
    key: str
    first: int
    last: int


class ReadingStore:
    """A folder of Parquet files, each with the readings of one batch in the order of time.

    The name of a file includes the time of its first and last reading, so the listing of the folder
    shows which files to open. The store lists the folder once, because one process writes at a
    time.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._parts: list[_Part] | None = None
        self._groups: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def batch_keys(self) -> set[str]:
        """Return the keys of all stored readings."""
        return {part.key for part in self._list_parts()}

    def append(self, key: str, table: pa.Table) -> None:
        """Store the readings of a batch; replaces those with the same key.

        Args:
            key: Hexadecimal key of the batch.
            table: Readings, ascending by the column `timestamp` (int64, microseconds since the
                epoch), with any other columns.
        """
        old = [part for part in self._list_parts() if part.key == key]
        kept = [part for part in self._list_parts() if part.key != key]
        if table.num_rows:
            timestamp = table.column("timestamp")
            first, last = timestamp[0].as_py() // _SECOND, -(-timestamp[-1].as_py() // _SECOND)
            part = _Part(f"{key}_{first}_{last}.parquet", key, first, last)
            self._locate(part).write(_to_parquet(table))
            kept.append(part)
        self._remove([part for part in old if part not in kept])
        self._parts = kept
        for part in old:
            self._groups.pop(part.file, None)

    def remove(self, keys: Collection[str]) -> None:
        """Remove the readings with any of the keys."""
        self._remove([part for part in self._list_parts() if part.key in keys])
        self._parts = [part for part in self._list_parts() if part.key not in keys]

    def read_all(self, key: str) -> Iterator[pa.Table]:
        """Yield all readings with a key, in groups of some thousands.

        Raises:
            DatasetError: A file is damaged or missing.
        """
        for part in self._list_parts():
            if part.key == key:
                with self._open(part) as file:
                    yield from self._read_groups(part, file, range(file.num_row_groups))

    def read(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], keys: Collection[str]
    ) -> Iterator[tuple[str, pa.Table]]:
        """Yield keys, and groups of some thousands of readings that overlap an interval.

        A group may include readings outside the intervals (start, end], which are ascending and do
        not overlap; microseconds since the epoch, shape (n,).

        Raises:
            DatasetError: A file is damaged or missing.
        """
        for part, groups in self._overlapping(starts, ends, keys):
            with self._open(part) as file:
                for group in self._read_groups(part, file, groups.tolist()):
                    yield part.key, group

    def rows(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], keys: Collection[str]
    ) -> int:
        """Return the maximum number of rows that `read` yields."""
        found = self._overlapping(starts, ends, keys)
        return sum(len(groups) * _ROWS_PER_GROUP for _, groups in found)

    def _overlapping(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], keys: Collection[str]
    ) -> Iterator[tuple[_Part, NDArray[np.int64]]]:
        for part in self._list_parts():
            first, last = np.array([[part.first], [part.last]]) * _SECOND
            if part.key not in keys or not _overlap(first, last, starts, ends).any():
                continue
            groups = np.flatnonzero(_overlap(*self._bounds(part), starts, ends))
            if len(groups):
                yield part, groups

    def _bounds(self, part: _Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and last timestamp of each group of rows."""
        if part.file not in self._groups:
            with self._open(part) as file:
                column = file.schema_arrow.names.index("timestamp")
                groups = range(file.metadata.num_row_groups)
                found = [
                    file.metadata.row_group(group).column(column).statistics for group in groups
                ]
            self._groups[part.file] = (
                np.array([statistics.min for statistics in found], np.int64),
                np.array([statistics.max for statistics in found], np.int64),
            )
        return self._groups[part.file]

    def _read_groups(
        self, part: _Part, file: pq.ParquetFile, groups: Iterable[int]
    ) -> Iterator[pa.Table]:
        for group in groups:
            try:
                yield file.read_row_group(group)
            except (pa.ArrowException, OSError) as error:
                raise self._damaged(part, error) from error

    def _open(self, part: _Part) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self._location.filesystem.open(self._locate(part).path, "rb"))
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(part, error) from error

    def _damaged(self, part: _Part, error: Exception) -> DatasetError:
        return DatasetError(
            f"{self._locate(part).path}: cannot be read ({error}). Its readings are needed to "
            "recompute windows; restore it, or empty this folder and the database and ingest again"
        )

    def _list_parts(self) -> list[_Part]:
        if self._parts is None:
            names = (PurePosixPath(each["name"]).name for each in self._location.list_entries())
            matches = map(_NAME.fullmatch, names)
            self._parts = [
                _Part(match[0], match["key"], int(match["first"]), int(match["last"]))
                for match in matches
                if match
            ]
        return self._parts

    def _remove(self, parts: list[_Part]) -> None:
        for part in parts:
            self._location.filesystem.rm_file(self._locate(part).path)

    def _locate(self, part: _Part) -> Location:
        return self._location.join(part.file)


def _overlap(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return which spans, from first to last inclusive, overlap one of the intervals."""
    if not len(starts):
        return np.zeros(len(first), dtype=bool)
    nearest = np.minimum(np.searchsorted(ends, first), len(ends) - 1)
    return (ends[nearest] >= first) & (starts[nearest] < last)


def _to_parquet(table: pa.Table) -> bytes:
    numbers = [field.name for field in table.schema if field.name in {"timestamp", "sequence"}]
    dictionaries = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    buffer = pa.BufferOutputStream()
    pq.write_table(
        table,
        buffer,
        row_group_size=_ROWS_PER_GROUP,
        compression="zstd",
        use_dictionary=dictionaries,
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
    )
    content: bytes = buffer.getvalue().to_pybytes()
    return content


class ReadingStoreDataset(HandleDataset[ReadingStore]):
    """Loads a store of readings in a folder, through which ingestion reads and writes.

    ```yaml
    sensor_readings:
      type: quartet.datasets.sensor_store.readings.ReadingStoreDataset
      filepath: data/02_intermediate/sensors/readings
    ```
    """

    def load(self) -> ReadingStore:
        """Return the store; the folder may be missing."""
        return ReadingStore(self._location)
