"""Tumbling windows over readings, as Azure Stream Analytics defines them.

A window excludes its start and includes its end, so a reading at 12:05 belongs to the window from
12:00 to 12:05. Windows are aligned to the Unix epoch, and are identified by their end, which
Stream Analytics calls `System.Timestamp()`.
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
    """Return the end of each timestamp's window, in microseconds since the epoch."""
    length = window_seconds * SECOND
    return -(-timestamp // length) * length


def drop_duplicates(encoded: pa.Table, pairs: Sequence[Pair]) -> tuple[pa.Table, NDArray[np.int64]]:
    """Keep one reading for each device, sensor and timestamp, whatever the order of readings.

    Of duplicates, the one with the largest sequence number is kept; if these are equal, the one
    with the largest value.

    Args:
        encoded: n readings, as `PairEncoder.encode` returns them.
        pairs: Device and sensor by code.

    Returns:
        The kept readings, ascending by device, sensor and timestamp; and the indices of readings
        that duplicate an earlier row, shape (d,).
    """
    pair, timestamp = (encoded.column(name).to_numpy() for name in ("pair", "timestamp"))
    by_name = sorted(range(len(pairs)), key=pairs.__getitem__)
    rank = np.empty(len(pairs), dtype=np.int32)
    rank[by_name] = np.arange(len(pairs), dtype=np.int32)
    order = _sort_by_pair_and_time(rank[pair], timestamp, len(pairs))
    pair, timestamp = pair[order], timestamp[order]
    same = (pair[1:] == pair[:-1]) & (timestamp[1:] == timestamp[:-1])
    if not same.any():
        return encoded.take(order), np.empty(0, np.int64)
    kept, duplicates = _resolve_duplicates(encoded, order, same)
    return encoded.take(kept), duplicates


def _sort_by_pair_and_time(
    rank: NDArray[np.int32], timestamp: NDArray[np.int64], pairs: int
) -> NDArray[np.int64]:
    """Return the rows in ascending order of pair and timestamp; ties in any order."""
    if not len(timestamp):
        return np.empty(0, np.int64)
    first = int(timestamp.min())
    span = int(timestamp.max()) - first + 1
    if span * pairs < 2**63:  # a combined key sorts five times as fast
        return np.argsort(rank.astype(np.int64) * span + (timestamp - first))
    return np.lexsort((timestamp, rank))


def _resolve_duplicates(
    encoded: pa.Table, order: NDArray[np.int64], same: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose one of each run of duplicates, which are adjacent in `order`.

    Args:
        encoded: n readings.
        order: Rows in ascending order of pair and timestamp, shape (n,).
        same: Whether each reading but the first duplicates the one before in `order`, shape (n-1,).

    Returns:
        The rows to keep, in order; and the rows that duplicate an earlier row.
    """
    in_run = np.append(same, False) | np.append(False, same)
    rows = order[in_run]
    table = pd.DataFrame({"run": np.append(0, np.cumsum(~same))[in_run], "row": rows})
    for name in ("sequence", "value"):
        table[name] = encoded.column(name).to_numpy()[rows]
    best = table.sort_values(["sequence", "value"]).drop_duplicates("run", keep="last")
    kept = order[~np.append(False, same)]  # the first of each run, replaced by the best below
    kept[best["run"]] = best["row"]
    by_row = table.sort_values("row")
    return kept, by_row.loc[by_row.duplicated("run"), "row"].to_numpy()


def aggregate(readings: pa.Table, window_seconds: int) -> pd.DataFrame:
    """Aggregate readings, in any order and with duplicates, to windows.

    Args:
        readings: The columns of `quartet.sensors.readings`.
        window_seconds: Length of the windows.

    Returns:
        Ascending by device, sensor and window: `device`, `sensor` (text), `window_end`
        (datetime64[s], UTC), `readings` (int64, without duplicates), and of their values
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
    """Aggregate readings from `drop_duplicates` to windows, as `aggregate` does."""
    pair, value = (encoded.column(name).to_numpy() for name in ("pair", "value"))
    ends = window_ends(encoded.column("timestamp").to_numpy(), window_seconds)
    is_first = np.ones(len(pair), dtype=bool)
    is_first[1:] = (ends[1:] != ends[:-1]) | (pair[1:] != pair[:-1])
    first = np.flatnonzero(is_first)
    count = np.diff(np.append(first, len(pair)))
    minimum, maximum = np.minimum.reduceat(value, first), np.maximum.reduceat(value, first)
    # Clipped, because rounding may put a mean of equal values outside them.
    mean = np.clip(np.add.reduceat(value, first) / count, minimum, maximum)
    # The sum of squares would lose all digits of large values.
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
        np.array([names[index] for names in pairs], dtype=object)[pair] for index in (0, 1)
    )
    end = (ends // SECOND).astype("datetime64[s]")
    return pd.DataFrame(dict(zip(WINDOW_COLUMNS, (devices, sensors, end), strict=False)))


def group_rows(windows: pd.DataFrame) -> dict[Pair, NDArray[np.int64]]:
    """Return the rows of each sensor's windows in the order of time, by (device, sensor).

    Args:
        windows: Columns `device`, `sensor` and `window_end`, in any order.
    """
    devices, device_names = pd.factorize(windows["device"], sort=True)
    sensors, sensor_names = pd.factorize(windows["sensor"], sort=True)
    order = np.lexsort((windows["window_end"].to_numpy(), sensors, devices))
    changes = (np.diff(devices[order]) != 0) | (np.diff(sensors[order]) != 0)
    parts = np.split(order, np.flatnonzero(changes) + 1) if len(order) else []
    return {
        (str(device_names[devices[rows[0]]]), str(sensor_names[sensors[rows[0]]])): rows
        for rows in parts
    }
