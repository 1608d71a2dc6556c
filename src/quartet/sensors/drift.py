"""How far the inputs of models have moved from those of training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import chi2

from quartet.sensors.features import window_features
from quartet.sensors.model_set import SensorModels

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

MOVED = 0.25
"""Index from which a distribution counts as another one, by custom."""
_CHANCE = 0.01
"""Share of features that pass the limit of chance though nothing has moved."""
_BINS = 11
"""Ten between the quantiles, and one for what is less than a least value met often in training."""
_PARTS = 288
"""Into which the time is divided at most, to see how long a sensor was silent."""
_LONGEST_GAP = 12
"""One in so many of the parts. If of a daily cycle the two hours of the highest values are missing,
its index is 0.15; if three are, it is 0.4, as if it had moved."""
TOO_FEW = "too few windows"


class Span(NamedTuple):
    """The time over which drift is measured: windows that end in (since, until].

    Attributes:
        since: UTC without zone.
        until: Likewise.
    """

    since: pd.Timestamp
    until: pd.Timestamp

    def parts(self, window_seconds: int) -> int:
        """Into how many equal parts it is divided, each as long as a window at least."""
        windows = (self.until - self.since) // pd.Timedelta(seconds=window_seconds)
        return min(_PARTS, max(1, windows))

    def part(self, windows: pd.DataFrame, parts: int) -> Numbers:
        """The part in which each window ends; shape (w,)."""
        ends = windows["window_end"].to_numpy().astype("datetime64[s]").astype(np.int64)
        first, last = (int(end.timestamp()) for end in self)
        return parts - 1 - (last - ends) * parts // (last - first)


def drift(model_set: SensorModels, blocks: Iterable[pd.DataFrame], span: Span) -> pd.DataFrame:
    """The population stability index of each sensor and feature: windows of late against training.

    Training inputs are divided at their tenths, and the index is the sum over these ten bins of
    (p - q) ln(p / q), p being the share of late windows in a bin and q that of training windows
    (Siddiqi, "Credit risk scorecards", 2006). Bins that coincide, as with values that are mostly
    the same, are one. An empty bin counts as half a window. With few windows the index is large
    by chance: if nothing has moved, it is about chi-squared times 1/n + 1/m for n late and m
    training windows (Yurdakul, "Statistical properties of population stability index", 2018).
    And a part of a day is another distribution than the whole of it. So of a sensor that was
    silent for more than a twelfth of the span at a stretch nothing is said.

    Args:
        model_set: The models.
        blocks: The windows of the span, in any order and in any pieces, with the columns of
            `quartet.sensors.windows`. Those of sensors without a model are left aside.
        span: The time they are of.

    Returns:
        One row a sensor with windows and a feature: `device`, `sensor`, `feature`, `windows`,
        `stability_index`, `chance_limit` (exceeded by one in a hundred though nothing has moved),
        `moved` (the index exceeds both 0.25 and that limit) and `reason`: empty, or why nothing
        is said; then index and limit are NaN.
    """
    counts, covered = _tally(model_set, blocks, span)
    met = np.flatnonzero(counts[:, 0].sum(axis=1))
    new, trained = counts[met, 0].sum(axis=1), model_set.windows[met]
    index, bins = np.empty((2, len(met), len(model_set.features)))
    for column in range(len(model_set.features)):
        expected = _expected(model_set.quantiles[met, column])
        index[:, column] = _index(counts[met, column] / new[:, None], expected, new, trained)
        bins[:, column] = (expected > 0).sum(axis=1)
    chance = chi2.isf(_CHANCE, np.maximum(bins - 1, 1)) * (1 / new + 1 / trained)[:, None]
    silent = _has_gap(covered[met])
    index[silent] = chance[silent] = np.nan
    names = np.array([model_set.pairs[number] for number in met], dtype=object).reshape(-1, 2)
    return pd.DataFrame(
        {
            "device": np.repeat(names[:, 0], len(model_set.features)),
            "sensor": np.repeat(names[:, 1], len(model_set.features)),
            "feature": np.tile(np.array(model_set.features, dtype=object), len(met)),
            "windows": np.repeat(new, len(model_set.features)),
            "stability_index": index.ravel(),
            "chance_limit": chance.ravel(),
            "moved": (index > np.maximum(MOVED, chance)).ravel(),
            "reason": np.repeat(np.where(silent, TOO_FEW, ""), len(model_set.features)),
        }
    )


def _tally(
    model_set: SensorModels, blocks: Iterable[pd.DataFrame], span: Span
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Windows of each model by feature and bin, shape (n, d, 11), and the parts that have any."""
    parts = span.parts(model_set.window_seconds)
    counts = np.zeros((len(model_set), len(model_set.features), _BINS), dtype=np.int64)
    covered = np.zeros((len(model_set), parts), dtype=bool)
    for windows in blocks:
        model = model_set.locate(windows)
        known = model >= 0
        own, model = windows[known], model[known]
        features = np.maximum(window_features(own, model_set.features), model_set.lowest[model])
        for column in range(len(model_set.features)):
            counts[:, column] += _counts(model_set.quantiles[:, column], model, features[:, column])
        covered[model, span.part(own, parts)] = True
    return counts, covered


def _has_gap(covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether too many parts in a row have no window; shape (n,)."""
    length = covered.shape[1] // _LONGEST_GAP + 1
    stretches = sliding_window_view(covered, length, axis=1)
    return np.any(~np.any(stretches, axis=2), axis=1)


def _counts(edges: Array, model: Numbers, values: Array) -> Numbers:
    """Windows of each model in each bin, shape (n, 11); a value on an edge is below it."""
    own = edges[model]
    place = (own[:, 1:-1] < values[:, None]).sum(axis=1)
    place[(values < own[:, 0]) & (own[:, 0] == own[:, 1])] = _BINS - 1
    return np.bincount(model * _BINS + place, minlength=edges.shape[0] * _BINS).reshape(-1, _BINS)


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
