"""Labels of known anomalies, and the windows that they overlap.

A label is a row of `device`, `sensor`, `start`, `end` (both inclusive, naive UTC) and `kind`. A
label with an empty `sensor` applies to all sensors of the device.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.windows import group_rows

LABEL_COLUMNS = ("device", "sensor", "start", "end", "kind")


class LabelMatches(NamedTuple):
    """Pairs of a label and a window that overlap.

    Attributes:
        label: Row index in the label table; shape (t,).
        window: Row index in the window table; shape (t,).
        covered: Whether each label overlaps the time from the first to the last window of its
            sensor, so that it can be found; shape (l,).
    """

    label: NDArray[np.int64]
    window: NDArray[np.int64]
    covered: NDArray[np.bool_]


def mark_windows(
    windows: pd.DataFrame, labels: pd.DataFrame, window_seconds: int
) -> NDArray[np.bool_]:
    """Return whether each window overlaps a label of its sensor.

    Args:
        windows: Columns `device`, `sensor` and `window_end`, in any order. A row with an empty
            `sensor` is matched with all labels of the device.
        labels: Columns `LABEL_COLUMNS`.
        window_seconds: Length of the windows.

    Returns:
        Shape (w,).
    """
    marked = np.zeros(len(windows), dtype=bool)
    marked[match_labels(windows, labels, window_seconds).window] = True
    return marked


def match_labels(windows: pd.DataFrame, labels: pd.DataFrame, window_seconds: int) -> LabelMatches:
    """Return the windows that each label overlaps; arguments as for `mark_windows`.

    As in Stream Analytics, a window excludes its start and includes its end: a label that starts
    at the end of a window overlaps it, one that ends at its start does not.
    """
    ends = _to_microseconds(windows["window_end"])
    length = window_seconds * 1_000_000
    rows_by_device: dict[str, dict[str, NDArray[np.int64]]] = defaultdict(dict)
    for (device, sensor), rows in group_rows(windows).items():
        rows_by_device[device][sensor] = rows
    starts, stops = _to_microseconds(labels["start"]), _to_microseconds(labels["end"])
    matches = []
    covered = np.zeros(len(labels), dtype=bool)
    labelled = zip(labels["device"].astype(str), labels["sensor"].astype(str), strict=True)
    for label, (device, sensor) in enumerate(labelled):
        of_device = rows_by_device[device]
        names = (sensor, "") if sensor else of_device
        for rows in (of_device[name] for name in names if name in of_device):
            time = ends[rows]
            first = np.searchsorted(time, starts[label], "left")
            last = np.searchsorted(time - length, stops[label], "left")
            found = rows[first:last]
            matches.append(np.stack([np.full(len(found), label), found]))
            covered[label] |= starts[label] <= time[-1] and stops[label] > time[0] - length
    pairs = np.concatenate([np.empty((2, 0), np.int64), *matches], axis=1)
    return LabelMatches(pairs[0], pairs[1], covered)


def _to_microseconds(times: pd.Series) -> NDArray[np.int64]:
    return times.to_numpy().astype("datetime64[us]").astype(np.int64)
