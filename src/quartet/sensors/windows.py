"""Tumbling windows over readings, as Azure Stream Analytics defines them.

A window begins after its start and ends with its end, so that a reading at 12:05
belongs to the window from 12:00 to 12:05; windows lie on a grid that begins with the
Unix epoch, and are named by their end, which Stream Analytics calls `System.Timestamp()`.
https://learn.microsoft.com/stream-analytics-query/tumbling-window-azure-stream-analytics
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quartet.sensors.readings import Pair, PairEncoder

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


def window_ends(timestamp: NDArray[np.int64], window_seconds: int) -> NDArray[np.int64]:
    """Return the end of the window of each timestamp; microseconds since the epoch."""
    length = window_seconds * SECOND
    return -(-timestamp // length) * length


def drop_duplicates(encoded: pa.Table, pairs: Sequence[Pair]) -> tuple[pa.Table, NDArray[np.int64]]:
    """Keep one reading for each device, sensor and timestamp.

    Of several the one with the largest sequence number is kept, of equals the one with
    the largest value: the order in which they come does not matter.

    Args:
        encoded: n readings, as `PairEncoder.encode` returns them.
        pairs: Device and sensor by code.

    Returns:
        Those kept, ascending by device, sensor and timestamp; and the rows, of those given, that
        duplicate one in a row before, shape (d,).
    """
    pair, timestamp = (encoded.column(name).to_numpy() for name in ("pair", "timestamp"))
    by_name = sorted(range(len(pairs)), key=pairs.__getitem__)
    rank = np.empty(len(pairs), dtype=np.int32)
    rank[by_name] = np.arange(len(pairs), dtype=np.int32)
    order = _by_pair_and_time(rank[pair], timestamp, len(pairs))
    pair, timestamp = pair[order], timestamp[order]
    same = (pair[1:] == pair[:-1]) & (timestamp[1:] == timestamp[:-1])
    if not same.any():
        return encoded.take(order), np.empty(0, np.int64)
    kept, duplicates = _settle(encoded, order, same)
    return encoded.take(kept), duplicates


def _by_pair_and_time(
    rank: NDArray[np.int32], timestamp: NDArray[np.int64], pairs: int
) -> NDArray[np.int64]:
    """Return the rows ascending by pair and timestamp; equals in any order."""
    if not len(timestamp):
        return np.empty(0, np.int64)
    first = int(timestamp.min())
    span = int(timestamp.max()) - first + 1
    if span * pairs < 2**63:  # one number for both sorts five times as fast
        return np.argsort(rank.astype(np.int64) * span + (timestamp - first))
    return np.lexsort((timestamp, rank))


def _settle(
    encoded: pa.Table, order: NDArray[np.int64], same: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose among the readings of one identity, which are side by side in `order`.

    Returns:
        The rows to keep, in order; and those that duplicate one in a row before.
    """
    run = np.concatenate([[0], np.cumsum(~same)])
    several = np.zeros(len(order), dtype=bool)
    several[1:] |= same
    several[:-1] |= same
    rows, runs = order[several], run[several]
    value, sequence = (encoded.column(name).to_numpy()[rows] for name in ("value", "sequence"))
    best = np.lexsort((value, sequence, runs))
    last = np.append(runs[best][1:] != runs[best][:-1], True)
    kept = order[~np.append(False, same)]  # one a run; the first that came
    kept[runs[best][last]] = rows[best][last]
    arrived = np.lexsort((rows, runs))
    later = np.append(False, runs[arrived][1:] == runs[arrived][:-1])
    return kept, np.sort(rows[arrived][later])


def aggregate(readings: pa.Table, window_seconds: int) -> pd.DataFrame:
    """Return the windows of readings, which may come in any order and more than once.

    Args:
        readings: The columns of `quartet.sensors.readings`.
        window_seconds: Length of the windows.

    Returns:
        Ascending by device, sensor and window: `device`, `sensor` (text), `window_end`
        (datetime64[s], UTC), `readings` (int64, duplicates not counted), and of their values
        (float64) `mean`, `standard_deviation` (of the population: 0 for one reading),
        `minimum`, `maximum` and `last_value`, that of the latest timestamp.
    """
    encoder = PairEncoder()
    encoded = encoder.encode(readings)
    kept, _ = drop_duplicates(encoded, encoder.pairs)
    return aggregate_distinct(kept, encoder.pairs, window_seconds)


def aggregate_distinct(
    encoded: pa.Table, pairs: Sequence[Pair], window_seconds: int
) -> pd.DataFrame:
    """Return the windows, as `aggregate` does, of what `drop_duplicates` has left."""
    pair, value = (encoded.column(name).to_numpy() for name in ("pair", "value"))
    ends = window_ends(encoded.column("timestamp").to_numpy(), window_seconds)
    new = np.ones(len(pair), dtype=bool)
    new[1:] = (ends[1:] != ends[:-1]) | (pair[1:] != pair[:-1])
    first = np.flatnonzero(new)
    count = np.diff(np.append(first, len(pair)))
    minimum, maximum = np.minimum.reduceat(value, first), np.maximum.reduceat(value, first)
    # Rounding may carry a mean beyond its values; so equal values deviate by exactly 0.
    mean = np.clip(np.add.reduceat(value, first) / count, minimum, maximum)
    # From the deviations, not from the squares: these would lose all digits of large values.
    deviation = value - np.repeat(mean, count)
    variance = np.add.reduceat(deviation * deviation, first) / count
    last = value[first + count - 1]
    statistics = (count, mean, np.sqrt(variance), minimum, maximum, last)
    return name_windows(pairs, pair[first], ends[first]).assign(
        **dict(zip(WINDOW_COLUMNS[3:], statistics, strict=True))
    )


def name_windows(
    pairs: Sequence[Pair], pair: NDArray[np.integer[Any]], ends: NDArray[np.int64]
) -> pd.DataFrame:
    """Return the columns `device`, `sensor` and `window_end` (datetime64[s], UTC) of n windows.

    Args:
        pairs: Device and sensor by code.
        pair: Each window's code; shape (n,).
        ends: Microseconds since the epoch; shape (n,).
    """
    devices, sensors = (
        np.array([names[place] for names in pairs], dtype=object)[pair] for place in (0, 1)
    )
    end = (ends // SECOND).astype("datetime64[s]")
    return pd.DataFrame(dict(zip(WINDOW_COLUMNS, (devices, sensors, end), strict=False)))
