"""Labels of known anomalies, and the windows that they overlap.

A label is a row of `device`, `sensor`, `start`, `end` (both inclusive, naive UTC) and `kind`. A
label with an empty `sensor` applies to all sensors of the device.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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

    Raises:
        ValueError: A table lacks a column.
    """
    _check_columns(windows, ("device", "sensor", "window_end"), "windows")
    _check_columns(labels, LABEL_COLUMNS, "labels")
    ends = _to_microseconds(windows["window_end"])
    length = window_seconds * 1_000_000
    rows_by_device = _rows_by_sensor(windows, ends)
    starts, stops = _to_microseconds(labels["start"]), _to_microseconds(labels["end"])
    matches = []
    covered = np.zeros(len(labels), dtype=bool)
    names = zip(labels["device"].astype(str), labels["sensor"].astype(str), strict=True)
    for label, (device, sensor) in enumerate(names):
        for rows in _select_rows(rows_by_device.get(device, {}), sensor):
            time = ends[rows]
            first = np.searchsorted(time, starts[label], "left")
            last = np.searchsorted(time - length, stops[label], "left")
            found = rows[first:last]
            matches.append(np.stack([np.full(len(found), label), found]))
            covered[label] |= starts[label] <= time[-1] and stops[label] > time[0] - length
    pairs = np.concatenate([np.empty((2, 0), np.int64), *matches], axis=1)
    return LabelMatches(pairs[0], pairs[1], covered)


Rows = dict[str, dict[str, NDArray[np.int64]]]


def _rows_by_sensor(windows: pd.DataFrame, ends: NDArray[np.int64]) -> Rows:
    """Return the rows of each device's sensors, ascending by time."""
    devices, device_names = pd.factorize(windows["device"])
    sensors, sensor_names = pd.factorize(windows["sensor"])
    order = np.lexsort((ends, sensors, devices))
    changes = (np.diff(devices[order]) != 0) | (np.diff(sensors[order]) != 0)
    found: Rows = {}
    for rows in np.split(order, np.flatnonzero(changes) + 1) if len(order) else ():
        device, sensor = str(device_names[devices[rows[0]]]), str(sensor_names[sensors[rows[0]]])
        found.setdefault(device, {})[sensor] = rows
    return found


def _select_rows(sensors: dict[str, NDArray[np.int64]], sensor: str) -> list[NDArray[np.int64]]:
    if not sensor:
        return list(sensors.values())
    return [sensors[name] for name in (sensor, "") if name in sensors]


def _to_microseconds(times: pd.Series) -> NDArray[np.int64]:
    return times.to_numpy().astype("datetime64[us]").astype(np.int64)


def _check_columns(table: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    if missing := [column for column in columns if column not in table]:
        raise ValueError(
            f"{name}: column {missing[0]} is missing; expected {', '.join(columns)}, found "
            f"{', '.join(map(str, table))}"
        )
