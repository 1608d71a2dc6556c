"""Which of many sensors each of many windows is of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.models import Pair


class Lookup:
    """Finds sensors by their device and name."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        """Prepare for the search among pairs of device and sensor."""
        self._place = {pair: place for place, pair in enumerate(pairs)}

    def find(self, device: str, sensor: str) -> int:
        """Return the place of a pair.

        Raises:
            KeyError: There is no such pair.
        """
        if (device, sensor) not in self._place:
            raise KeyError(f"no model of the sensor {sensor} of the device {device}")
        return self._place[device, sensor]

    def locate(self, windows: pd.DataFrame) -> NDArray[np.int64]:
        """Return the place of each row's pair, -1 for pairs that are not there; shape (w,).

        Args:
            windows: w rows with `device` and `sensor`, as text or categories. It is fastest
                where equal ones are side by side: only the first of them are looked up.
        """
        first = np.flatnonzero(_changes(windows["device"]) | _changes(windows["sensor"]))
        names = (windows[name].iloc[first].astype(str) for name in ("device", "sensor"))
        found = (self._place.get(pair, -1) for pair in zip(*names, strict=True))
        places = np.fromiter(found, np.int64, len(first))
        return np.repeat(places, np.diff(np.append(first, len(windows))))


def _changes(names: pd.Series) -> NDArray[np.bool_]:
    """Return where a name is another than that before; the first one is."""
    values = names.cat.codes if isinstance(names.dtype, pd.CategoricalDtype) else names
    texts = values.to_numpy()
    changes = np.ones(len(texts), dtype=bool)
    changes[1:] = texts[1:] != texts[:-1]
    return changes
