"""The model of one sensor, as training returns it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[str, str]
"""Device and sensor."""

QUANTILES = np.linspace(0.0, 1.0, 11)
"""Levels of the quantiles of the training features that a model keeps to measure drift."""
ONE_CLASS_SVM, ROBUST_Z_SCORE = "one_class_svm", "robust_z_score"
"""Methods of a model."""
VERSION_BYTES = 6
"""Size of a version's hash; written as twice as many hexadecimal digits."""
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
"""Attributes that scores and labels depend on."""


@dataclass(frozen=True)
class SensorModel:
    """One sensor's one-class support vector machine, or robust z-score, with scale and threshold.

    The attributes are those of `SensorModels`, for one sensor.
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
    method: str = ONE_CLASS_SVM

    def version(self, *details: object) -> str:
        """Return 12 hexadecimal digits that change if any score may change.

        Args:
            details: Everything else that scores depend on: sensor, features, window length.
        """
        digest = blake2b(json.dumps(details).encode(), digest_size=VERSION_BYTES)
        for name in _HASHED:
            digest.update(np.ascontiguousarray(getattr(self, name), dtype=np.float64).tobytes())
        return digest.hexdigest()
