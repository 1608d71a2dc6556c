"""Drift of the input features of models since training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import chi2

from quartet.sensors.model_set import SensorModels

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

DRIFT_THRESHOLD = 0.25
"""Stability index above which a distribution is conventionally taken to have changed."""
_SIGNIFICANCE = 0.01
"""Probability that the index of an unchanged feature exceeds its chance limit."""
_BINS = 11
"""Ten between the quantiles, and one for values below a minimum that is frequent in training."""
_PARTS = 288
"""Maximum number of parts into which the span is divided to find gaps."""
_GAPS = 12
"""A gap is too long if it exceeds one in so many of the parts. If the two hours of the highest
values are missing from a daily cycle, its index is 0.15; if three are, it is 0.4, as if it had
drifted."""
TOO_FEW = "too few windows"


class Span(NamedTuple):
    """The time over which drift is measured: windows that end in (since, until], UTC, naive."""

    since: pd.Timestamp
    until: pd.Timestamp

    def parts(self, window_seconds: int) -> int:
        """Return into how many equal parts to divide the span, each at least a window long."""
        windows = (self.until - self.since) // pd.Timedelta(seconds=window_seconds)
        return min(_PARTS, max(1, windows))

    def part(self, windows: pd.DataFrame, parts: int) -> Indices:
        """Return the index of the part in which each window ends; shape (w,)."""
        ends = windows["window_end"].to_numpy().astype("datetime64[s]").astype(np.int64)
        first, last = (int(end.timestamp()) for end in self)
        # Counted from the end, because a part includes its end and not its start.
        return parts - 1 - (last - ends) * parts // (last - first)


def measure_drift(
    model_set: SensorModels, blocks: Iterable[pd.DataFrame], span: Span
) -> pd.DataFrame:
    """Return the population stability index of each sensor and feature against training.

    Training features are binned by their deciles. The index is the sum over the bins of
    (p - q) ln(p / q), where p is the share of recent windows in a bin and q that of training
    windows (Siddiqi, "Credit risk scorecards", 2006). Coinciding bins, as of values that are
    mostly the same, are merged. An empty bin counts as half a window. With few windows the index
    is large by chance: without drift it is distributed about as chi-squared times 1/n + 1/m for n
    recent and m training windows (Yurdakul, "Statistical properties of population stability
    index", 2018). Part of a day is distributed differently from a complete one. So the index is
    not computed for a sensor with a gap of more than a twelfth of the span.

    Args:
        model_set: The models.
        blocks: The windows of the span, in any order and divided into blocks in any way, with the
            columns of `quartet.sensors.windows`. Windows without a model are ignored.
        span: The time over which drift is measured.

    Returns:
        One row per feature of each sensor with windows: `device`, `sensor`, `feature`, `windows`,
        `stability_index`, `chance_limit` (exceeded with probability 0.01 without drift),
        `drifted` (the index exceeds both 0.25 and that limit) and `reason` (empty, or why the
        index and the limit are NaN).
    """
    counts, covered = _tally(model_set, blocks, span)
    models = np.flatnonzero(counts[:, 0].sum(axis=1))
    recent, trained = counts[models, 0].sum(axis=1), model_set.windows[models]
    index, bins = np.empty((2, len(models), len(model_set.features)))
    for column in range(len(model_set.features)):
        expected = _expected_shares(model_set.quantiles[models, column])
        observed = counts[models, column] / recent[:, None]
        index[:, column] = _stability_index(observed, expected, recent, trained)
        bins[:, column] = (expected > 0).sum(axis=1)
    limit = chi2.isf(_SIGNIFICANCE, np.maximum(bins - 1, 1)) * (1 / recent + 1 / trained)[:, None]
    gaps = _has_gap(covered[models])
    index[gaps] = limit[gaps] = np.nan
    names = np.array([model_set.pairs[model] for model in models], dtype=object).reshape(-1, 2)
    return pd.DataFrame(
        {
            "device": np.repeat(names[:, 0], len(model_set.features)),
            "sensor": np.repeat(names[:, 1], len(model_set.features)),
            "feature": np.tile(np.array(model_set.features, dtype=object), len(models)),
            "windows": np.repeat(recent, len(model_set.features)),
            "stability_index": index.ravel(),
            "chance_limit": limit.ravel(),
            "drifted": (index > np.maximum(DRIFT_THRESHOLD, limit)).ravel(),
            "reason": np.repeat(np.where(gaps, TOO_FEW, ""), len(model_set.features)),
        }
    )


def _tally(
    model_set: SensorModels, blocks: Iterable[pd.DataFrame], span: Span
) -> tuple[Indices, NDArray[np.bool_]]:
    """Count windows by model, feature and bin, and mark the parts of the span with windows.

    Returns:
        Counts, shape (n, d, 11), and whether a part has windows, shape (n, parts).
    """
    parts = span.parts(model_set.window_seconds)
    counts = np.zeros((len(model_set), len(model_set.features), _BINS), dtype=np.int64)
    covered = np.zeros((len(model_set), parts), dtype=bool)
    for block in blocks:
        model = model_set.locate(block)
        has_model = model >= 0
        windows, model = block[has_model], model[has_model]
        features = model_set.compute_features(windows, model)
        features = np.maximum(features, model_set.lowest[model])
        for column in range(len(model_set.features)):
            edges = model_set.quantiles[:, column]
            counts[:, column] += _count_by_bin(edges, model, features[:, column])
        covered[model, span.part(windows, parts)] = True
    return counts, covered


def _has_gap(covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether too many consecutive parts have no window; shape (n,)."""
    length = covered.shape[1] // _GAPS + 1
    stretches = sliding_window_view(covered, length, axis=1)
    return np.any(~np.any(stretches, axis=2), axis=1)


def _count_by_bin(edges: Array, model: Indices, values: Array) -> Indices:
    """Count the windows of each model in each bin, shape (n, 11); a value on an edge is below."""
    edges_of_window = edges[model]
    bins = (edges_of_window[:, 1:-1] < values[:, None]).sum(axis=1)
    minimum, first_decile = edges_of_window[:, 0], edges_of_window[:, 1]
    bins[(values < minimum) & (minimum == first_decile)] = _BINS - 1
    return np.bincount(model * _BINS + bins, minlength=edges.shape[0] * _BINS).reshape(-1, _BINS)


def _expected_shares(edges: Array) -> Array:
    """Return the share of the training windows in each bin, shape (n, 11)."""
    upper = edges[:, 1:]  # of the ten bins; the last edge is the maximum
    first = (upper[:, :, None] > upper[:, None, :]).sum(axis=2)  # the first bin with that edge
    shares = np.zeros((len(edges), _BINS))
    np.add.at(shares, (np.arange(len(edges))[:, None], first), 1 / upper.shape[1])
    return shares


def _stability_index(observed: Array, expected: Array, recent: Indices, trained: Indices) -> Array:
    used = (observed > 0) | (expected > 0)
    p = np.maximum(observed, 0.5 / recent[:, None])
    q = np.maximum(expected, 0.5 / trained[:, None])
    return np.where(used, (p - q) * np.log(p / q), 0).sum(axis=1)
