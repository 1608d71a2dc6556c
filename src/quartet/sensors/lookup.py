"""Which of many sensors each of many windows is of."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.models import Pair


class Lookup:
    """Finds sensors by their device and name.

    Each device and each name of a sensor gets a number, in ascending order, so that numbers of
    both together ascend as the pairs do, and are searched instead of them.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        """Prepare for the search among pairs of device and sensor, ascending."""
        self._pairs = pairs
        self._devices, self._sensors = (
            {name: number for number, name in enumerate(sorted({pair[part] for pair in pairs}))}
            for part in (0, 1)
        )
        width = len(self._sensors)
        numbers = [
            self._devices[device] * width + self._sensors[sensor] for device, sensor in pairs
        ]
        self._numbers = np.array([*numbers, -1], dtype=np.int64)

    def find(self, device: str, sensor: str) -> int:
        """Place of a pair.

        Raises:
            KeyError: There is no such pair.
        """
        place = bisect_left(self._pairs, (device, sensor))
        if place == len(self._pairs) or self._pairs[place] != (device, sensor):
            raise KeyError(f"no model of the sensor {sensor} of the device {device}")
        return place

    def locate(self, windows: pd.DataFrame) -> NDArray[np.int64]:
        """Place of each row's pair, -1 for pairs that are not there; shape (w,).

        Args:
            windows: w rows with `device` and `sensor`, as text or categories. It is fastest
                where equal ones lie together: only the first of them are looked up.
        """
        changes = _changes(windows["device"]) | _changes(windows["sensor"])
        first = np.flatnonzero(changes)
        row = _numbered(windows["device"].iloc[first], self._devices)
        column = _numbered(windows["sensor"].iloc[first], self._sensors)
        number = row * len(self._sensors) + column
        place = np.searchsorted(self._numbers[:-1], number)
        known = (np.minimum(row, column) >= 0) & (self._numbers[place] == number)
        return np.repeat(np.where(known, place, -1), np.diff(np.append(first, len(windows))))


def _changes(names: pd.Series) -> NDArray[np.bool_]:
    """Where a name is another than that before; the first one is."""
    values = names.cat.codes if isinstance(names.dtype, pd.CategoricalDtype) else names
    texts = values.to_numpy()
    changes = np.ones(len(texts), dtype=bool)
    changes[1:] = texts[1:] != texts[:-1]
    return changes


def _numbered(names: pd.Series, numbers: Mapping[str, int]) -> NDArray[np.int64]:
    """The names' numbers, -1 for those that have none."""
    codes, met = pd.factorize(names)
    return np.array([*(numbers.get(str(name), -1) for name in met), -1], dtype=np.int64)[codes]
