"""Scores of alarms follow their definitions, without adjustment."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from quartet.sensors import evaluation
from quartet.sensors.labels import LABEL_COLUMNS, mark_windows
from sensors.joint_alarms import fewest_sensors, join_sensors

WINDOW = 300


def make_windows(count, pairs=(("d", "s"),)):
    """Return `count` windows of five minutes of each sensor."""
    ends = (np.arange(1, count + 1) * WINDOW).astype("datetime64[s]")
    return pd.concat(
        [
            pd.DataFrame({"device": device, "sensor": sensor, "window_end": ends})
            for device, sensor in pairs
        ],
        ignore_index=True,
    )


def make_labels(*spans, sensor="s"):
    """Return events that overlap the windows from the first to the last index."""
    rows = [
        ("d", sensor, pd.Timestamp(WINDOW * first + 60, unit="s"),
         pd.Timestamp(WINDOW * (last + 1), unit="s"), "spike")
        for first, last in spans
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(LABEL_COLUMNS)).astype(
        {"start": "datetime64[s]", "end": "datetime64[s]"}
    )


def parse_marks(text):
    return np.array([mark == "!" for mark in text])


def test_points_are_counted_as_scikit_learn_does():
    generator = np.random.default_rng(0)
    alarms, anomalous = generator.random((2, 200)) < [[0.3], [0.2]]
    expected = precision_recall_fscore_support(anomalous, alarms, average="binary")[:3]
    assert evaluation.point_scores(alarms, anomalous) == pytest.approx(expected)


@pytest.mark.parametrize("alarms", ["....", "!..."])
def test_scores_without_events_are_zero(alarms):
    assert evaluation.point_scores(parse_marks(alarms), parse_marks("....")) == (0, 0, 0)
    scores = evaluation.event_scores(make_windows(4), parse_marks(alarms), make_labels(), WINDOW)
    assert scores[:5] == (0, 0, 0, 0, 0)
    assert scores.false_alarms == alarms.count("!")


@pytest.mark.parametrize(
    ("alarms", "found", "false_alarms"),
    [
        ("..........", 0, 0),
        ("..!.......", 1, 0),  # one window is enough,
        ("..!!.!!...", 1, 0),  # and two rows in one event are no more
        ("..!....!..", 2, 0),
        ("!.........", 0, 1),
        ("!!........", 0, 1),  # a row of alarms is one
        ("!.....!..!", 0, 3),
        (".!!.......", 1, 0),  # a row that touches an event is right
        ("!!!!!!!!!!", 2, 0),
    ],
)
def test_events_and_false_alarms_are_counted_as_an_operator_would(alarms, found, false_alarms):
    labels = make_labels((2, 5), (7, 8))
    scores = evaluation.event_scores(make_windows(10), parse_marks(alarms), labels, WINDOW)
    assert (scores.events, scores.found, scores.false_alarms) == (2, found, false_alarms)


def test_scores_follow_from_the_counts():
    labels = make_labels((2, 5), (7, 8))
    scores = evaluation.event_scores(make_windows(10), parse_marks("!.!......."), labels, WINDOW)
    assert scores.false_alarm_rate == pytest.approx(1 / 4)
    assert scores.recall == pytest.approx(1 / 2)
    assert scores.precision == pytest.approx(1 / 2 * 3 / 4)
    assert scores.f1 == pytest.approx(2 * 0.5 * 0.375 / 0.875)


def test_a_permanent_alarm_has_no_precision():
    labels = make_labels((2, 5), (7, 8))
    scores = evaluation.event_scores(make_windows(10), np.ones(10, dtype=bool), labels, WINDOW)
    assert scores.recall == 1
    assert scores.precision == scores.f1 == 0


def test_points_of_a_found_event_are_not_adjusted():
    windows, labels = make_windows(100), make_labels((10, 89))
    alarms = np.zeros(100, dtype=bool)
    alarms[40] = True
    points = evaluation.point_scores(alarms, mark_windows(windows, labels, WINDOW))
    assert points.recall == pytest.approx(1 / 80)
    assert evaluation.event_scores(windows, alarms, labels, WINDOW).recall == 1


def test_runs_of_alarms_do_not_span_sensors():
    windows = make_windows(3, [("d", "s"), ("d", "t"), ("e", "s")])
    scores = evaluation.event_scores(windows, np.ones(9, dtype=bool), make_labels(), WINDOW)
    assert scores.false_alarms == 3


def test_events_outside_the_time_of_the_windows_are_not_counted():
    scores = evaluation.event_scores(
        make_windows(10), parse_marks("." * 10), make_labels((3, 4), (50, 60)), WINDOW
    )
    assert scores.events == 1


@given(st.permutations(range(12)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_order_of_windows_does_not_matter(order, alarmed):
    windows = make_windows(6, [("d", "s"), ("d", "t")])
    alarms, labels = np.array(alarmed), make_labels((1, 2), (4, 4))
    shuffled = windows.iloc[order].reset_index(drop=True)
    expected = evaluation.event_scores(windows, alarms, labels, WINDOW)
    assert evaluation.event_scores(shuffled, alarms[list(order)], labels, WINDOW) == expected


def test_alarm_rates_are_by_sensor_and_device():
    windows = make_windows(4, [("d", "s"), ("d", "t"), ("e", "s")])
    table = evaluation.alarm_rates(windows, parse_marks("!..." + "!!.." + "...."))
    assert table["device"].tolist() == ["d", "d", "d", "e", "e"]
    assert table["sensor"].tolist() == ["", "s", "t", "", "s"]
    assert table["windows"].tolist() == [8, 4, 4, 4, 4]
    assert table["alarms"].tolist() == [3, 1, 2, 0, 0]
    assert table["alarm_rate"].tolist() == [0.375, 0.25, 0.5, 0, 0]
    assert evaluation.alarm_rates(windows.head(0), parse_marks("")).empty


def test_the_number_of_sensors_keeps_the_share_of_times():
    windows = make_windows(10, [("d", "s"), ("d", "t"), ("d", "u")])
    alarms = parse_marks("!!........" + "!!!......." + "!.........")
    # Three at once in one of ten moments, two in another one, one in a third.
    for share, fewest in ((0.05, 4), (0.1, 3), (0.2, 2), (0.3, 1), (0.99, 1)):
        assert fewest_sensors(windows, alarms, share) == {"d": fewest}
        _, joined = join_sensors(windows, alarms, {"d": fewest})
        assert joined.mean() <= share


def test_sensors_are_joined_at_each_time_of_their_device():
    windows = make_windows(3, [("d", "s"), ("d", "t"), ("e", "s")])
    alarms = parse_marks("!.!" + "!!." + ".!.")
    joined, found = join_sensors(windows, alarms, {"d": 2})
    assert joined["device"].tolist() == ["d"] * 3 + ["e"] * 3
    assert set(joined["sensor"]) == {""}
    assert found.tolist() == [True, False, False, False, True, False]
    scores = evaluation.event_scores(joined, found, make_labels((0, 0), (2, 2)), WINDOW)
    assert (scores.events, scores.found, scores.false_alarms) == (2, 1, 1)
