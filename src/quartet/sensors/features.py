"""Features of windows, computed from their statistics, and the scaling of these features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

DAY = 86_400
"""Seconds."""
_MAX_FEATURE = 1e300
"""Replaces infinity, the standard deviation of readings whose squares overflow."""
_MIN_DEVIATION = 1e-300
"""Replaces 0, whose logarithm is undefined."""
_CLIP_ALL = 700.0
"""Lower bound above all logarithms, which makes the feature constant."""
MIN_LOG_SCALE = 0.05
"""Minimum scale of a logarithm: a variation of 5 % counts as at most one standard deviation."""
_ZERO_SHARE = 0.01
"""Level of the quantile of the positive standard deviations that is the smallest usual one; those
below half of it are raised to that half."""


def _phase(windows: pd.DataFrame) -> Array:
    seconds = windows["window_end"].to_numpy().astype("datetime64[s]").astype(np.int64)
    return (seconds % DAY).astype(np.float64) * (2 * np.pi / DAY)


def _column(name: str) -> Callable[[pd.DataFrame], Array]:
    return lambda windows: windows[name].to_numpy(np.float64)


_COMPUTE: dict[str, Callable[[pd.DataFrame], Array]] = {
    "mean": _column("mean"),
    "log_standard_deviation": lambda windows: np.log(
        np.maximum(windows["standard_deviation"].to_numpy(np.float64), _MIN_DEVIATION)
    ),
    "minimum": _column("minimum"),
    "maximum": _column("maximum"),
    "last_value": _column("last_value"),
    "range": lambda windows: (windows["maximum"] - windows["minimum"]).to_numpy(np.float64),
    "log_readings": lambda windows: np.log(windows["readings"].to_numpy(np.float64)),
    "sine_of_day": lambda windows: np.sin(_phase(windows)),
    "cosine_of_day": lambda windows: np.cos(_phase(windows)),
}
FEATURES = tuple(_COMPUTE)
"""Names of all features; the same as in `settings.FeatureName`."""
_VALUE_FEATURES = ("mean", "minimum", "maximum", "last_value", "range")
LOG_FEATURES = ("log_standard_deviation", "log_readings")
_READING_FEATURES = (*_VALUE_FEATURES, "log_standard_deviation")
"""Features that depend on the values of readings, not on their number or time."""


def window_features(windows: pd.DataFrame, names: Sequence[str]) -> Array:
    """Compute the features of windows.

    Args:
        windows: w rows with the columns of `quartet.sensors.windows`.
        names: d names from `FEATURES`.

    Returns:
        Shape (w, d), float64, finite, each column contiguous in memory. The logarithm of a zero
        standard deviation is -691, which a model clips to its own lower bound.

    Raises:
        ValueError: A column is missing or has NaN; names the first such window.
    """
    features = np.empty((len(names), len(windows)))
    for row, name in enumerate(names):
        try:
            with np.errstate(over="ignore"):
                features[row] = _COMPUTE[name](windows)
        except KeyError as error:
            raise ValueError(
                f"windows: column {error} is missing, which feature {name} needs; found "
                f"{', '.join(map(str, windows))}"
            ) from error
    invalid = np.isnan(features).any(axis=0)
    if invalid.any():
        raise ValueError(_describe_invalid(windows, names, features, int(np.argmax(invalid))))
    return np.clip(features, -_MAX_FEATURE, _MAX_FEATURE, out=features).T


def _describe_invalid(
    windows: pd.DataFrame, names: Sequence[str], features: Array, row: int
) -> str:
    name = names[int(np.argmax(np.isnan(features[:, row])))]
    keys = [key for key in ("device", "sensor", "window_end") if key in windows]
    window = ", ".join(f"{key} {windows[key].iloc[row]}" for key in keys)
    return (
        f"window {row} ({window}) has no {name}; ingest its readings again, which quarantines "
        "invalid ones"
    )


class Scale(NamedTuple):
    """The scaling of a sensor's features: (max(feature, lowest) - center) / scale.

    Attributes:
        lowest: Shape (d,), lower bound; -inf for none.
        center: Shape (d,), mean of the training windows.
        scale: Shape (d,), their standard deviation, raised to a useful minimum.
    """

    lowest: Array
    center: Array
    scale: Array

    def apply(self, features: Array) -> Array:
        """Return scaled features, shape (w, d)."""
        return (np.maximum(features, self.lowest) - self.center) / self.scale


def fit_scale(features: Array, names: Sequence[str]) -> Scale:
    """Fit the scaling of a sensor to its training windows.

    Mean and standard deviation are those of scikit-learn's StandardScaler, with three exceptions:

    - A sensor that rounds its values has normal windows with a standard deviation of 0. Its
      logarithm is clipped to that of half the smallest usual deviation.
    - If the standard deviation is 0 in all windows, the feature is made constant.
    - A feature that hardly varied in training would raise an alarm at the smallest change, or,
      with StandardScaler's scale of 1, none at a large one. So the scale of a logarithm is at
      least 0.05, and a constant value gets the largest scale among the values, which share a unit.

    Args:
        features: Shape (w, d).
        names: Names of the d features.

    Raises:
        ValueError: The values are the same in all windows, or their squares overflow.
    """
    lowest = np.full(len(names), -np.inf)
    for column, name in enumerate(names):
        if name == "log_standard_deviation":
            lowest[column] = _fit_lowest(features[:, column])
    clipped = np.maximum(features, lowest)
    rounding = len(features) * np.finfo(np.float64).eps
    with np.errstate(over="ignore", invalid="ignore"):
        center, scale = clipped.mean(axis=0), clipped.std(axis=0)
        # StandardScaler's bound of features that vary by rounding errors only.
        constant = scale**2 <= rounding * scale**2 + (rounding * center) ** 2
    if not np.isfinite(scale).all():
        raise ValueError("values too large to be squared")
    of_readings = np.isin(names, _READING_FEATURES)
    if of_readings.any() and constant[of_readings].all():
        raise ValueError("its values never change")
    values = np.isin(names, _VALUE_FEATURES)
    widest = scale[values & ~constant].max(initial=0.0)
    scale[constant] = 1.0
    if widest > 0:
        scale[constant & values] = widest
    logarithms = np.isin(names, LOG_FEATURES)
    scale[constant & logarithms] = 0.0
    scale[logarithms] = np.maximum(scale[logarithms], MIN_LOG_SCALE)
    return Scale(lowest, center, scale)


def _fit_lowest(logarithms: Array) -> float:
    positive = logarithms[logarithms > np.log(_MIN_DEVIATION)]
    if not len(positive):
        return _CLIP_ALL
    return float(np.quantile(positive, _ZERO_SHARE) - np.log(2))
