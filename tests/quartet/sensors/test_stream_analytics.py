"""The Stream Analytics query computes the same windows as the pipeline."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from quartet.sensors.capture import decode_capture
from quartet.sensors.settings import SensorIngestion
from quartet.sensors.window_length import USUAL_SECONDS
from quartet.sensors.windows import aggregate
from sensors.fakes import START, avro, event, reading
from sensors.stream_analytics import SECOND, run
from support import ROOT

QUERY = (ROOT / "infra/stream_analytics/sensor_windows.asaql").read_text()
SETTINGS = SensorIngestion(window_seconds=USUAL_SECONDS)
START_MICROSECONDS = round(START.timestamp()) * SECOND
KEYS = ("device", "sensor", "window_end")


def as_stream(drawn):
    """Return the events as Stream Analytics receives them, with arrays expanded."""
    return [
        {
            "device": each["device"],
            "sensor": each["sensor"],
            "timestamp": START_MICROSECONDS + round(seconds * SECOND),
            "value": each["value"],
            "EventEnqueuedUtcTime": START_MICROSECONDS + enqueued * SECOND + 999_999,
            "SequenceNumber": number,
        }
        for number, (enqueued, body) in enumerate(drawn)
        for seconds, each in body
    ]


def as_capture(drawn):
    """Return the events as Capture stores them."""
    return avro(
        [
            event([each for _, each in body], number, enqueued)
            for number, (enqueued, body) in enumerate(drawn)
        ]
    )


def both(drawn, query=QUERY):
    """Return windows and faults of the query and of the pipeline."""
    outputs = run(query, as_stream(drawn))
    decoded = decode_capture(as_capture(drawn), "file", SETTINGS)
    windows = aggregate(decoded.readings, SETTINGS.window_seconds)
    windows["window_end"] = windows["window_end"].astype(np.int64) * SECOND
    faults = sorted((row["sequence_number"], row["fault"]) for row in outputs["quarantine"])
    expected = sorted((fault.position, fault.reason) for fault in decoded.quarantine)
    found = sorted(outputs["windows"], key=lambda row: [row[key] for key in KEYS])
    return found, windows.to_dict("records"), faults, expected


def assert_equal(found, expected):
    assert [[row[key] for key in KEYS] for row in found] == [
        [row[key] for key in KEYS] for row in expected
    ]
    for name in ("readings", "minimum", "maximum", "last_value"):
        assert [row[name] for row in found] == [row[name] for row in expected]
    for name in ("mean", "standard_deviation"):
        theirs, ours = ([row[name] for row in rows] for rows in (found, expected))
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-9)


names = st.sampled_from(["press", "Press", "7", 7])
moments = st.one_of(
    st.integers(0, 5).map(lambda windows: 300.0 * windows),
    st.integers(0, 6000).map(lambda quarters: quarters / 4),
)
values = st.one_of(st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), st.integers(-9, 9))
sound = st.tuples(moments, names, names, values)
faulty = st.one_of(
    st.tuples(moments, st.none(), names, values),
    st.tuples(moments, names, st.none(), values),
    st.tuples(moments, names, names, st.sampled_from([None, "4.2", "high"])),
    st.tuples(st.integers(1801, 1900).map(float), names, names, values),
)
bodies = st.lists(
    st.one_of(sound, sound, sound, faulty).map(
        lambda drawn: (drawn[0], reading(drawn[0], drawn[3], drawn[1], drawn[2]))
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1500, 1600), bodies), min_size=1, max_size=20))
def test_the_query_gives_the_windows_and_the_faults_of_the_pipeline(drawn):
    # Arrival is known to the second here and to the millisecond there; so none at the limit.
    drawn = [
        (1500 if any(seconds > 1800 for seconds, _ in body) else enqueued, body)
        for enqueued, body in drawn
    ]
    found, windows, faults, expected = both(drawn)
    assert_equal(found, windows)
    assert faults == expected


def test_the_query_states_the_lengths_of_the_parameters():
    assert re.findall(r"TumblingWindow\(second, (\d+)\)", QUERY) == [str(SETTINGS.window_seconds)]
    tolerance = 1000 * SETTINGS.clock_tolerance_seconds
    assert f"System.Timestamp()) > {tolerance}\n" in QUERY
