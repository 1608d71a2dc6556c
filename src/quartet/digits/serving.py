"""Restores a registered digit classifier: MLflow calls `_load_pyfunc`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quartet.digits import classifier
from quartet.digits.data import CLASSES, SIDE, Images

WEIGHTS_FILE = "weights.safetensors"
REQUIREMENTS = (
    "lazy-loader",
    "mlflow",
    "numpy",
    "pandas",
    "pydantic",
    "safetensors",
    "torch",
    "tqdm",
)
"""What this module needs where it serves, pinned as installed where the model was trained."""


class DigitClassifier:
    """Labels and probabilities for batches of images."""

    def __init__(self, family: classifier.Family, weights: classifier.Weights) -> None:
        self._family = family
        self._weights = weights

    def predict(self, images: Images, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Read a batch of digits.

        Args:
            images: Shape (n, 28, 28), uint8, ink 255 on paper 0.
            params: Unused; part of MLflow's interface.

        Returns:
            One row an image: `label`, and `probability_0` to `probability_9`.

        Raises:
            ValueError: The batch has another shape or type.
        """
        images = np.asarray(images)
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
            raise ValueError(
                f"expected uint8 images of shape (n, {SIDE}, {SIDE}), "
                f"found {images.dtype} of shape {images.shape}"
            )
        shares = classifier.predict_proba(self._family, self._weights, images)
        names = [f"probability_{digit}" for digit in range(CLASSES)]
        table = pd.DataFrame(shares, columns=names)
        table.insert(0, "label", shares.argmax(axis=1))
        return table


def _load_pyfunc(folder: str) -> DigitClassifier:
    """MLflow's entry point: the classifier whose weights lie in `folder`."""
    return DigitClassifier(*classifier.from_bytes((Path(folder) / WEIGHTS_FILE).read_bytes()))
