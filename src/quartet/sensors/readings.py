"""Readings as Arrow tables, as they are decoded and stored, and the codes of their sensors.

A table of readings has a row for each, and the columns of `SCHEMA`: `device`, `sensor` and `file`
(text, dictionary-encoded), `timestamp` (microseconds since the Unix epoch, UTC), `value` (finite)
and `sequence` (Event Hubs' number of the event, or that of the table's row).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Pair = tuple[str, str]

_NAMES = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    {
        "device": _NAMES,
        "sensor": _NAMES,
        "timestamp": pa.int64(),
        "value": pa.float64(),
        "sequence": pa.int64(),
        "file": _NAMES,
    }
)
NO_READINGS = SCHEMA.empty_table()
_LARGEST_GRID = 4_000_000
"""Cells of a table of all devices and all sensors, beyond which pairs are sorted instead."""


def concatenate(parts: Sequence[pa.Table]) -> pa.Table:
    """Return all readings one after the other, in one chunk and with one dictionary a column."""
    whole = pa.concat_tables(parts) if parts else NO_READINGS
    return whole.unify_dictionaries().combine_chunks()


def dictionary_encode(names: Sequence[str], codes: NDArray[np.int32]) -> pa.DictionaryArray:
    """Return a column of names, given each row's index in them; shape (n,)."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names, pa.string()))


def dictionary_decode(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int32]]:
    """Return the distinct names of a dictionary-encoded column, and each row's index in them."""
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # a column without any chunk
        return [], np.empty(0, np.int32)
    return whole.dictionary.to_pylist(), whole.indices.to_numpy()


class PairEncoder:
    """Encodes (device, sensor) as whole numbers, the same in all tables that it is given."""

    def __init__(self) -> None:
        self._codes: dict[Pair, int] = {}

    @property
    def pairs(self) -> list[Pair]:
        """The pairs met so far, by code."""
        return list(self._codes)

    def encode(self, readings: pa.Table) -> pa.Table:
        """Return `timestamp`, `value` and `sequence` of readings, with the code `pair` (int32)."""
        (devices, device), (sensors, sensor) = (
            dictionary_decode(readings.column(name)) for name in ("device", "sensor")
        )
        cell = device.astype(np.int64) * max(len(sensors), 1) + sensor
        met, place = _distinct(cell, len(devices) * len(sensors))
        pairs = [(devices[c // len(sensors)], sensors[c % len(sensors)]) for c in met.tolist()]
        codes = [self._codes.setdefault(pair, len(self._codes)) for pair in pairs]
        columns = readings.select(["timestamp", "value", "sequence"])
        return columns.append_column("pair", pa.array(np.array(codes, np.int32)[place]))


def _distinct(cell: NDArray[np.int64], cells: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the numbers that occur, ascending, and each one's place among them.

    Without sorting where there are few cells.
    """
    if cells > _LARGEST_GRID:
        met, place = np.unique(cell, return_inverse=True)
        return met, place.astype(np.int32)
    present = np.zeros(cells, dtype=bool)
    present[cell] = True
    met = np.flatnonzero(present)
    place_of = np.cumsum(present, dtype=np.int32) - 1
    return met, place_of[cell]
