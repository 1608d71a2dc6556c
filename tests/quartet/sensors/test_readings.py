"""Readings must come back from a table as they went in, whoever is first in it."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from quartet.sensors import readings as module
from quartet.sensors.readings import EMPTY, Readings, concatenate
from sensors.written import readings_of

names = st.sampled_from(["a", "b", "c/1", "ü", "1"])
rows = st.lists(
    st.tuples(
        names,
        names,
        st.integers(0, 10**6),
        st.floats(-1e6, 1e6),
        st.integers(-(2**40), 2**40),
    ),
    max_size=30,
)


def listed(readings):
    pairs = [readings.pairs[place] for place in readings.pair]
    columns = (readings.timestamp.tolist(), readings.value.tolist(), readings.sequence.tolist())
    return [(*pair, *others) for pair, *others in zip(pairs, *columns, strict=True)]


def expected(drawn):
    return [
        (device, sensor, seconds * 10**6, value, sequence)
        for device, sensor, seconds, value, sequence in drawn
    ]


@given(rows)
def test_a_table_gives_back_what_it_was_made_of(drawn):
    readings = readings_of(drawn)
    assert listed(readings) == expected(drawn)
    assert listed(Readings.from_table(readings.table())) == expected(drawn)
    assert len(set(readings.pairs)) == len(readings.pairs)


@given(st.lists(rows, max_size=4))
def test_parts_put_together_name_the_same_sensor_once(drawn):
    together = concatenate([readings_of(part) for part in drawn])
    assert listed(together) == [row for part in drawn for row in expected(part)]
    assert len(set(together.pairs)) == len(together.pairs)


def test_chunks_of_a_table_may_number_the_same_names_differently():
    first, second = readings_of([("a", "x", 1, 1.0)]), readings_of([("b", "x", 2, 2.0)])
    table = pa.concat_tables([first.table(), second.table(), first.table()])
    assert [row[0] for row in listed(Readings.from_table(table))] == ["a", "b", "a"]


def test_many_names_are_numbered_as_few_are(monkeypatch):
    drawn = [("a", "y", 1, 1.0), ("b", "x", 2, 2.0), ("a", "x", 3, 3.0), ("b", "x", 4, 4.0)]
    few = readings_of(drawn)
    monkeypatch.setattr(module, "_LARGEST_GRID", 1)
    many = readings_of(drawn)
    assert many.pairs == few.pairs
    np.testing.assert_array_equal(many.pair, few.pair)


def test_no_readings_are_a_table_too():
    assert listed(Readings.from_table(EMPTY.table())) == []
    assert concatenate([]) is EMPTY
    assert listed(concatenate([EMPTY, readings_of([("a", "x", 1, 1.0)])])) == [
        ("a", "x", 10**6, 1.0, 0)
    ]
