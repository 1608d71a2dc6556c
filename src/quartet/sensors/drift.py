"""How far the inputs of models have moved from those of training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from quartet.sensors.bank import ModelBank
from quartet.sensors.features import window_features

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

MOVED = 0.25
"""Index from which a distribution counts as another one, by custom."""
_CHANCE = 0.01
"""Share of features that pass the limit of chance though nothing has moved."""
_ROWS_AT_ONCE = 500_000
_BINS = 11
"""Ten between the quantiles, and one for what is less than a least value met often in training."""


def drift(bank: ModelBank, windows: pd.DataFrame) -> pd.DataFrame:
    """The population stability index of each sensor and feature: new windows against training.

    Training inputs are divided at their tenths, and the index is the sum over these ten bins of
    (p - q) ln(p / q), p being the share of new windows in a bin and q that of training windows
    (Siddiqi, "Credit risk scorecards", 2006). Bins that coincide, as with values that are mostly
    the same, are one. An empty bin counts as half a window. With few windows the index is large
    by chance: if nothing has moved, it is about chi-squared times 1/n + 1/m for n new and m
    training windows (Yurdakul, "Statistical properties of population stability index", 2018).

    Args:
        bank: The models.
        windows: The columns of `quartet.sensors.windows`, in any order. Those of sensors without
            a model are left aside.

    Returns:
        One row a sensor with windows and a feature: `device`, `sensor`, `feature`, `windows`,
        `stability_index`, `chance_limit` (exceeded by one in a hundred though nothing has moved)
        and `moved` (the index exceeds both 0.25 and that limit).
    """
    model = bank.locate(windows)
    known = model >= 0
    model = model[known]
    features = np.maximum(window_features(windows[known], bank.features), bank.lowest[model])
    count = np.bincount(model, minlength=len(bank))
    met = np.flatnonzero(count)
    new, trained = count[met], bank.windows[met]
    index, bins = np.empty((2, len(met), len(bank.features)))
    for column in range(len(bank.features)):
        edges = bank.quantiles[:, column]
        observed = _counts(edges, model, features[:, column])[met] / new[:, None]
        expected = _expected(edges[met])
        index[:, column] = _index(observed, expected, new, trained)
        bins[:, column] = (expected > 0).sum(axis=1)
    chance = chi2.isf(_CHANCE, np.maximum(bins - 1, 1)) * (1 / new + 1 / trained)[:, None]
    names = np.array([bank.pairs[number] for number in met], dtype=object).reshape(-1, 2)
    return pd.DataFrame(
        {
            "device": np.repeat(names[:, 0], len(bank.features)),
            "sensor": np.repeat(names[:, 1], len(bank.features)),
            "feature": np.tile(np.array(bank.features, dtype=object), len(met)),
            "windows": np.repeat(new, len(bank.features)),
            "stability_index": index.ravel(),
            "chance_limit": chance.ravel(),
            "moved": (index > np.maximum(MOVED, chance)).ravel(),
        }
    )


def _counts(edges: Array, model: Numbers, values: Array) -> Array:
    """New windows of each model in each bin, shape (n, 11); a value on an edge is below it."""
    counts = np.zeros(len(edges) * _BINS)
    for first in range(0, len(values), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        own, value = edges[model[rows]], values[rows]
        place = (own[:, 1:-1] < value[:, None]).sum(axis=1)
        below = (value < own[:, 0]) & (own[:, 0] == own[:, 1])
        place[below] = _BINS - 1
        counts += np.bincount(model[rows] * _BINS + place, minlength=len(counts))
    return counts.reshape(-1, _BINS)


def _expected(edges: Array) -> Array:
    """Share of the training windows in each bin, shape (n, 11)."""
    upper = edges[:, 1:]  # of the ten bins; the last one's is the largest value
    first = (upper[:, :, None] > upper[:, None, :]).sum(axis=2)  # the first bin with that edge
    shares = np.zeros((len(edges), _BINS))
    np.add.at(shares, (np.arange(len(edges))[:, None], first), 1 / upper.shape[1])
    return shares


def _index(observed: Array, expected: Array, windows: Numbers, trained: Numbers) -> Array:
    used = (observed > 0) | (expected > 0)
    p = np.maximum(observed, 0.5 / windows[:, None])
    q = np.maximum(expected, 0.5 / trained[:, None])
    return np.where(used, (p - q) * np.log(p / q), 0).sum(axis=1)
