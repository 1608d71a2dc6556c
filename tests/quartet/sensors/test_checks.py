"""A sound reading is never set aside, and a faulty one never taken for sound."""

import json
import math
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.sensors.checks import MAX_QUARANTINED, ReadingChecker
from sensors.fakes import column, count_reasons, list_pairs

NOON = "2026-03-02T12:00:00Z"
NOON_MICROSECONDS = 1_772_452_800_000_000


def check(checker, *readings, first=0):
    columns = [[reading[place] for reading in readings] for place in range(4)]
    position = np.arange(first, first + len(readings))
    arrivals = np.full(len(readings), NOON_MICROSECONDS)
    checker.check(columns, position, arrivals, lambda row: repr(readings[row]))


def checked(*readings, **options):
    checker = ReadingChecker("file", **options)
    check(checker, *readings)
    return checker.to_batch()


def one(device="d", sensor="s", timestamp=NOON, value=1.0, **options):
    """Return the timestamp and value of the only reading, or its reason of quarantine."""
    result = checked((device, sensor, timestamp, value), **options)
    if column(result, "value"):
        assert not count_reasons(result)
        return column(result, "timestamp")[0], column(result, "value")[0]
    (reason,) = count_reasons(result)
    return reason


@pytest.mark.parametrize(
    "timestamp",
    [
        NOON,
        "2026-03-02T13:00:00+01:00",
        "2026-03-02T13:00:00+0100",
        "2026-03-02T07:30:00-04:30",
        "2026-03-02 12:00:00+00:00",
        "2026-03-02T12:00Z",
        "2026-03-02T12Z",
        "2026-03-02T12:00:00.0Z",
        "2026-03-02T12:00:00.0000000Z",
        "2026-03-02T12:00:00.0000000009Z",
        "20260302T120000Z",
        "2026-W10-1T12:00:00Z",
    ],
)
def test_all_iso_8601_timestamps_are_parsed(timestamp):
    assert one(timestamp=timestamp) == (NOON_MICROSECONDS, 1.0)


def test_fractions_of_a_second_are_kept_to_the_microsecond():
    before = NOON_MICROSECONDS - 1_000_000
    assert one(timestamp="2026-03-02T11:59:59.1234567Z")[0] == before + 123_456
    assert one(timestamp="2026-03-02T11:59:59.123456789123Z")[0] == before + 123_456


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        ({"device": None}, "device is missing"),
        ({"device": ""}, "device is empty or has surrounding whitespace"),
        ({"device": "d "}, "device is empty or has surrounding whitespace"),
        ({"device": "d\x00"}, "device contains unprintable characters"),
        ({"device": "d\ud800"}, "device contains unprintable characters"),
        ({"device": "d" * 129}, "device is longer than 128 characters"),
        ({"device": "🌡" * 65}, "device is longer than 128 characters"),
        ({"device": 1.0}, "device is neither text nor an integer"),
        ({"device": ["d"]}, "device is neither text nor an integer"),
        ({"sensor": None}, "sensor is missing"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": "2026-03-02T12:00:00"}, "timestamp has no time zone"),
        ({"timestamp": "yesterday"}, "timestamp is not ISO 8601"),
        ({"timestamp": "2026-02-30T12:00:00Z"}, "timestamp is not ISO 8601"),
        ({"timestamp": 1_772_452_800}, "timestamp is not ISO 8601"),
        ({"timestamp": "2026-03-02T12:00:00.000001Z"}, "timestamp is in the future"),
        ({"timestamp": "9999-12-31T23:59:59Z"}, "timestamp is in the future"),
        ({"timestamp": "1969-12-31T23:59:59.999999Z"}, "timestamp is before 1970"),
        ({"value": None}, "value is missing"),
        ({"value": "1.0"}, "value is not a number"),
        ({"value": True}, "value is not a number"),
        ({"value": math.nan}, "value is not finite"),
        ({"value": math.inf}, "value is not finite"),
        ({"value": 1.1e100}, "value is beyond ±1e+100"),
        ({"value": 10**400}, "value is beyond ±1e+100"),
    ],
)
def test_a_fault_has_a_reason(reading, reason):
    assert one(**reading) == reason


@pytest.mark.parametrize("value", [0, -0.0, 1, 2**70, 5e-324, -1e100, 1e100])
def test_any_finite_number_is_a_value(value):
    assert one(value=value) == (NOON_MICROSECONDS, float(value))


@pytest.mark.parametrize("name", ["d" * 128, "🌡" * 64, "Düse 7/b", "-"])
def test_a_name_may_be_as_long_as_its_column(name):
    assert list_pairs(checked((name, name, NOON, 1.0))) == {(name, name)}


def test_integers_name_devices_and_sensors_as_their_text_does():
    result = checked((1, 2, NOON, 1.0), ("1", "2", NOON, 1.0), (1, "2", NOON, 1.0))
    assert list_pairs(result) == {("1", "2")}
    assert len(column(result, "value")) == 3


def test_a_clock_may_be_ahead_by_the_tolerance_and_no_more():
    assert one(timestamp="2026-03-02T12:05:00Z", tolerance_seconds=300)[1] == 1.0
    late = one(timestamp="2026-03-02T12:05:00.000001Z", tolerance_seconds=300)
    assert late == "timestamp is in the future"


def test_all_faults_are_counted_and_the_first_thousand_kept():
    result = checked(*[("d", "s", NOON, "x" * 999)] * (MAX_QUARANTINED + 500))
    assert result.files[0].quarantined == MAX_QUARANTINED + 500
    assert len(result.quarantine) == MAX_QUARANTINED
    assert {len(fault.body) for fault in result.quarantine} == {200}


def test_a_zone_is_given_to_timestamps_without_one():
    berlin = {"zone": ZoneInfo("Europe/Berlin")}
    assert one(timestamp="2026-03-02 13:00:00.000", **berlin)[0] == NOON_MICROSECONDS
    assert one(timestamp="2026-03-02 12:00:00Z", **berlin)[0] == NOON_MICROSECONDS
    # The hour that summer time skips and the one that winter time repeats.
    for local in ("2025-03-30 02:30:00", "2025-10-26 02:30:00"):
        moment = datetime.fromisoformat(local).replace(tzinfo=berlin["zone"])
        assert one(timestamp=local, **berlin)[0] == moment.timestamp() * 1e6


def test_values_of_a_table_may_be_text():
    assert one(value="-1.5e3", text_values=True)[1] == -1500
    assert one(value=" 7", text_values=True)[1] == 7
    assert one(value="nan", text_values=True) == "value is not finite"
    assert one(value="Infinity", text_values=True) == "value is not finite"
    for value in ("1_000", "1,5", "", "x", "0x10"):
        assert one(value=value, text_values=True) == "value is not a number"


moments = st.one_of(
    st.datetimes(datetime(1969, 12, 31), datetime(2400, 1, 1)).map(lambda t: t.isoformat() + "Z"),
    st.builds(
        "2026-{:02d}-{:02d}{}{:02d}:{:02d}:{:02d}{}{}".format,
        st.integers(0, 13),
        st.integers(0, 32),
        st.sampled_from("T t"),
        st.integers(0, 24),
        st.integers(0, 60),
        st.integers(0, 60),
        st.sampled_from(["", ".", ".5", ",5", ".123", ".1234567", ".123456789", ".1234567891"]),
        st.sampled_from(["Z", "z", "", "+01", "+01:00", "+0130", "-23:59", "+24:00", "+01:60"]),
    ),
    st.text(max_size=12),
)
numbers = st.one_of(
    st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=3), st.just(10**400)
)
texts = st.one_of(
    st.floats().map(str),
    st.integers().map(str),
    st.text("0123456789.-+einfatyx_ ", max_size=8),
)
people = st.one_of(
    st.sampled_from(["a", "b", 1, 2, True, None, 1.0, " a", ""]), st.text(max_size=3)
)


@pytest.mark.parametrize("options", [{}, {"text_values": True, "zone": ZoneInfo("Europe/Paris")}])
@given(
    st.lists(
        st.one_of(
            st.tuples(people, people, moments, numbers),
            st.tuples(st.just("a"), st.just("b"), moments, st.just(1.0)),
            st.tuples(st.just("a"), st.just("b"), st.just(NOON), texts),
            st.tuples(st.just("a"), st.just("b"), st.just(NOON), numbers),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_readings_are_checked_the_same_together_and_one_by_one(options, readings):
    together = checked(*readings, **options)
    apart = ReadingChecker("file", **options)
    odd = ("a", "b", "20260302T120000Z", True)  # beside it nothing is parsed many at a time
    for number, reading in enumerate(readings):
        check(apart, reading, odd, first=number)
    expected = apart.to_batch()
    faults = [fault for fault in expected.quarantine if fault.body != repr(odd)]
    assert faults == together.quarantine
    for name in ("device", "sensor", "timestamp", "value", "sequence"):
        assert column(together, name) == column(expected, name)
    assert json.dumps(together.quarantine)
