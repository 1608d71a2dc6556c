"""What a model sees of a window: numbers made from its statistics, and their scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

DAY = 86_400
"""Seconds."""
_LARGEST = 1e300
"""In the place of infinity: the standard deviation of readings too large to be squared."""
_LEAST_DEVIATION = 1e-300
"""In the place of 0, of which there is no logarithm."""
_IGNORED = 700.0
"""A lowest value above all logarithms: the feature is the same for all windows."""
_LEAST_LOG_SCALE = 0.05
"""A twentieth more or less of something counted or measured in logarithms is nothing special."""
_QUANTIZED = 0.01
"""Share of the positive standard deviations taken for as good as none."""


def _phase(windows: pd.DataFrame) -> Array:
    seconds = windows["window_end"].to_numpy().astype("datetime64[s]").astype(np.int64)
    return (seconds % DAY).astype(np.float64) * (2 * np.pi / DAY)


def _column(name: str) -> Callable[[pd.DataFrame], Array]:
    return lambda windows: windows[name].to_numpy(np.float64)


_MADE_BY: dict[str, Callable[[pd.DataFrame], Array]] = {
    "mean": _column("mean"),
    "log_standard_deviation": lambda windows: np.log(
        np.maximum(windows["standard_deviation"].to_numpy(np.float64), _LEAST_DEVIATION)
    ),
    "minimum": _column("minimum"),
    "maximum": _column("maximum"),
    "last_value": _column("last_value"),
    "range": lambda windows: (windows["maximum"] - windows["minimum"]).to_numpy(np.float64),
    "log_readings": lambda windows: np.log(windows["readings"].to_numpy(np.float64)),
    "sine_of_day": lambda windows: np.sin(_phase(windows)),
    "cosine_of_day": lambda windows: np.cos(_phase(windows)),
}
FEATURES = tuple(_MADE_BY)
"""Names of all features; those of `settings.FeatureName`."""
_VALUES = ("mean", "minimum", "maximum", "last_value", "range")
_LOGARITHMS = ("log_standard_deviation", "log_readings")
_OF_READINGS = (*_VALUES, "log_standard_deviation")
"""Features that come from what was read, and not from how often or when."""


def window_features(windows: pd.DataFrame, names: Sequence[str]) -> Array:
    """The features of windows.

    Args:
        windows: w rows with the columns of `quartet.sensors.windows`.
        names: d names out of `FEATURES`.

    Returns:
        Shape (w, d), float64, finite, each column contiguous in memory. Of no deviation the
        logarithm is taken as -691; a model raises that to its own lowest.

    Raises:
        ValueError: A column is missing, or what is in it is no number; names the first such
            window.
    """
    features = np.empty((len(names), len(windows)))
    for row, name in enumerate(names):
        try:
            with np.errstate(over="ignore"):
                features[row] = _MADE_BY[name](windows)
        except KeyError as error:
            raise ValueError(
                f"the feature {name} cannot be made: windows lack the column {error}, found "
                f"{', '.join(map(str, windows))}"
            ) from error
    unsound = np.isnan(features).any(axis=0)
    if unsound.any():
        raise ValueError(_unsound(windows, names, features, int(np.argmax(unsound))))
    return np.clip(features, -_LARGEST, _LARGEST, out=features).T


def _unsound(windows: pd.DataFrame, names: Sequence[str], features: Array, row: int) -> str:
    name = names[int(np.argmax(np.isnan(features[:, row])))]
    place = ", ".join(
        f"{key} {windows[key].iloc[row]}"
        for key in ("device", "sensor", "window_end")
        if key in windows
    )
    return (
        f"window {row} ({place}) has no {name}; ingest its readings again, which sets aside "
        "those that are no numbers"
    )


class Scale(NamedTuple):
    """How a sensor's features are made comparable: (max(feature, lowest) - center) / scale.

    Attributes:
        lowest: Shape (d,); -inf where there is none.
        center: Shape (d,), mean of the training windows.
        scale: Shape (d,), their standard deviation, not less than what matters.
    """

    lowest: Array
    center: Array
    scale: Array

    def apply(self, features: Array) -> Array:
        """Scaled features, shape (w, d)."""
        return (np.maximum(features, self.lowest) - self.center) / self.scale


def fit_scale(features: Array, names: Sequence[str]) -> Scale:
    """The scale of a sensor, from its training windows.

    Mean and deviation are those of scikit-learn's StandardScaler, with three exceptions:

    - A sensor that rounds its values has windows without any deviation among its normal ones.
      Their logarithm, minus infinity, is raised to half the least deviation that is usual.
    - Where no window deviates, the deviation tells nothing and is left out.
    - A feature that hardly varied in training would make an alarm of the least change, or,
      at StandardScaler's scale of 1, none of a large one. So a logarithm's scale is at least
      0.05, and a constant value gets the largest scale among the values, as all have one unit.

    Args:
        features: Shape (w, d).
        names: The d features' names.

    Raises:
        ValueError: All that was read is the same in all windows, or too large to be squared.
    """
    lowest = np.full(len(names), -np.inf)
    for column, name in enumerate(names):
        if name == "log_standard_deviation":
            lowest[column] = _lowest_deviation(features[:, column])
    raised = np.maximum(features, lowest)
    with np.errstate(over="ignore", invalid="ignore"):
        center, scale = raised.mean(axis=0), raised.std(axis=0)
        constant = is_constant(center, scale, len(features))
    if not np.isfinite(scale).all():
        raise ValueError("values too large to be squared")
    if constant[np.isin(names, _OF_READINGS)].all() and np.isin(names, _OF_READINGS).any():
        raise ValueError("its values never change")
    values = np.isin(names, _VALUES)
    widest = scale[values & ~constant].max(initial=0.0)
    scale[constant] = 1.0
    if widest > 0:
        scale[constant & values] = widest
    logarithms = np.isin(names, _LOGARITHMS)
    scale[constant & logarithms] = 0.0
    scale[logarithms] = np.maximum(scale[logarithms], _LEAST_LOG_SCALE)
    return Scale(lowest, center, scale)


def is_constant(center: Array, scale: Array, windows: int) -> NDArray[np.bool_]:
    """Which features vary by no more than rounding does, as scikit-learn's StandardScaler has it.

    Args:
        center: Means, shape (d,).
        scale: Standard deviations, shape (d,).
        windows: Number they are of.
    """
    least = np.finfo(np.float64).eps
    return scale**2 <= windows * least * scale**2 + (windows * center * least) ** 2


def _lowest_deviation(logarithms: Array) -> float:
    positive = logarithms[logarithms > np.log(_LEAST_DEVIATION)]
    if not len(positive):
        return _IGNORED
    return float(np.quantile(positive, _QUANTIZED) - np.log(2))
