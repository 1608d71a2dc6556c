"""Tumbling windows over readings, as Azure Stream Analytics defines them.

A window begins after its start and ends with its end, so that a reading at 12:05
belongs to the window from 12:00 to 12:05; windows lie on a grid that begins with the
Unix epoch, and are named by their end, which Stream Analytics calls `System.Timestamp()`.
https://learn.microsoft.com/stream-analytics-query/tumbling-window-azure-stream-analytics
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.readings import Pairs, Readings

SECOND = 1_000_000
"""Microseconds."""
WINDOW_COLUMNS = [
    "device",
    "sensor",
    "window_end",
    "readings",
    "mean",
    "standard_deviation",
    "minimum",
    "maximum",
    "last_value",
]


class Distinct(NamedTuple):
    """Readings of which no two have the same device, sensor and timestamp.

    Attributes:
        readings: Ascending by device, sensor and timestamp.
        repeats: Rows, of the readings given, that repeat one in a row before; shape (r,).
    """

    readings: Readings
    repeats: NDArray[np.int64]


def window_ends(timestamp: NDArray[np.int64], window_seconds: int) -> NDArray[np.int64]:
    """The end of the window in which each timestamp lies; microseconds since the epoch."""
    length = window_seconds * SECOND
    return -(-timestamp // length) * length


def drop_repeats(readings: Readings) -> Distinct:
    """One reading for each device, sensor and timestamp.

    Of several the one with the largest sequence number is kept, of equals the one with
    the largest value: the order in which they stand does not matter.
    """
    # Pairs are numbered in the order of their names, so that one sort serves for all.
    by_name = sorted(range(len(readings.pairs)), key=readings.pairs.__getitem__)
    rank = np.empty(len(by_name), dtype=np.int32)
    rank[by_name] = np.arange(len(by_name), dtype=np.int32)
    named = Readings(
        tuple(readings.pairs[place] for place in by_name),
        rank[readings.pair] if len(rank) else readings.pair,
        readings.timestamp,
        readings.value,
        readings.sequence,
    )
    order = _by_pair_and_time(named)
    pair, timestamp = named.pair[order], named.timestamp[order]
    same = (pair[1:] == pair[:-1]) & (timestamp[1:] == timestamp[:-1])
    if not same.any():
        return Distinct(named.take(order), np.empty(0, np.int64))
    return _settle(named, order, same)


def _by_pair_and_time(readings: Readings) -> NDArray[np.int64]:
    """The rows ascending by pair and timestamp; equals in any order."""
    if not len(readings):
        return np.empty(0, np.int64)
    first = int(readings.timestamp.min())
    span = int(readings.timestamp.max()) - first + 1
    if span * len(readings.pairs) < 2**63:  # one number for both sorts five times as fast
        return np.argsort(readings.pair.astype(np.int64) * span + (readings.timestamp - first))
    return np.lexsort((readings.timestamp, readings.pair))


def _settle(readings: Readings, order: NDArray[np.int64], same: NDArray[np.bool_]) -> Distinct:
    """Choose among the readings of one identity, which stand side by side in `order`."""
    run = np.concatenate([[0], np.cumsum(~same)])
    several = np.zeros(len(order), dtype=bool)
    several[1:] |= same
    several[:-1] |= same
    rows, runs = order[several], run[several]
    best = np.lexsort((readings.value[rows], readings.sequence[rows], runs))
    last = np.append(runs[best][1:] != runs[best][:-1], True)
    kept = order[~np.append(False, same)]  # one a run; the first that came
    kept[runs[best][last]] = rows[best][last]
    arrived = np.lexsort((rows, runs))
    later = np.append(False, runs[arrived][1:] == runs[arrived][:-1])
    return Distinct(readings.take(kept), np.sort(rows[arrived][later]))


def aggregate(readings: Readings, window_seconds: int) -> pd.DataFrame:
    """The windows of readings, which may be in any order and repeat.

    Returns:
        Ascending by device, sensor and window: `device`, `sensor` (text), `window_end`
        (datetime64[s], UTC), `readings` (int64, repeats not counted), and of their values
        (float64) `mean`, `standard_deviation` (of the population: 0 for one reading),
        `minimum`, `maximum` and `last_value`, that of the latest timestamp.
    """
    return aggregate_distinct(drop_repeats(readings).readings, window_seconds)


def aggregate_distinct(readings: Readings, window_seconds: int) -> pd.DataFrame:
    """As `aggregate`, of what `drop_repeats` has left."""
    ends = window_ends(readings.timestamp, window_seconds)
    new = np.ones(len(readings), dtype=bool)
    new[1:] = (ends[1:] != ends[:-1]) | (readings.pair[1:] != readings.pair[:-1])
    first = np.flatnonzero(new)
    if not len(first):
        return _frame(readings, first, ends, *([np.empty(0)] * 6))
    count = np.diff(np.append(first, len(readings)))
    value = readings.value
    minimum, maximum = np.minimum.reduceat(value, first), np.maximum.reduceat(value, first)
    # Rounding may carry a mean beyond its values; so equal values deviate by exactly 0.
    mean = np.clip(np.add.reduceat(value, first) / count, minimum, maximum)
    # From the deviations, not from the squares: these would lose all digits of large values.
    deviation = value - np.repeat(mean, count)
    variance = np.add.reduceat(deviation * deviation, first) / count
    last = value[first + count - 1]
    return _frame(readings, first, ends, count, mean, np.sqrt(variance), minimum, maximum, last)


def _frame(
    readings: Readings, first: NDArray[np.int64], ends: NDArray[np.int64], *statistics: NDArray[Any]
) -> pd.DataFrame:
    """The table of windows, each beginning at one of the rows `first`."""
    frame = name_windows(readings.pairs, readings.pair[first], ends[first])
    count, *others = statistics
    columns = [count.astype(np.int64), *others]
    return frame.assign(**dict(zip(WINDOW_COLUMNS[3:], columns, strict=True)))


def name_windows(
    pairs: Pairs, pair: NDArray[np.integer[Any]], ends: NDArray[np.int64]
) -> pd.DataFrame:
    """The columns `device`, `sensor` and `window_end` (datetime64[s], UTC) of n windows.

    Args:
        pairs: Device and sensor of each pair.
        pair: Each window's place in `pairs`; shape (n,).
        ends: Microseconds since the epoch; shape (n,).
    """
    devices, sensors = (
        np.array([names[place] for names in pairs], dtype=object)[pair] for place in (0, 1)
    )
    end = (ends // SECOND).astype("datetime64[s]")
    return pd.DataFrame(dict(zip(WINDOW_COLUMNS, (devices, sensors, end), strict=False)))
