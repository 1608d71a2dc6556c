"""Readings as columns, and their form as an Arrow table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Pair = tuple[str, str]
Pairs = tuple[Pair, ...]

_LARGEST_GRID = 4_000_000
"""Cells of a table of all devices and all sensors, beyond which pairs are sorted instead."""


@dataclass(frozen=True)
class Readings:
    """Columns of n readings.

    Attributes:
        pairs: The p distinct (device, sensor), in any order.
        pair: Place of each reading's in `pairs`; shape (n,), int32.
        timestamp: Microseconds since the Unix epoch, UTC; shape (n,), int64.
        value: Finite; shape (n,), float64.
        sequence: Event Hubs' number of the event, or that of the table's row; shape (n,), int64.
    """

    pairs: Pairs
    pair: NDArray[np.int32]
    timestamp: NDArray[np.int64]
    value: NDArray[np.float64]
    sequence: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.timestamp)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Readings:
        """The rows chosen by numbers or by a mask; `pairs` stay as they are."""
        return Readings(
            self.pairs,
            self.pair[rows],
            self.timestamp[rows],
            self.value[rows],
            self.sequence[rows],
        )

    def table(self) -> pa.Table:
        """Columns `device` and `sensor` (dictionaries), `timestamp`, `value` and `sequence`."""
        names = {}
        for place, column in enumerate(("device", "sensor")):
            distinct = {name: number for number, name in enumerate(sorted(self._names(place)))}
            of_pair = np.array([distinct[pair[place]] for pair in self.pairs], dtype=np.int32)
            numbers = of_pair[self.pair] if len(of_pair) else self.pair
            names[column] = pa.DictionaryArray.from_arrays(
                pa.array(numbers, pa.int32()), pa.array(list(distinct), pa.string())
            )
        columns = {"timestamp": self.timestamp, "value": self.value, "sequence": self.sequence}
        return pa.table({**names, **{name: pa.array(column) for name, column in columns.items()}})

    def _names(self, place: int) -> set[str]:
        return {pair[place] for pair in self.pairs}

    @classmethod
    def from_table(cls, table: pa.Table) -> Readings:
        """From what `table` makes; further columns are left aside."""
        (devices, device), (sensors, sensor) = (
            numbered(table.column(name)) for name in ("device", "sensor")
        )
        cell = device.astype(np.int64) * max(len(sensors), 1) + sensor
        met, pair = _distinct(cell, len(devices) * len(sensors))
        pairs = tuple(
            (devices[which // len(sensors)], sensors[which % len(sensors)])
            for which in met.tolist()
        )
        columns = (table.column(name).to_numpy() for name in ("timestamp", "value", "sequence"))
        return cls(pairs, pair, *columns)


EMPTY = Readings(
    (),
    np.empty(0, np.int32),
    np.empty(0, np.int64),
    np.empty(0, np.float64),
    np.empty(0, np.int64),
)
"""No readings."""


def concatenate(parts: Sequence[Readings]) -> Readings:
    """All readings one after the other; of `pairs`, those of the first part come first."""
    return one_after_the_other(number_alike(parts)) if parts else EMPTY


def number_alike(parts: Sequence[Readings]) -> list[Readings]:
    """The same readings, with the same `pairs` in all parts: those of the first come first."""
    index: dict[Pair, int] = {}
    numbers = []
    for part in parts:
        places = [index.setdefault(pair, len(index)) for pair in part.pairs]
        place = np.array(places, dtype=np.int32)
        numbers.append(place[part.pair] if len(place) else part.pair)
    pairs = tuple(index)
    return [
        Readings(pairs, number, part.timestamp, part.value, part.sequence)
        for number, part in zip(numbers, parts, strict=True)
    ]


def one_after_the_other(parts: Sequence[Readings]) -> Readings:
    """Readings of one part or more, whose pairs are numbered alike."""
    return Readings(
        parts[-1].pairs,
        np.concatenate([part.pair for part in parts]),
        np.concatenate([part.timestamp for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.sequence for part in parts]),
    )


def numbered(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int32]]:
    """The distinct names of a dictionary column, and each row's place among them."""
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # a column without any chunk
        return [], np.empty(0, np.int32)
    return whole.dictionary.to_pylist(), whole.indices.to_numpy()


def _distinct(cell: NDArray[np.int64], cells: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The numbers that occur, ascending, and each one's place among them.

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
