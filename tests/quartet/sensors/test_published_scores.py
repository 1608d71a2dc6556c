"""The published scores of detection have the values of their definitions."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from sensors.published_scores import (
    FALSE_ALARM_WEIGHT,
    nab_score,
    range_auc_pr,
    scale_nab_scores,
    scaled_sigmoid,
    vus_pr,
)


@pytest.mark.parametrize(
    ("position", "value"), [(-1, 0.98661), (-0.5, 0.84828), (0, 0), (1, -0.98661), (3, -1)]
)
def test_the_sigmoid_has_the_values_of_the_paper(position, value):
    assert scaled_sigmoid(position) == pytest.approx(value, abs=1e-5)


def test_a_perfect_detector_has_nab_score_100_and_one_without_alarms_0():
    events = [(10, 19), (40, 49)]
    assert scale_nab_scores([nab_score([10, 40], events)], 2) == pytest.approx(100)
    assert scale_nab_scores([nab_score([], events)], 2) == 0


def test_early_detections_and_few_false_alarms_have_a_higher_nab_score():
    events = [(10, 19)]
    early, late = nab_score([11, 12, 13], events), nab_score([18], events)
    assert early > late > 0
    assert nab_score([11], events) == early  # further alarms within the anomaly are free
    before, soon, far = (nab_score([11, alarm], events) - early for alarm in (2, 20, 100))
    assert before == far == pytest.approx(-FALSE_ALARM_WEIGHT)
    assert far < soon < 0


def test_vus_pr_without_tolerance_is_the_average_precision_of_one_event():
    generator = np.random.default_rng(1)
    anomalous = np.zeros(60, dtype=bool)
    anomalous[20:30] = True
    scores = generator.normal(size=60) + anomalous
    expected = average_precision_score(anomalous, scores)
    assert range_auc_pr(scores, anomalous, 0) == pytest.approx(expected)


def test_vus_pr_of_a_perfect_ranking_is_higher_than_of_chance_and_tolerates_shifted_labels():
    anomalous = np.zeros(200, dtype=bool)
    anomalous[50:60] = anomalous[150:152] = True
    exact = anomalous.astype(float)
    shifted = np.roll(exact, 3)
    chance = np.random.default_rng(2).normal(size=200)
    assert range_auc_pr(exact, anomalous, 0) == 1
    assert (
        vus_pr(exact, anomalous, 8) > vus_pr(shifted, anomalous, 8) > vus_pr(chance, anomalous, 8)
    )
    assert range_auc_pr(shifted, anomalous, 8) > range_auc_pr(shifted, anomalous, 0)
