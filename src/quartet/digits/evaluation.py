"""How good a classifier of digits is, and where it errs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix as count_confusions
from sklearn.metrics import precision_recall_fscore_support

from quartet.digits.data import CLASSES, Labels

Probabilities = NDArray[np.float32]
"""Class probabilities, shape (n, 10), rows summing to 1."""


class Accuracy(NamedTuple):
    """Share of images labelled correctly, with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def accuracy(probabilities: Probabilities, labels: Labels) -> Accuracy:
    """Accuracy of the most probable digit, with the Wilson score interval."""
    correct = int((predict_labels(probabilities) == labels).sum())
    interval = binomtest(correct, len(labels)).proportion_ci(0.95, method="wilson")
    return Accuracy(correct / len(labels), float(interval.low), float(interval.high))


def predict_labels(probabilities: Probabilities) -> Labels:
    """The most probable digit of each row, shape (n,), uint8."""
    return probabilities.argmax(axis=1).astype(np.uint8)


def confusion_matrix(probabilities: Probabilities, labels: Labels) -> NDArray[np.int64]:
    """Counts of shape (10, 10): row the actual digit, column the predicted one."""
    matrix: NDArray[np.int64] = count_confusions(
        labels, predict_labels(probabilities), labels=np.arange(CLASSES)
    )
    return matrix


def error_rates(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each actual digit read as each other one: rows normalised, diagonal zero."""
    totals = confusion.sum(axis=1, keepdims=True)
    rates = confusion / np.maximum(totals, 1)
    np.fill_diagonal(rates, 0)
    return rates


def per_digit_report(probabilities: Probabilities, labels: Labels) -> pd.DataFrame:
    """Precision, recall and F1 of each digit, and how many images it has.

    A figure that does not exist, such as the precision of a digit that was
    never predicted, is NaN.
    """
    precision, recall, f1, support = precision_recall_fscore_support(
        labels,
        predict_labels(probabilities),
        labels=np.arange(CLASSES),
        zero_division=np.nan,
    )
    return pd.DataFrame(
        {
            "digit": np.arange(CLASSES),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "images": support,
        }
    )


def find_worst_mistakes(
    probabilities: Probabilities, labels: Labels, count: int
) -> NDArray[np.int64]:
    """Rows of the mistakes made with the most confidence, the most confident first.

    Confidence is the probability of the digit that was read.
    """
    mistakes = np.flatnonzero(predict_labels(probabilities) != labels)
    confidence = probabilities[mistakes].max(axis=1)
    return mistakes[np.argsort(-confidence, kind="stable")][:count]


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Mean negative log probability of the right digit, in nats."""
    likelihood = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(likelihood.clip(min=np.finfo(np.float32).tiny), dtype=np.float64).mean())
