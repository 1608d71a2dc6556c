"""Windows follow their definition, in any order of readings."""

import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.sensors.readings import NO_READINGS, PairEncoder
from quartet.sensors.windows import WINDOW_COLUMNS, aggregate, drop_duplicates
from sensors.fakes import make_readings

names = st.sampled_from(["a", "b", "A"])
rows = st.lists(
    st.tuples(
        names,
        names,
        st.integers(0, 40).map(lambda tenths: tenths / 4),
        st.floats(-1e3, 1e3).map(lambda value: round(value, 3)),
        st.integers(0, 3),
    ),
    max_size=40,
)


def windows(*drawn, seconds=5):
    return aggregate(make_readings(drawn), seconds)


def distinct(drawn):
    """Return device, sensor, time and value of the kept readings, and the rows of duplicates."""
    encoder = PairEncoder()
    kept, duplicates = drop_duplicates(encoder.encode(make_readings(drawn)), encoder.pairs)
    rows = zip(
        *(kept.column(name).to_pylist() for name in ("pair", "timestamp", "value")), strict=True
    )
    return [(*encoder.pairs[pair], time, value) for pair, time, value in rows], duplicates.tolist()


def aggregate_by_hand(drawn, seconds):
    """Compute the windows reading by reading."""
    kept = {}
    for device, sensor, time, value, sequence in drawn:
        identity = (device, sensor, time)
        kept[identity] = max(kept.get(identity, (-1, 0)), (sequence, value))
    held = {}
    for (device, sensor, time), (_, value) in sorted(kept.items()):
        end = -(-time // seconds) * seconds
        held.setdefault((device, sensor, end), []).append(value)
    return [
        (
            *key,
            len(values),
            statistics.fmean(values),
            statistics.pstdev(values),
            min(values),
            max(values),
            values[-1],
        )
        for key, values in sorted(held.items())
    ]


@given(rows, st.sampled_from([1, 5, 10]), st.randoms(use_true_random=False))
def test_windows_follow_their_definition_in_any_order_of_arrival(drawn, seconds, random):
    expected = aggregate_by_hand(drawn, seconds)
    shuffled = list(drawn)
    random.shuffle(shuffled)
    found = aggregate(make_readings(shuffled), seconds)
    ordered = aggregate(make_readings(drawn), seconds)
    pd.testing.assert_frame_equal(found, ordered, check_exact=True)
    assert list(found) == WINDOW_COLUMNS
    ends = found["window_end"].astype(np.int64).tolist()
    assert list(zip(found["device"], found["sensor"], ends, strict=True)) == [
        row[:3] for row in expected
    ]
    assert found["readings"].tolist() == [row[3] for row in expected]
    for column, name in ((4, "mean"), (5, "standard_deviation")):
        wanted = [row[column] for row in expected]
        np.testing.assert_allclose(found[name], wanted, rtol=1e-9, atol=1e-9)
    for column, name in ((6, "minimum"), (7, "maximum"), (8, "last_value")):
        assert found[name].tolist() == [row[column] for row in expected]


def test_a_window_includes_its_end_and_excludes_its_start():
    day = 20_000 * 86_400
    found = windows(
        ("d", "s", day, 1.0),
        ("d", "s", day + 0.000001, 2.0),
        ("d", "s", day + 300, 3.0),
        ("d", "s", day + 300.000001, 4.0),
        seconds=300,
    )
    assert found["window_end"].astype(np.int64).tolist() == [day, day + 300, day + 600]
    assert found["readings"].tolist() == [1, 2, 1]
    assert found["window_end"].dtype == np.dtype("datetime64[s]")


def test_constant_values_have_a_deviation_of_exactly_zero():
    """Not a small value due to rounding."""
    found = windows(*[("d", "s", tenth / 10, 0.1) for tenth in range(1, 50)])
    assert found["mean"].tolist() == [0.1]
    assert found["standard_deviation"].tolist() == [0.0]


def test_deviations_of_large_values_keep_their_digits():
    found = windows(*[("d", "s", second, 1e12 + second % 2) for second in range(1, 5)])
    assert found["standard_deviation"].tolist() == [0.5]


def test_the_largest_valid_values_have_a_deviation():
    (window,) = windows(("d", "s", 1, 1e100), ("d", "s", 2, -1e100)).to_dict("records")
    assert window["standard_deviation"] == pytest.approx(1e100)


def test_the_duplicate_sent_last_is_kept_then_the_largest():
    kept, duplicates = distinct(
        [
            ("d", "s", 1, 5.0, 2),
            ("d", "s", 1, 9.0, 1),
            ("d", "t", 1, 1.0, 0),
            ("d", "s", 1, 6.0, 2),
            ("d", "s", 1, 6.0, 2),
            ("d", "s", 2, 1.0, 0),
        ]
    )
    assert [row[-1] for row in kept] == [6.0, 1.0, 1.0]
    assert duplicates == [1, 3, 4]


@given(rows)
def test_every_reading_is_either_kept_or_a_duplicate(drawn):
    kept, duplicates = distinct(drawn)
    first = {}
    for place, row in enumerate(drawn):
        first.setdefault(row[:3], place)
    assert duplicates == sorted(set(range(len(drawn))) - set(first.values()))
    assert len(kept) == len(first)


def test_long_times_of_many_sensors_are_sorted():
    generator = np.random.default_rng(1)
    # A span of 250 years, times 2,000 sensors, is more than one number of 64 bits holds.
    drawn = [
        (f"d{generator.integers(2000)}", "s", float(generator.integers(0, 8 * 10**9)), 1.0)
        for _ in range(5000)
    ]
    kept, _ = distinct(drawn)
    order = [row[:3] for row in kept]
    assert order == sorted(order)
    assert len(order) == len({row[:3] for row in drawn})


def test_no_readings_give_an_empty_table_with_all_columns():
    found = aggregate(NO_READINGS, 300)
    assert found.empty
    assert found.dtypes.to_dict() == windows(("d", "s", 1, 1.0)).dtypes.to_dict()
