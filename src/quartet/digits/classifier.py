"""A common interface to the two families of classifiers, for evaluation and serving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from quartet.digits import convnet, logistic
from quartet.digits.data import Classes, Images

Family = Literal["logistic", "convnet"]
Weights = Mapping[str, NDArray[Any]]

_PREDICTORS = {"logistic": logistic.predict_proba, "convnet": convnet.predict_proba}
_FAMILY_ARRAY, _CLASSES_ARRAY = "family", "classes"


def predict_proba(family: Family, weights: Weights, images: Images) -> NDArray[np.float32]:
    """Return class probabilities, shape (n, classes), of a family's weights."""
    return _PREDICTORS[family](dict(weights), images)


def to_bytes(family: Family, weights: Weights, classes: Classes | None = None) -> bytes:
    """Serialise weights, family and names of classes, if any, as a safetensors file."""
    name = np.frombuffer(family.encode(), dtype=np.uint8)
    names = {} if classes is None else {_CLASSES_ARRAY: classes}
    return bytes(save({**weights, **names, _FAMILY_ARRAY: name}))


def from_bytes(content: bytes) -> tuple[Family, Weights, Classes | None]:
    """Read family, weights and names of classes, if any, from the output of `to_bytes`."""
    arrays = load(content)
    family: Any = arrays.pop(_FAMILY_ARRAY).tobytes().decode()
    classes = arrays.pop(_CLASSES_ARRAY, None)
    return family, arrays, classes
