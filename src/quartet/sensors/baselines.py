"""What one-class machines must surpass: a robust z-score and isolation forests, one a sensor.

Both are trained on the windows that the machines are trained on, and their thresholds are set as
those of the machines are: the series is cut into blocks of time, each is scored by a detector
that has not seen it, and the threshold is the quantile at 1 - nu of all these scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from quartet.sensors.features import window_features
from quartet.sensors.settings import Baselines

Array = NDArray[np.float64]
Pair = tuple[str, str]
Score = Callable[[Array], Array]
"""From features, shape (w, d), to how strange each window is, shape (w,); more is stranger."""
Fit = Callable[[Array], Score]
"""From the features of training windows, in the order of time, to their score."""

_CONSISTENT = 1.4826
"""Makes the median distance of normal values from their median their standard deviation."""
_CONSISTENT_MEAN = 1.2533
"""The same for the mean distance."""
METHODS = ("robust_z_score", "isolation_forest")


def robust_z_score(training: Array) -> Score:
    """Distance of the first feature, the window's mean, from the median in deviations.

    The deviation is estimated from the median distance; from the mean one where more than half
    of the windows have the same mean, after Iglewicz and Hoaglin, "How to detect and handle
    outliers" (1993). Where all have, it is 1.
    """
    median = np.median(training[:, 0])
    distance = np.abs(training[:, 0] - median)
    usual = _CONSISTENT * np.median(distance) or _CONSISTENT_MEAN * distance.mean() or 1.0
    return lambda features: np.abs(features[:, 0] - median) / usual


def isolation_forest(settings: Baselines) -> Fit:
    """scikit-learn's IsolationForest (Liu, Ting and Zhou, "Isolation forest", 2008)."""

    def fit(training: Array) -> Score:
        forest = IsolationForest(n_estimators=settings.trees, random_state=settings.seed)
        forest.fit(training)
        return lambda features: -forest.score_samples(features)

    return fit


def threshold(fit: Fit, training: Array, settings: Baselines) -> float:
    """The strangeness that a share of nu of windows not seen in training surpasses.

    Args:
        fit: The detector.
        training: Shape (w, d), in the order of time.
        settings: nu, and the number of blocks that are left out in turn.
    """
    bounds = np.linspace(0, len(training), settings.blocks + 1).round().astype(int)
    scores = np.empty(len(training))
    for first, after in pairwise(bounds.tolist()):
        rest = np.concatenate([training[:first], training[after:]])
        scores[first:after] = fit(rest)(training[first:after])
    return float(np.quantile(scores, 1 - settings.nu, method="higher"))


def alarms(
    method: str,
    training: pd.DataFrame,
    windows: pd.DataFrame,
    settings: Baselines,
    sensors: Iterable[Pair] | None = None,
) -> NDArray[np.bool_]:
    """Which windows a baseline raises an alarm for.

    Args:
        method: One of `METHODS`.
        training: Normal windows, in any order; the columns of `quartet.sensors.windows`.
        windows: Those to judge, w rows.
        settings: Features, nu and what else there is to choose.
        sensors: Only these (device, sensor) are judged; all others raise no alarm. All that have
            training windows, if not given.

    Returns:
        Shape (w,).

    Raises:
        ValueError: There is no such method, or a window lacks what features are made of.
    """
    fits: Mapping[str, Fit] = {
        "robust_z_score": robust_z_score,
        "isolation_forest": isolation_forest(settings),
    }
    if method not in fits:
        raise ValueError(f"no baseline is called {method!r}: known are {', '.join(METHODS)}")
    known = _series(training, ("mean", *settings.features))
    judged = _series(windows, ("mean", *settings.features))
    wanted = set(known if sensors is None else sensors)
    marked = np.zeros(len(windows), dtype=bool)
    for pair in sorted(wanted & set(known) & set(judged)):
        (_, seen), (rows, new) = known[pair], judged[pair]
        # The mean comes first for the z-score; the forest has the features that were asked for.
        first = 0 if method == "robust_z_score" else 1
        seen, new = seen[:, first:], new[:, first:]
        fit = fits[method]
        marked[rows] = fit(seen)(new) > threshold(fit, seen, settings)
    return marked


def _series(
    windows: pd.DataFrame, names: Sequence[str]
) -> dict[Pair, tuple[NDArray[np.int64], Array]]:
    """Rows and features of each sensor's windows in the order of time."""
    features = window_features(windows, names)
    ordered = windows.reset_index(drop=True).sort_values("window_end", kind="stable")
    order = ordered.index.to_numpy()
    found = {}
    groups: Any = ordered.groupby(["device", "sensor"], sort=False).indices
    for (device, sensor), places in groups.items():
        rows = order[places]
        found[str(device), str(sensor)] = rows, features[rows]
    return found
