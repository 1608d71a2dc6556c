"""A robust z-score, the model of sensors with too few windows for a support vector machine.

The score of a window is exp(-gamma z²), where z² is the sum of the squares of its features' robust
z-scores: their distances from the median, in median absolute deviations (Iglewicz and Hoaglin,
"How to detect and handle outliers", 1993). This is the kernel of a machine with one support vector,
the median, so one artefact and one scoring serve both.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quartet.sensors.features import LOG_FEATURES, MIN_LOG_SCALE, Scale, fit_scale
from quartet.sensors.machines import BLOCKS, CalibratedMachine, Machine, lower_quantile
from quartet.sensors.models import P_VALUES

Array = NDArray[np.float64]

MIN_WINDOWS = 15
"""Minimum number of windows; some are held out to measure false alarms."""
DEVIATION_FACTOR = 1.4826
"""Ratio of the standard deviation to the median absolute deviation of normal values."""


def fit_robust_scale(features: Array, names: Sequence[str]) -> Scale:
    """Fit median and median absolute deviation; of features that rarely vary, as `fit_scale` does.

    Args:
        features: Shape (w, d).
        names: Names of the d features.

    Raises:
        ValueError: The values are the same in all windows, or their squares overflow.
    """
    scale = fit_scale(features, names)
    clipped = np.maximum(features, scale.lowest)
    center = np.median(clipped, axis=0)
    deviation = DEVIATION_FACTOR * np.median(np.abs(clipped - center), axis=0)
    least = np.where(np.isin(names, LOG_FEATURES), MIN_LOG_SCALE, 0.0)
    deviation = np.where(deviation > 0, np.maximum(deviation, least), scale.scale)
    return Scale(scale.lowest, center, deviation)


def fit_robust(features: Array, names: Sequence[str], nu: float) -> tuple[Scale, CalibratedMachine]:
    """Fit a robust z-score whose threshold is calibrated by cross-validation over blocks of time.

    Args:
        features: Shape (w, d), of normal windows in the order of time.
        names: Names of the d features.
        nu: Target false-alarm rate.

    Raises:
        ValueError: The values are the same in all windows, or their squares overflow.
    """
    scale = fit_robust_scale(features, names)
    squares = np.empty(len(features))
    bounds = np.linspace(0, len(features), BLOCKS + 1).round().astype(int)
    for first, last in pairwise(bounds.tolist()):
        others = np.concatenate([features[:first], features[last:]])
        try:
            other = fit_robust_scale(others, names)
        except ValueError:  # only this block varies
            other = scale
        squares[first:last] = (other.apply(features[first:last]) ** 2).sum(axis=1)
    limit = max(-lower_quantile(-squares, nu), 1.0)
    # The threshold is exp(-1/2), so that scores of windows far beyond it still differ.
    gamma = 0.5 / limit
    machine = Machine(np.zeros((1, len(names))), np.ones(1), 0.0, gamma)
    quantiles = np.array([lower_quantile(-squares, share) for share in P_VALUES])
    held_out, calibration = np.exp(-gamma * squares), np.exp(gamma * quantiles)
    return scale, CalibratedMachine(machine, float(np.exp(-0.5)), held_out, calibration)
