"""Reported metrics are correct."""

import numpy as np
import pytest

from quartet.digits import evaluation


def make_probabilities(predicted, confidence=0.9):
    probabilities = np.full((len(predicted), 10), (1 - confidence) / 9, dtype=np.float32)
    probabilities[np.arange(len(predicted)), predicted] = confidence
    return probabilities


LABELS = np.array([0, 0, 1, 1, 1, 2], dtype=np.uint8)
PREDICTED = [0, 1, 1, 1, 2, 2]


def test_accuracy_has_the_wilson_interval():
    # Wilson 1927, by hand for 4 of 6 at z = 1.96: (0.6667 + z²/12 ± z·sqrt(...)) / (1 + z²/6)
    value, low, high = evaluation.accuracy(make_probabilities(PREDICTED), LABELS)
    assert value == pytest.approx(4 / 6)
    assert (low, high) == (pytest.approx(0.3000, abs=1e-4), pytest.approx(0.9032, abs=1e-4))


def test_confusion_matrix_has_actual_digits_as_rows():
    matrix = evaluation.confusion_matrix(make_probabilities(PREDICTED), LABELS)
    assert matrix.shape == (10, 10)
    assert matrix[0, 1] == 1
    assert matrix[1, 0] == 0
    assert matrix[1, 1] == 2
    assert matrix.sum() == len(LABELS)


def test_error_rates_are_fractions_of_the_actual_digit_without_the_diagonal():
    rates = evaluation.error_rates(
        evaluation.confusion_matrix(make_probabilities(PREDICTED), LABELS)
    )
    assert rates[0, 1] == pytest.approx(1 / 2)
    assert rates[1, 2] == pytest.approx(1 / 3)
    assert np.diag(rates).sum() == 0
    assert np.isfinite(rates).all()  # digits that do not occur


def test_precision_and_recall_per_digit_are_nan_where_undefined():
    table = evaluation.per_digit_report(make_probabilities(PREDICTED), LABELS).set_index("digit")
    assert table.loc[1, "precision"] == pytest.approx(2 / 3)
    assert table.loc[0, "recall"] == pytest.approx(1 / 2)
    assert table["images"].tolist() == [2, 3, 1, 0, 0, 0, 0, 0, 0, 0]
    assert np.isnan(table.loc[9, "precision"])
    assert np.isnan(table.loc[9, "recall"])


def test_worst_mistakes_are_the_most_confident_ones():
    rows = make_probabilities([0, 1, 1, 1, 2, 2])
    rows[4] = make_probabilities([2], confidence=0.99)[0]
    assert evaluation.find_worst_mistakes(rows, LABELS, 10).tolist() == [4, 1]
    assert evaluation.find_worst_mistakes(rows, LABELS, 1).tolist() == [4]


def test_worst_mistakes_are_sorted_by_confidence():
    """Not by the probability of the actual digit."""
    rows = np.zeros((2, 10), dtype=np.float32)
    rows[0, [3, 4]] = 0.6, 0.4
    rows[1, [3, 4, 0]] = 0.55, 0.4, 0.05
    assert evaluation.find_worst_mistakes(rows, np.array([4, 0], dtype=np.uint8), 10).tolist() == [
        0,
        1,
    ]


def test_log_loss_of_certain_mistakes_is_finite():
    certain = make_probabilities([1], confidence=1.0)
    assert evaluation.log_loss(certain, np.array([1])) == pytest.approx(0)
    assert 80 < evaluation.log_loss(certain, np.array([0])) < 100
