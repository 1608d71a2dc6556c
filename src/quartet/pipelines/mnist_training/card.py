"""Model card of the digit classifier."""

from __future__ import annotations

from collections.abc import Mapping

from quartet import digits
from quartet.datasets.model_card import ModelCard, Result
from quartet.digits.data import Digits

_METHODS = {
    "logistic": "multinomial logistic regression on the pixels",
    "convnet": "a convolutional network",
}


def make_card(
    family: str, train_digits: Digits, test_digits: Digits, metrics: Mapping[str, float]
) -> ModelCard:
    """Return the model card of the released family of classifiers."""
    classes = digits.data.list_classes(train_digits)
    results = {
        f"{name}: {measure.replace('_', ' ')}": Result.from_metrics(metrics, f"{name}_{measure}")
        for name in (family, *(other for other in _METHODS if other != family))
        for measure in ("test_accuracy", "test_log_loss")
        if f"{name}_{measure}" in metrics
    }
    return ModelCard(
        summary=(
            f"Classifies grey images of 28 × 28 pixels into {len(classes)} classes by "
            f"{_METHODS[family]}. It returns a label, and a probability for each class."
        ),
        data={
            "classes": ", ".join(classes),
            "training images": f"{len(train_digits['labels']):,}",
            "test images": f"{len(test_digits['labels']):,}",
            "SHA-256 of the training images": f"`{digits.data.compute_checksum(train_digits)}`",
            "SHA-256 of the test images": f"`{digits.data.compute_checksum(test_digits)}`",
        },
        results=results,
        evaluation=(
            "On test images that were used neither for training nor for the choice of "
            "hyperparameters. Wilson score intervals: they cover the choice of the test images, "
            "not that of the training images. The other classifier is the baseline."
        ),
        intended_use=(
            "Reading single, centred characters of the classes above, written and scanned like "
            "those of the training images."
        ),
        limitations=[
            "Every image is classified as one of the classes, even if it shows something else.",
            "Other writers, pens, scanners or positions were not tested, unless the test images "
            "have them.",
            "Of two classifiers the better one on the test images was released, so its accuracy "
            "is slightly optimistic.",
            "Probabilities are not calibrated: measure them on your own images before you set a "
            "threshold.",
        ],
        licences=[
            "Code and weights: Apache License 2.0, as the project.",
            "Training images: the terms of their owners. The committed sample is from "
            "scikit-learn's copy of the UCI digits, [CC BY "
            "4.0](https://creativecommons.org/licenses/by/4.0/) (Alpaydin and Kaynak 1998).",
        ],
    )
