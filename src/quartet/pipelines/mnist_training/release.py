"""Selection of the classifier to register."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from quartet import __version__, digits
from quartet.digits.data import Digits

from .card import make_card

if TYPE_CHECKING:
    from quartet.datasets.registered_model import Champion, ModelRelease

logger = logging.getLogger(__name__)

EXAMPLE_IMAGES = 2
"""Number of images from which the model signature is inferred."""


def choose_release(
    weights: Mapping[str, Mapping[str, Any]],
    train_digits: Digits,
    test_digits: Digits,
    metrics: Mapping[str, float],
    champion: Champion | None,
    parameters: Mapping[str, Any],
) -> ModelRelease:
    """Release the family with the higher test accuracy, approved if it beats the champion.

    The champion predicts the same test digits, so that a version trained on other
    data is compared fairly. A tie keeps the champion.

    Args:
        weights: Arrays of each family.
        train_digits: Training digits, for the checksum.
        test_digits: Test digits, on which both classifiers are compared.
        metrics: Metrics of the pipeline.
        champion: The version registered last, if any.
        parameters: Parameters to record as tags.
    """
    from quartet.datasets.registered_model import ModelRelease

    family = max(weights, key=lambda name: metrics[f"{name}_test_accuracy"])
    accuracy = metrics[f"{family}_test_accuracy"]
    _report_choice(metrics, len(train_digits["labels"]), parameters)
    approved, reason = _compare(family, accuracy, test_digits, champion)
    content = digits.classifier.to_bytes(family, weights[family], test_digits.get("classes"))
    return ModelRelease(
        approved=approved,
        reason=reason,
        loader_module="quartet.digits.serving",
        files={digits.serving.WEIGHTS_FILE: content},
        requirements=digits.serving.REQUIREMENTS,
        input_example=test_digits["images"][:EXAMPLE_IMAGES],
        tags={
            "family": family,
            "test_accuracy": str(accuracy),
            "train_data_sha256": digits.data.compute_checksum(train_digits),
            "test_data_sha256": digits.data.compute_checksum(test_digits),
            "quartet_version": __version__,
            **{f"metric.{name}": f"{value:.6g}" for name, value in metrics.items()},
            **{f"parameter.{name}": str(value) for name, value in parameters.items()},
            **{f"library.{name}": version(name) for name in digits.serving.REQUIREMENTS},
        },
        card=make_card(family, train_digits, test_digits, metrics),
    )


def _report_choice(
    metrics: Mapping[str, float], images: int, parameters: Mapping[str, Any]
) -> None:
    """Log which classifier is chosen and why; a warning if the network is not the better one."""
    logistic, convnet = (metrics[f"{name}_test_accuracy"] for name in ("logistic", "convnet"))
    if convnet > logistic:
        logger.info(
            "Chose the convolutional network: test accuracy %.4f against %.4f of the logistic "
            "regression",
            convnet,
            logistic,
        )
        return
    steps = parameters.get("minimum_steps", 0)
    logger.warning(
        "Chose the logistic regression: test accuracy %.4f against %.4f of the network, which "
        "was trained on %s images for at least %s steps; if they are few, add images, or set "
        "convnet_training.minimum_steps=%s",
        logistic,
        convnet,
        f"{images:,}",
        f"{steps:,}",
        max(2 * steps, 600),
    )


def _compare(
    family: str, accuracy: float, test_digits: Digits, champion: Champion | None
) -> tuple[bool, str]:
    if champion is None:
        return True, f"first version: {family} with test accuracy {accuracy:.4f}"
    predicted = champion.predict(test_digits["images"])["label"].astype(str).to_numpy()
    names = np.array(digits.data.list_classes(test_digits))  # the champion's may be others
    champion_accuracy = float(np.mean(predicted == names[test_digits["labels"]]))
    comparison = f"{family} with test accuracy {accuracy:.4f} against version {champion.version}'s"
    if accuracy > champion_accuracy:
        return True, f"{comparison} {champion_accuracy:.4f} on the same test data"
    reason = f"{comparison} {champion_accuracy:.4f}: not better, version {champion.version} stays"
    return False, reason
