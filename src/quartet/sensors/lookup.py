"""The index of sensors by device and name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.models import Pair


class Lookup:
    """Maps (device, sensor) pairs to their indices."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        """Index the pairs."""
        self._index = {pair: index for index, pair in enumerate(pairs)}

    def find(self, device: str, sensor: str) -> int:
        """Return the index of a pair.

        Raises:
            KeyError: The pair is unknown.
        """
        if (device, sensor) not in self._index:
            raise KeyError(f"no model of sensor {sensor} of device {device}")
        return self._index[device, sensor]

    def locate(self, windows: pd.DataFrame) -> NDArray[np.int64]:
        """Return the index of each row's pair, -1 for unknown pairs; shape (w,), int64.

        Args:
            windows: w rows with `device` and `sensor`, as text or categories. Runs of equal pairs
                are looked up once.
        """
        first = np.flatnonzero(_find_changes(windows["device"]) | _find_changes(windows["sensor"]))
        names = (windows[name].iloc[first].astype(str) for name in ("device", "sensor"))
        found = (self._index.get(pair, -1) for pair in zip(*names, strict=True))
        indices = np.fromiter(found, np.int64, len(first))
        return np.repeat(indices, np.diff(np.append(first, len(windows))))


def _find_changes(names: pd.Series) -> NDArray[np.bool_]:
    """Return where a name differs from the one before; the first one always does."""
    values = names.cat.codes if isinstance(names.dtype, pd.CategoricalDtype) else names
    texts = values.to_numpy()
    changes = np.ones(len(texts), dtype=bool)
    changes[1:] = texts[1:] != texts[:-1]
    return changes
