"""Labels mark the windows that they overlap."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.sensors.labels import LABEL_COLUMNS, mark_windows, match_labels

MINUTE = 60


def make_windows(*rows):
    """Rows of device, sensor and the minute at which the window ends."""
    table = pd.DataFrame(rows, columns=["device", "sensor", "window_end"])
    ends = (table["window_end"].to_numpy(dtype=float) * MINUTE).astype(np.int64)
    return table.assign(window_end=ends.astype("datetime64[s]"))


def make_labels(*rows):
    """Rows of device, sensor, first and last minute."""
    table = pd.DataFrame([(*row, "spike") for row in rows], columns=list(LABEL_COLUMNS))
    for name in ("start", "end"):
        seconds = (table[name].to_numpy(dtype=float) * MINUTE).astype(np.int64)
        table[name] = seconds.astype("datetime64[s]")
    return table


FOUR = make_windows(("d", "s", 5), ("d", "s", 10), ("d", "s", 15), ("d", "s", 20))


@pytest.mark.parametrize(
    ("start", "end", "marked"),
    [
        (7, 8, [0, 1, 0, 0]),
        (7, 12, [0, 1, 1, 0]),
        (10, 10, [0, 1, 0, 0]),  # its end belongs to a window
        (10, 10.5, [0, 1, 1, 0]),
        (4, 5, [1, 0, 0, 0]),  # its start does not
        (0, 30, [1, 1, 1, 1]),
        (21, 30, [0, 0, 0, 0]),
    ],
)
def test_a_window_includes_its_end_and_not_its_start(start, end, marked):
    found = mark_windows(FOUR, make_labels(("d", "s", start, end)), 300)
    assert found.tolist() == [bool(mark) for mark in marked]


def test_only_the_sensor_of_the_label_is_marked():
    windows = make_windows(("a", "s", 5), ("b", "s", 5), ("a", "t", 5), ("a", "s", 10))
    assert mark_windows(windows, make_labels(("a", "s", 1, 2)), 300).tolist() == [
        True,
        *[False] * 3,
    ]


def test_a_label_without_sensor_marks_all_sensors_of_the_device():
    windows = make_windows(("a", "s", 5), ("b", "s", 5), ("a", "t", 5), ("a", "s", 10))
    found = mark_windows(windows, make_labels(("a", "", 1, 2)), 300)
    assert found.tolist() == [True, False, True, False]


def test_windows_of_a_device_match_the_labels_of_all_its_sensors():
    windows = make_windows(("a", "", 5), ("a", "", 10), ("b", "", 5))
    labels = make_labels(("a", "s", 1, 2), ("a", "", 7, 8), ("c", "s", 1, 2))
    assert mark_windows(windows, labels, 300).tolist() == [True, True, False]


def test_only_labels_within_the_time_of_the_windows_are_covered():
    gap = make_windows(("d", "s", 5), ("d", "s", 30))
    labels = make_labels(
        ("d", "s", 10, 15), ("d", "s", 31, 40), ("d", "t", 3, 4), ("d", "s", -9, 0)
    )
    matches = match_labels(gap, labels, 300)
    assert matches.covered.tolist() == [True, False, False, False]
    assert len(matches.label) == 0


def test_times_of_any_resolution_are_accepted():
    label = make_labels(("d", "s", 7, 12))
    fine = label.assign(start=label["start"].dt.as_unit("ns"), end=label["end"].dt.as_unit("ns"))
    np.testing.assert_array_equal(mark_windows(FOUR, label, 300), mark_windows(FOUR, fine, 300))


places = st.tuples(st.integers(0, 40), st.integers(0, 12))


@given(st.lists(places, max_size=6), st.lists(st.integers(0, 10), max_size=20, unique=True))
def test_marks_equal_those_of_a_comparison_of_each_pair(spans, ends):
    windows = make_windows(*[("d", "s", 5 * end) for end in ends])
    labels = make_labels(*[("d", "s", start, start + length) for start, length in spans])
    found = mark_windows(windows, labels, 300)
    expected = [
        any(5 * end - 5 < start + length and 5 * end >= start for start, length in spans)
        for end in ends
    ]
    assert found.tolist() == expected
