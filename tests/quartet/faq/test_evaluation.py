"""Metrics must not be optimistic: ties count against the ranking, misses as last."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.faq import evaluation
from quartet.faq.evaluation import Ranking

RIGHT = np.array([[True, False, False], [False, False, True], [False, False, False]])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[0.0] * 3] * 3, [3, 3, 10]),
        ([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [1.0, 2.0, 3.0]], [1, 2, 10]),
    ],
    ids=["ties", "distinct"],
)
def test_ranks_are_counted_from_the_best_and_ties_rank_last(scores, expected):
    assert evaluation.ranks_of_right(np.array(scores), RIGHT, 10).tolist() == expected


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_gain_rises_with_k_and_bounds_the_reciprocal_rank(ranks):
    found = np.array(ranks)
    gains = [evaluation.gain_at(found, k) for k in range(1, 10)]
    assert gains == sorted(gains)
    assert gains[-1] == 1
    assert gains[0] <= evaluation.mean_reciprocal_rank(found) <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("gain_at_1", 1 / 3), ("gain_at_3", 2 / 3), ("mean_reciprocal_rank", (1 + 1 / 2 + 1 / 4) / 3)],
)
def test_a_metric_is_computed_by_name(name, value):
    assert evaluation.compute_metric(np.array([1, 2, 4]), name) == pytest.approx(value)


def test_the_interval_covers_the_mean_and_narrows_with_questions():
    generator = np.random.default_rng(0)
    few = evaluation.bootstrap_mean(np.tile([0.0, 1.0, 1.0], 10), 1000, generator)
    many = evaluation.bootstrap_mean(np.tile([0.0, 1.0, 1.0], 1000), 1000, generator)
    for mean, low, high in (few, many):
        assert mean == pytest.approx(2 / 3)
        assert low < 2 / 3 < high
    # The normal approximation of the binomial's interval.
    width = 2 * 1.96 * np.sqrt(2 / 9 / 3000)
    assert many[2] - many[1] == pytest.approx(width, rel=0.15)
    assert few[2] - few[1] > 5 * width


def test_resampling_in_blocks_equals_resampling_at_once():
    values = np.random.default_rng(1).random(50)
    at_once = evaluation.bootstrap_mean(values, 300, np.random.default_rng(0))
    in_blocks = evaluation.bootstrap_mean(values, 300, np.random.default_rng(0), max_values=70)
    assert in_blocks == pytest.approx(at_once)


def test_the_gains_table_has_every_method_and_k():
    ranks = {"ours": np.array([1, 1, 2]), "theirs": np.array([3, 9, 9])}
    table = evaluation.gains_table(ranks, 3, 200, np.random.default_rng(0))
    assert table["method"].tolist() == ["ours"] * 3 + ["theirs"] * 3
    assert table["gain"].tolist() == pytest.approx([2 / 3, 1, 1, 0, 0, 1 / 3])
    assert (table["low_95"] <= table["gain"]).all()
    assert (table["gain"] <= table["high_95"]).all()


def test_calibration_compares_predicted_with_observed_shares():
    predicted = np.array([0.05, 0.05, 0.95, 0.95, 1.0])
    table = evaluation.calibration_table(predicted, np.array([0, 1, 1, 1, 1], dtype=bool), 10)
    assert table["share"].tolist() == [0.5, 1.0]
    assert table["pairs"].tolist() == [2, 3]
    assert table["probability"].tolist() == pytest.approx([0.05, 2.9 / 3])
    expected = (2 * 0.45 + 3 * (1 - 2.9 / 3)) / 5
    assert evaluation.calibration_error(table) == pytest.approx(expected)


def test_evaluation_reports_the_first_original_and_missing_candidates():
    probabilities = np.array([[0.9, 0.3], [0.2, 0.6]])
    ranking = Ranking(np.array([[2, 0], [1, 2]]), probabilities, np.full(2, np.nan))
    table = evaluation.evaluate_ranking(ranking, np.array([0, 0]), np.array([70, 71, 72]))
    assert table["rank"].tolist() == [2, 3]
    assert table["first"].tolist() == [72, 72]
    assert table["probability"].tolist() == [0.3, 0.0]
    assert table["best_wrong"].tolist() == [0.9, 0.6]
    assert table["original"].tolist() == [70, 70]


def test_the_hardest_originals_come_first_with_what_they_are_mistaken_for():
    tested = pd.DataFrame(
        {
            "original": [1, 1, 2, 3, 3],
            "rank": [1, 1, 4, 3, 1],
            "probability": [0.9, 0.8, 0.1, 0.2, 0.7],
            "first": [1, 1, 9, 8, 3],
        }
    )
    table = evaluation.hardest_originals(tested, 2)
    assert table["original"].tolist() == [2, 3]
    assert table["mean_rank"].tolist() == [4, 2]
    assert table["mistaken_for"].tolist() == [9, 8]
    easy = evaluation.hardest_originals(tested.head(2), 5)
    assert easy["mistaken_for"].isna().all()
