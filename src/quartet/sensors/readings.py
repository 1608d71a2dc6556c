"""Arrow tables of readings, and the encoding of their sensors.

A table of readings has the columns of `SCHEMA`: `device`, `sensor` and `file` (dictionary-encoded
text), `timestamp` (microseconds since the Unix epoch, UTC), `value` (finite) and `sequence`
(sequence number of the event, or row of the table).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
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


def concatenate(parts: Sequence[pa.Table]) -> pa.Table:
    """Concatenate readings into one chunk with one dictionary per column."""
    readings = pa.concat_tables(parts) if parts else NO_READINGS
    return readings.unify_dictionaries().combine_chunks()


def dictionary_encode(names: Sequence[str], codes: NDArray[np.int32]) -> pa.DictionaryArray:
    """Return a dictionary-encoded column; `codes` are indices into `names`, shape (n,)."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names, pa.string()))


def dictionary_decode(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int32]]:
    """Return the distinct names of a dictionary-encoded column, and each row's index into them."""
    combined = column.unify_dictionaries().combine_chunks()
    if isinstance(combined, pa.ChunkedArray):  # a column without chunks
        return [], np.empty(0, np.int32)
    return combined.dictionary.to_pylist(), combined.indices.to_numpy()


class PairEncoder:
    """Encodes (device, sensor) pairs as integers, consistently across tables."""

    def __init__(self) -> None:
        self._codes: dict[Pair, int] = {}

    @property
    def pairs(self) -> list[Pair]:
        """The pairs encoded so far, by code."""
        return list(self._codes)

    def encode(self, readings: pa.Table) -> pa.Table:
        """Return `timestamp`, `value` and `sequence` of readings, and `pair`, the code (int32)."""
        (devices, device), (sensors, sensor) = (
            dictionary_decode(readings.column(name)) for name in ("device", "sensor")
        )
        cell = device.astype(np.int64) * len(sensors) + sensor
        index, distinct = pd.factorize(cell)
        pairs = [(devices[c // len(sensors)], sensors[c % len(sensors)]) for c in distinct.tolist()]
        codes = [self._codes.setdefault(pair, len(self._codes)) for pair in pairs]
        columns = readings.select(["timestamp", "value", "sequence"])
        return columns.append_column("pair", pa.array(np.array(codes, np.int32)[index]))
