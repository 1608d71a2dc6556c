"""Metrics of digit classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix as count_confusions
from sklearn.metrics import precision_recall_fscore_support

from quartet.digits.data import Labels

Probabilities = NDArray[np.float32]
"""Class probabilities, shape (n, classes), rows summing to 1; ten classes for digits."""


class Accuracy(NamedTuple):
    """Fraction of images classified correctly, with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def accuracy(probabilities: Probabilities, labels: Labels) -> Accuracy:
    """Return the accuracy of the most probable digit, with the Wilson score interval."""
    correct = int((predict_labels(probabilities) == labels).sum())
    interval = binomtest(correct, len(labels)).proportion_ci(0.95, method="wilson")
    return Accuracy(correct / len(labels), float(interval.low), float(interval.high))


def predict_labels(probabilities: Probabilities) -> Labels:
    """Return the most probable digit of each row, shape (n,), uint8."""
    return probabilities.argmax(axis=1).astype(np.uint8)


def confusion_matrix(probabilities: Probabilities, labels: Labels) -> NDArray[np.int64]:
    """Count images by actual digit (row) and predicted digit (column), shape (classes, classes)."""
    matrix: NDArray[np.int64] = count_confusions(
        labels, predict_labels(probabilities), labels=np.arange(probabilities.shape[1])
    )
    return matrix


def error_rates(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the fraction of each actual digit predicted as each other digit, like `confusion`."""
    totals = confusion.sum(axis=1, keepdims=True)
    rates = confusion / np.maximum(totals, 1)
    np.fill_diagonal(rates, 0)
    return rates


def per_digit_report(
    probabilities: Probabilities, labels: Labels, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return precision, recall, F1 and the number of images of each digit.

    `digit` is the name of the class, if `names` are given, or its index. Undefined values, such
    as the precision of a digit that was never predicted, are NaN.
    """
    precision, recall, f1, support = precision_recall_fscore_support(
        labels,
        predict_labels(probabilities),
        labels=np.arange(probabilities.shape[1]),
        zero_division=np.nan,
    )
    return pd.DataFrame(
        {
            "digit": names or np.arange(probabilities.shape[1]),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "images": support,
        }
    )


def find_worst_mistakes(
    probabilities: Probabilities, labels: Labels, count: int
) -> NDArray[np.int64]:
    """Return the indices of the `count` most confident mistakes, most confident first.

    Confidence is the probability of the predicted digit.
    """
    mistakes = np.flatnonzero(predict_labels(probabilities) != labels)
    confidence = probabilities[mistakes].max(axis=1)
    return mistakes[np.argsort(-confidence, kind="stable")][:count]


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Return the mean negative log probability of the actual digit, in nats."""
    likelihood = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(likelihood.clip(min=np.finfo(np.float32).tiny), dtype=np.float64).mean())
