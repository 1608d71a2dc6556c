"""Baselines for the one-class support vector machines, and for the alarms of devices.

Robust z-score and isolation forest are trained per sensor, on the same windows as the machines; the
residual of a principal component analysis sees all sensors of a device. Their thresholds are also
calibrated by cross-validation: the series is divided into blocks of time, each block is scored by
a detector fitted to the other blocks, and the threshold is the quantile at 1 - nu of all scores.
Like the machines, a baseline raises no alarm if there are too few normal windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from quartet.sensors.evaluation import EventScores, event_scores
from quartet.sensors.features import window_features
from quartet.sensors.models import Pair
from quartet.sensors.robust import DEVIATION_FACTOR, MIN_WINDOWS
from quartet.sensors.settings import Baselines
from quartet.sensors.windows import group_rows

Array = NDArray[np.float64]
Score = Callable[[Array], Array]
"""Maps features, shape (w, d), to anomaly scores, shape (w,); higher is more anomalous."""
Fit = Callable[[Array], Score]
"""Maps the features of training windows, in the order of time, to a fitted score."""

_MEAN_DEVIATION_FACTOR = 1.2533
"""Ratio of the standard deviation to the mean absolute deviation of normal values."""
_EXPLAINED = 0.95
"""Share of the variance that the components of normal correlations explain."""
METHODS = ("robust_z_score", "isolation_forest")
JOINT_METHOD = "joint_residual"
BASELINES = (*METHODS, JOINT_METHOD)
SCORE_COLUMNS = ("method", "level", *EventScores._fields)
"""Columns of the scores of methods; `level` is `sensors` or `devices`."""


def fit_robust_z_score(training: Array) -> Score:
    """Fit the robust z-score of the first feature, the mean of the window.

    The standard deviation is estimated from the median absolute deviation, or from the mean
    absolute deviation if more than half of the windows have the same mean (Iglewicz and Hoaglin,
    "How to detect and handle outliers", 1993). If all have the same mean, it is 1.
    """
    median = np.median(training[:, 0])
    deviation = np.abs(training[:, 0] - median)
    scale = (
        DEVIATION_FACTOR * np.median(deviation) or _MEAN_DEVIATION_FACTOR * deviation.mean() or 1.0
    )
    return lambda features: np.abs(features[:, 0] - median) / scale


def make_isolation_forest(settings: Baselines) -> Fit:
    """Return a fit of scikit-learn's IsolationForest (Liu, Ting and Zhou, 2008)."""

    def fit(training: Array) -> Score:
        forest = IsolationForest(n_estimators=settings.trees, random_state=settings.seed)
        forest.fit(training)
        return lambda features: -forest.score_samples(features)

    return fit


def fit_threshold(fit: Fit, training: Array, settings: Baselines) -> float:
    """Return the score that a share of nu of held-out windows exceeds.

    Args:
        fit: The detector.
        training: Shape (w, d), in the order of time.
        settings: nu, and the number of blocks that are held out in turn, at most one per window.
    """
    blocks = min(settings.blocks, len(training))
    bounds = np.linspace(0, len(training), blocks + 1).round().astype(int)
    scores = np.empty(len(training))
    for first, last in pairwise(bounds.tolist()):
        others = np.concatenate([training[:first], training[last:]])
        scores[first:last] = fit(others)(training[first:last])
    return float(np.quantile(scores, 1 - settings.nu, method="higher"))


def detect_alarms(
    method: str,
    training: pd.DataFrame,
    windows: pd.DataFrame,
    settings: Baselines,
    sensors: Iterable[Pair] | None = None,
) -> NDArray[np.bool_]:
    """Return for which windows a baseline raises an alarm.

    Args:
        method: One of `METHODS`.
        training: Normal windows, in any order; the columns of `quartet.sensors.windows`.
        windows: The windows to score, w rows.
        settings: Features, nu and further parameters.
        sensors: Sensors to score, as (device, sensor); all others raise no alarm. By default all
            with training windows.

    Returns:
        Shape (w,).

    Raises:
        ValueError: A column of the windows is missing.
    """
    fits: Mapping[str, Fit] = {
        "robust_z_score": fit_robust_z_score,
        "isolation_forest": make_isolation_forest(settings),
    }
    trained = _group_by_sensor(training, ("mean", *settings.features))
    scored = _group_by_sensor(windows, ("mean", *settings.features))
    chosen = set(trained if sensors is None else sensors)
    alarms = np.zeros(len(windows), dtype=bool)
    for pair in sorted(chosen & set(trained) & set(scored)):
        (_, old), (rows, new) = trained[pair], scored[pair]
        if len(old) < MIN_WINDOWS:
            continue
        # The z-score needs the mean, which is first; the forest only the configured features.
        first = 0 if method == "robust_z_score" else 1
        old, new = old[:, first:], new[:, first:]
        fit = fits[method]
        alarms[rows] = fit(old)(new) > fit_threshold(fit, old, settings)
    return alarms


def fit_residual(training: Array) -> Score:
    """Fit the squared residual of a principal component analysis of standardised columns.

    Components that explain 95 % of the variance, but not all components, are the normal
    correlations of a device's sensors; what they leave is the statistic Q of Jackson and Mudholkar,
    "Control procedures for residuals associated with principal component analysis", Technometrics
    21, 1979.
    """
    center, scale = training.mean(axis=0), training.std(axis=0)
    scale[scale == 0] = 1.0
    _, values, axes = np.linalg.svd((training - center) / scale, full_matrices=False)
    explained = np.cumsum(values**2)
    kept = int(np.searchsorted(explained, _EXPLAINED * explained[-1])) + 1
    axes = axes[: min(kept, training.shape[1] - 1)]  # of all, the residual is a rounding error

    def score(features: Array) -> Array:
        inputs = (features - center) / scale
        return np.asarray(((inputs - inputs @ axes.T @ axes) ** 2).sum(axis=1))

    return score


def detect_device_alarms(
    training: pd.DataFrame, windows: pd.DataFrame, settings: Baselines
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Return for which windows of devices the joint residual of their sensors raises an alarm.

    Args:
        training: Normal windows, in any order; the columns of `quartet.sensors.windows`.
        windows: The windows to score.
        settings: nu and the blocks of the threshold.

    Returns:
        Windows of devices, their `sensor` empty, ascending, with their `score`, NaN if too few
        windows train it; and whether each has an alarm. The mean of a sensor without a reading in
        a window is its mean in training.
    """
    tables, alarms = [], []
    for device, new in windows.groupby(windows["device"].astype(str)):
        old = training[training["device"].astype(str) == device]
        trained, scored = (
            table.pivot_table("mean", "window_end", "sensor", observed=True) for table in (old, new)
        )
        scored = scored.reindex(columns=trained.columns)
        inputs, others = (
            table.fillna(trained.mean()).to_numpy(np.float64) for table in (trained, scored)
        )
        scores, threshold = np.full(len(others), np.nan), np.nan
        if len(inputs) >= MIN_WINDOWS:
            threshold = fit_threshold(fit_residual, inputs, settings)
            scores = fit_residual(inputs)(others)
        alarms.append(scores > threshold)
        ends = scored.index.to_numpy()
        tables.append(
            pd.DataFrame({"device": device, "sensor": "", "window_end": ends, "score": scores})
        )
    return pd.concat(tables, ignore_index=True), np.concatenate(alarms)


def sample_sensors(windows: pd.DataFrame, labels: pd.DataFrame, most: int) -> list[Pair]:
    """Return sensors to compare: those of devices with labels first, then by name.

    Args:
        windows: Columns `device` and `sensor`.
        labels: Columns `labels.LABEL_COLUMNS`.
        most: Maximum number of sensors.
    """
    pairs = windows[["device", "sensor"]].astype(str).drop_duplicates()
    labelled = set(labels["device"].astype(str))
    ordered = sorted(
        pairs.itertuples(index=False, name=None), key=lambda pair: (pair[0] not in labelled, pair)
    )
    return ordered[:most]


def compare(
    training: pd.DataFrame,
    windows: pd.DataFrame,
    labels: pd.DataFrame,
    window_seconds: int,
    settings: Baselines,
) -> pd.DataFrame:
    """Evaluate the events of all baselines on the same windows.

    Args:
        training: Normal windows; the columns of `quartet.sensors.windows`.
        windows: The windows to score, also of sensors without training windows.
        labels: Columns `labels.LABEL_COLUMNS`.
        window_seconds: Length of the windows.
        settings: Features, nu and further parameters.

    Returns:
        One row per baseline: the columns `SCORE_COLUMNS`. Labels of the same time and device are
        one event of the device.
    """
    scores = {
        (method, "sensors"): event_scores(
            windows,
            detect_alarms(method, training, windows, settings),
            labels,
            window_seconds,
        )
        for method in METHODS
    }
    table, alarms = detect_device_alarms(training, windows, settings)
    scores[JOINT_METHOD, "devices"] = event_scores(
        table, alarms, join_labels(labels), window_seconds
    )
    return make_score_table(scores)


def make_score_table(scores: Mapping[tuple[str, str], EventScores]) -> pd.DataFrame:
    """Return one row per method and level: `sensors` or `devices`."""
    rows = [(*key, *found) for key, found in scores.items()]
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def join_labels(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the labels of devices: those of the same time and device are one."""
    return labels.drop_duplicates(["device", "start", "end"]).assign(sensor="")


def _group_by_sensor(
    windows: pd.DataFrame, names: Sequence[str]
) -> dict[Pair, tuple[NDArray[np.int64], Array]]:
    """Return rows and features of each sensor's windows in the order of time."""
    features = window_features(windows, names)
    return {pair: (rows, features[rows]) for pair, rows in group_rows(windows).items()}
