"""Known anomalies, and which windows they touch.

A label is a row of `device`, `sensor`, `start`, `end` (both included, UTC without zone)
and `kind`. A label without a sensor, an empty text, is about the whole device.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LABEL_COLUMNS = ("device", "sensor", "start", "end", "kind")


class Touched(NamedTuple):
    """The windows that labels touch, one pair of a label and a window after the other.

    Attributes:
        label: Rows of the label table; shape (t,).
        window: Rows of the window table; shape (t,).
        covered: Whether each label lies, at least in part, in the time of its sensor's windows,
            so that it could have been found; shape (l,).
    """

    label: NDArray[np.int64]
    window: NDArray[np.int64]
    covered: NDArray[np.bool_]


def mark_windows(
    windows: pd.DataFrame, labels: pd.DataFrame, window_seconds: int
) -> NDArray[np.bool_]:
    """Whether each window is anomalous: some moment of it lies within a label of its sensor.

    Args:
        windows: Columns `device`, `sensor` and `window_end`, in any order. Where `sensor` is
            empty, a row stands for the whole device, and all labels of the device count.
        labels: Columns `LABEL_COLUMNS`.
        window_seconds: Length of the windows.

    Returns:
        Shape (w,).
    """
    marked = np.zeros(len(windows), dtype=bool)
    marked[touched_windows(windows, labels, window_seconds).window] = True
    return marked


def touched_windows(windows: pd.DataFrame, labels: pd.DataFrame, window_seconds: int) -> Touched:
    """The windows that each label touches; arguments as for `mark_windows`.

    A window begins after its start and ends with its end, as Stream Analytics has it: a label
    that starts with the end of a window touches it, one that ends with its start does not.

    Raises:
        ValueError: A table lacks a column.
    """
    _check(windows, ("device", "sensor", "window_end"), "windows")
    _check(labels, LABEL_COLUMNS, "labels")
    ends = _microseconds(windows["window_end"])
    length = window_seconds * 1_000_000
    rows_of = _rows_by_sensor(windows, ends)
    starts, stops = _microseconds(labels["start"]), _microseconds(labels["end"])
    touched = []
    covered = np.zeros(len(labels), dtype=bool)
    names = zip(labels["device"].astype(str), labels["sensor"].astype(str), strict=True)
    for label, (device, sensor) in enumerate(names):
        for rows in _matching(rows_of.get(device, {}), sensor):
            time = ends[rows]
            first = np.searchsorted(time, starts[label], "left")
            after = np.searchsorted(time - length, stops[label], "left")
            found = rows[first:after]
            touched.append(np.stack([np.full(len(found), label), found]))
            covered[label] |= starts[label] <= time[-1] and stops[label] > time[0] - length
    pairs = np.concatenate([np.empty((2, 0), np.int64), *touched], axis=1)
    return Touched(pairs[0], pairs[1], covered)


Rows = dict[str, dict[str, NDArray[np.int64]]]


def _rows_by_sensor(windows: pd.DataFrame, ends: NDArray[np.int64]) -> Rows:
    """Rows of each device's sensors, ascending by time."""
    devices, device_names = pd.factorize(windows["device"])
    sensors, sensor_names = pd.factorize(windows["sensor"])
    order = np.lexsort((ends, sensors, devices))
    changes = (np.diff(devices[order]) != 0) | (np.diff(sensors[order]) != 0)
    found: Rows = {}
    for rows in np.split(order, np.flatnonzero(changes) + 1) if len(order) else ():
        device, sensor = str(device_names[devices[rows[0]]]), str(sensor_names[sensors[rows[0]]])
        found.setdefault(device, {})[sensor] = rows
    return found


def _matching(sensors: dict[str, NDArray[np.int64]], sensor: str) -> list[NDArray[np.int64]]:
    if not sensor:
        return list(sensors.values())
    return [sensors[name] for name in (sensor, "") if name in sensors]


def _microseconds(times: pd.Series) -> NDArray[np.int64]:
    return times.to_numpy().astype("datetime64[us]").astype(np.int64)


def _check(table: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    if missing := [column for column in columns if column not in table]:
        raise ValueError(
            f"{name} lack the column {missing[0]}: expected {', '.join(columns)}, found "
            f"{', '.join(map(str, table))}"
        )
