"""The numbers a reader believes must be the right ones."""

import numpy as np
import pytest

from quartet.digits import evaluation


def shares(predicted, confidence=0.9):
    rows = np.full((len(predicted), 10), (1 - confidence) / 9, dtype=np.float32)
    rows[np.arange(len(predicted)), predicted] = confidence
    return rows


LABELS = np.array([0, 0, 1, 1, 1, 2], dtype=np.uint8)
PREDICTED = [0, 1, 1, 1, 2, 2]


def test_accuracy_comes_with_the_wilson_interval():
    # Wilson 1927, by hand for 4 of 6 at z = 1.96: (0.6667 + z²/12 ± z·sqrt(...)) / (1 + z²/6)
    value, low, high = evaluation.accuracy(shares(PREDICTED), LABELS)
    assert value == pytest.approx(4 / 6)
    assert (low, high) == (pytest.approx(0.3000, abs=1e-4), pytest.approx(0.9032, abs=1e-4))


def test_confusions_have_actual_digits_down_and_predicted_ones_across():
    matrix = evaluation.confusion_matrix(shares(PREDICTED), LABELS)
    assert matrix.shape == (10, 10)
    assert matrix[0, 1] == 1
    assert matrix[1, 0] == 0
    assert matrix[1, 1] == 2
    assert matrix.sum() == len(LABELS)


def test_error_rates_are_shares_of_the_actual_digit_without_the_diagonal():
    rates = evaluation.error_rates(evaluation.confusion_matrix(shares(PREDICTED), LABELS))
    assert rates[0, 1] == pytest.approx(1 / 2)
    assert rates[1, 2] == pytest.approx(1 / 3)
    assert np.diag(rates).sum() == 0
    assert np.isfinite(rates).all()  # digits that do not occur


def test_precision_and_recall_are_per_digit_and_absent_where_undefined():
    table = evaluation.per_digit_report(shares(PREDICTED), LABELS).set_index("digit")
    assert table.loc[1, "precision"] == pytest.approx(2 / 3)
    assert table.loc[0, "recall"] == pytest.approx(1 / 2)
    assert table["images"].tolist() == [2, 3, 1, 0, 0, 0, 0, 0, 0, 0]
    assert np.isnan(table.loc[9, "precision"])
    assert np.isnan(table.loc[9, "recall"])


def test_the_surest_mistakes_come_first_and_right_answers_never():
    rows = shares([0, 1, 1, 1, 2, 2])
    rows[4] = shares([2], confidence=0.99)[0]
    assert evaluation.find_worst_mistakes(rows, LABELS, 10).tolist() == [4, 1]
    assert evaluation.find_worst_mistakes(rows, LABELS, 1).tolist() == [4]


def test_mistakes_are_in_the_order_of_the_confidence_that_the_figure_shows():
    """Also where a mistake of less confidence is further from the right digit."""
    rows = np.zeros((2, 10), dtype=np.float32)
    rows[0, [3, 4]] = 0.6, 0.4
    rows[1, [3, 4, 0]] = 0.55, 0.4, 0.05
    assert evaluation.find_worst_mistakes(rows, np.array([4, 0], dtype=np.uint8), 10).tolist() == [
        0,
        1,
    ]


def test_log_loss_is_finite_even_for_certain_mistakes():
    certain = shares([1], confidence=1.0)
    assert evaluation.log_loss(certain, np.array([1])) == pytest.approx(0)
    assert 80 < evaluation.log_loss(certain, np.array([0])) < 100
