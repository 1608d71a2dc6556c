"""Loader of registered digit classifiers: MLflow calls `_load_pyfunc`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quartet.digits import classifier
from quartet.digits.data import SIDE, Classes, Images, decode_classes

WEIGHTS_FILE = "weights.safetensors"
CHECKSUMS = "SHA256SUMS"
"""File that the registry writes, with the checksums of the model's files."""
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
"""Distributions required to serve a model, pinned to the versions it was trained with."""


class DigitClassifier:
    """A classifier of batches of images, with MLflow's `predict` interface."""

    def __init__(
        self,
        family: classifier.Family,
        weights: classifier.Weights,
        classes: Classes | None = None,
    ) -> None:
        self._family = family
        self._weights = weights
        self._classes = classes

    def predict(self, images: Images, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Classify a batch of images.

        Args:
            images: Shape (n, 28, 28), uint8, from 0 (background) to 255 (ink).
            params: Unused; part of MLflow's interface.

        Returns:
            One row per image: `label`, and `probability_0` to `probability_9`. A model of other
            classes has their names in place of the digits.

        Raises:
            ValueError: The batch has another shape or dtype.
        """
        images = np.asarray(images)
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
            raise ValueError(
                f"images: expected uint8 images of shape (n, {SIDE}, {SIDE}), "
                f"found {images.dtype} of shape {images.shape}; convert the batch"
            )
        probabilities = classifier.predict_proba(self._family, self._weights, images)
        names = decode_classes(self._classes)
        table = pd.DataFrame(probabilities, columns=[f"probability_{name}" for name in names])
        labels = probabilities.argmax(axis=1)
        table.insert(0, "label", labels if self._classes is None else np.array(names)[labels])
        return table


def _load_pyfunc(folder: str) -> DigitClassifier:
    """Return the classifier saved in `folder`; MLflow's entry point."""
    return DigitClassifier(*classifier.from_bytes(_read_checked(Path(folder), WEIGHTS_FILE)))


def _read_checked(folder: Path, name: str) -> bytes:
    """Return the content of a file; check it if the model has checksums.

    Raises:
        ValueError: The checksum differs.
    """
    content = (folder / name).read_bytes()
    sums = folder / CHECKSUMS
    if sums.exists() and f"{hashlib.sha256(content).hexdigest()}  {name}" not in (
        sums.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
    ):
        raise ValueError(f"{folder / name}: is damaged (SHA-256); restore the model's files")
    return content
