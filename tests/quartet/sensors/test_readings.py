"""Tables of readings keep their sensors when they are concatenated and encoded."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from quartet.sensors.readings import NO_READINGS, PairEncoder, concatenate
from sensors.fakes import make_readings

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


def listed(readings, encoder=None):
    encoder = encoder or PairEncoder()
    encoded = encoder.encode(readings)
    columns = ("timestamp", "value", "sequence")
    pairs = [encoder.pairs[code] for code in encoded.column("pair").to_pylist()]
    others = zip(*(encoded.column(name).to_pylist() for name in columns), strict=True)
    return [(*pair, *rest) for pair, rest in zip(pairs, others, strict=True)]


def expected(drawn):
    return [
        (device, sensor, seconds * 10**6, value, sequence)
        for device, sensor, seconds, value, sequence in drawn
    ]


@given(st.lists(rows, max_size=4))
def test_concatenated_tables_keep_their_sensors(drawn):
    parts = [make_readings(part) for part in drawn]
    together = [row for part in drawn for row in expected(part)]
    assert listed(concatenate(parts)) == together
    encoder = PairEncoder()
    assert [row for part in parts for row in listed(part, encoder)] == together
    assert len(set(encoder.pairs)) == len(encoder.pairs)


def test_chunks_of_a_table_may_encode_the_same_names_differently():
    first, second = make_readings([("a", "x", 1, 1.0)]), make_readings([("b", "x", 2, 2.0)])
    table = pa.concat_tables([first, second, first])
    assert [row[0] for row in listed(table)] == ["a", "b", "a"]


def test_an_empty_table_of_readings_is_valid():
    assert listed(concatenate([])) == []
    one = make_readings([("a", "x", 1, 1.0)])
    assert listed(concatenate([NO_READINGS, one])) == [("a", "x", 10**6, 1.0, 0)]
