"""Whether what the sensors measure is still what their models were trained on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from quartet.sensors.bank import QUANTILES, ModelBank
from quartet.sensors.features import window_features

MOVED = 0.25
"""Stability index from which inputs count as moved, by the rule of thumb of credit scoring."""
_CERTAINTY = 0.999
_ROWS_AT_ONCE = 200_000

Array = NDArray[np.float64]


def stability(bank: ModelBank, windows: pd.DataFrame) -> pd.DataFrame:
    """The population stability index of each feature of each sensor.

    The deciles of the training windows cut a feature into intervals; the index is
    the sum of (share - expected) ln(share / expected) over them (Siddiqi, "Credit
    risk scorecards", 2006): 0 where nothing has changed. One window more is taken for
    each interval, as expected. Of few windows the index is large by chance; `moved` is
    told only beyond what chance explains.

    Args:
        bank: The models, with the quantiles of their training windows.
        windows: The columns of `quartet.sensors.windows`, in any order.

    Returns:
        One row a sensor that has both, and feature: `device`, `sensor`, `feature`,
        `windows`, `stability_index`, `moved`.
    """
    model = bank.locate(windows)
    known = windows[model >= 0]
    model = model[model >= 0]
    seen, place = np.unique(model, return_inverse=True)
    counts = _counts(bank.quantiles[seen], place, window_features(known, bank.features))
    group = _groups(bank.quantiles[seen])
    index, intervals = _index(counts, group)
    total = counts.sum(axis=2)
    chance = chi2.ppf(_CERTAINTY, np.maximum(intervals - 1, 1)) / np.maximum(total, 1)
    features = len(bank.features)
    return pd.DataFrame(
        {
            "device": np.repeat([bank.pairs[number][0] for number in seen], features),
            "sensor": np.repeat([bank.pairs[number][1] for number in seen], features),
            "feature": np.tile(np.array(bank.features, dtype=object), len(seen)),
            "windows": total.ravel().astype(np.int64),
            "stability_index": index.ravel(),
            "moved": (index > np.maximum(MOVED, chance)).ravel(),
        }
    )


def _counts(quantiles: Array, place: NDArray[np.intp], features: Array) -> Array:
    """Windows in each interval: shape (s, d, intervals), from features of shape (w, d)."""
    sensors, number = quantiles.shape[:2]
    intervals = len(QUANTILES) - 1
    counts = np.zeros(sensors * number * intervals)
    for first in range(0, len(place), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        edges = quantiles[place[rows], :, 1:-1]
        interval = (features[rows, :, None] > edges).sum(axis=2)
        cell = (place[rows, None] * number + np.arange(number)) * intervals + interval
        counts += np.bincount(cell.ravel(), minlength=len(counts))
    return counts.reshape(sensors, number, intervals)


def _groups(quantiles: Array) -> NDArray[np.int64]:
    """Which intervals belong together: shape (s, d, intervals), numbers from 0.

    Where a value is so frequent that it is several deciles at once, the intervals
    between them are empty, and count with the one below.
    """
    opens = [np.ones(quantiles.shape[:2], dtype=bool)]
    edges = np.moveaxis(quantiles, 2, 0)
    opens += [low != high for low, high in pairwise(edges[1:])]
    return np.cumsum(np.stack(opens, axis=2), axis=2) - 1


def _index(counts: Array, group: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """The index, shape (s, d), and from how many intervals it is."""
    sensors, number, intervals = counts.shape
    cell = np.arange(sensors * number).reshape(sensors, number, 1) * intervals + group
    shape = (sensors, number, intervals)
    size = sensors * number * intervals
    windows = np.bincount(cell.ravel(), counts.ravel(), size).reshape(shape)
    expected = np.bincount(cell.ravel(), minlength=size).reshape(shape) / intervals
    there = expected > 0
    number_of = there.sum(axis=2, keepdims=True)
    # One more window an interval, where expected: no share is 0, and few windows prove little.
    share = (windows + number_of * expected) / (windows.sum(axis=2, keepdims=True) + number_of)
    share, expected = (np.where(there, values, 1) for values in (share, expected))
    return ((share - expected) * np.log(share / expected)).sum(axis=2), there.sum(axis=2)
