"""The model of one sensor, as training returns it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[str, str]
"""Device and sensor."""

QUANTILES = np.linspace(0.0, 1.0, 11)
"""Levels at which a model keeps the quantiles of its training features, to measure drift."""
P_VALUES = np.array([1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
"""P-values at which a model keeps scores: the share of normal windows that score lower."""
ONE_CLASS_SVM, ROBUST_Z_SCORE = "one_class_svm", "robust_z_score"
"""Methods of a model."""
VERSION_BYTES = 6
"""Bytes of a version's hash, which is written as twice as many hexadecimal digits."""
_HASHED = (
    "vectors",
    "coefficients",
    "lowest",
    "center",
    "scale",
    "intercept",
    "gamma",
    "threshold",
    "nu",
)
"""Attributes that scores and alarms depend on, besides `profile`."""


@dataclass(frozen=True)
class SensorModel:
    """One-class SVM, or robust z-score, of one sensor, with the scale of its features.

    `quartet.sensors.model_set.SensorModels` documents the attributes, here without the dimension
    of the sensors. `held_out` contains the p-values of the training windows, by models that were
    not fitted to them; shape (w,).
    """

    lowest: Array
    center: Array
    scale: Array
    vectors: Array
    coefficients: Array
    intercept: float
    gamma: float
    threshold: float
    nu: float
    windows: int
    false_alarm_rate: float
    trained_until: int
    quantiles: Array
    calibration: Array = field(default_factory=lambda: np.zeros(len(P_VALUES)))
    relative: bool = False
    device_threshold: float = np.nan
    device_event_rate: float = np.nan
    method: str = ONE_CLASS_SVM
    held_out: Array = field(default_factory=lambda: np.empty(0))
    profile: Array = field(default_factory=lambda: np.empty(0))

    def version(self, *details: object) -> str:
        """Return 12 hexadecimal digits, which change with anything that scores or alarms depend on.

        Args:
            details: What else they depend on, as JSON types: sensor, features, window length.
        """
        digest = blake2b(json.dumps(details).encode(), digest_size=VERSION_BYTES)
        for name in _HASHED:
            digest.update(np.ascontiguousarray(getattr(self, name), dtype=np.float64).tobytes())
        digest.update(self.profile.tobytes())
        return digest.hexdigest()


def compute_p_values(calibration: Array, scores: Array) -> Array:
    """Return the p-value of each score: the probability that a normal window scores lower.

    Between the scores of `P_VALUES`, logarithms of p-values are interpolated linearly. Below the
    lowest, the p-value is the smallest; from the highest, it is 1.

    Args:
        calibration: Scores of normal windows at `P_VALUES`, ascending; one row per score, or one
            row for all scores: shape (w, p) or (1, p).
        scores: Shape (w,).

    Returns:
        P-values, shape (w,).
    """
    if not len(scores):
        return np.empty(0)
    # Of equal calibration scores, that of the largest probability counts.
    bounded = np.maximum(scores, calibration[:, 0])
    lower = (calibration <= bounded[:, None]).sum(axis=1) - 1
    upper = np.minimum(lower + 1, len(P_VALUES) - 1)
    rows = np.arange(len(scores)) if len(calibration) > 1 else 0
    low, high = calibration[rows, lower], calibration[rows, upper]
    fraction = np.divide(bounded - low, high - low, out=np.zeros(len(scores)), where=high > low)
    logarithms = np.log(P_VALUES)
    values = np.exp(logarithms[lower] + fraction * (logarithms[upper] - logarithms[lower]))
    return np.where(lower == upper, 1.0, values)
