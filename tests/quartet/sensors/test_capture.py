"""Each reading of a capture file is either valid or quarantined with a reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.sensors.capture import decode_capture
from quartet.sensors.settings import SensorIngestion
from sensors.fakes import avro, capture, column, count_reasons, event, reading

SETTINGS = SensorIngestion()


def decoded(*bodies, settings=SETTINGS, **options):
    return decode_capture(capture(*bodies, **options), "file.avro", settings)


def values(result):
    return column(result, "value")


def test_a_body_is_one_reading_or_an_array_of_them():
    result = decoded(
        reading(0, 1.0), [reading(1, 2.0), reading(2, 3.0)], [], reading(3, 4.0), first=10
    )
    assert values(result) == [1, 2, 3, 4]
    assert column(result, "sequence") == [10, 11, 11, 13]
    assert not count_reasons(result)


def test_additional_fields_are_ignored():
    assert values(decoded(reading(0, 1.0, unit="bar", nested={"value": 9}))) == [1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "body is empty"),
        (b"pressure 4.2", "body is not JSON"),
        (b'{"device": "a"', "body is not JSON"),
        (b"\x1f\x8b\x08\x00\x00", "body is not JSON"),
        (b"[" * 100_000, "body is not JSON"),
        (b"4.2", "is not a JSON object"),
        (b'["device"]', "is not a JSON object"),
        (b"{}", "device is missing"),
        (json.dumps(reading(value=float("nan"))).encode(), "value is not finite"),
    ],
)
def test_only_the_invalid_body_is_quarantined(body, reason):
    result = decoded(reading(0, 1.0), body, reading(1, 2.0), first=100)
    assert values(result) == [1, 2]
    assert count_reasons(result) == {reason: 1}
    (fault,) = result.quarantine
    assert fault[:3] == ("file.avro", 101, reason)
    assert len(fault.body) <= 200


def test_only_the_invalid_reading_of_an_array_is_quarantined():
    faulty = reading(1, None)
    result = decoded([reading(0, 1.0), faulty, 7, reading(2, 3.0)])
    assert values(result) == [1, 3]
    assert count_reasons(result) == {"value is missing": 1, "is not a JSON object": 1}
    assert {fault.body for fault in result.quarantine} == {json.dumps(faulty), "7"}


def test_bodies_that_are_valid_json_only_together_are_rejected():
    body_of_one = json.dumps(reading()).encode()
    result = decoded(b"[" + body_of_one, body_of_one + b"]", body_of_one + b"," + body_of_one)
    assert values(result) == []
    assert count_reasons(result) == {"body is not JSON": 3}


def test_timestamps_are_compared_with_the_arrival_of_their_event():
    settings = SensorIngestion(clock_tolerance_seconds=60)
    events = [event(reading(100), 0, enqueued=40), event(reading(100), 1, enqueued=38)]
    result = decode_capture(avro(events), "file.avro", settings)
    assert column(result, "sequence") == [0]
    assert [fault.position for fault in result.quarantine] == [1]


bodies = st.recursive(
    st.one_of(
        st.builds(
            reading,
            st.integers(0, 5000),
            st.one_of(st.floats(), st.integers(), st.none(), st.text(max_size=2)),
            device=st.sampled_from(["a", "b", 1, "", None]),
        ),
        st.sampled_from([{}, 1, "x", None, b"{", b""]),
    ),
    lambda inner: st.lists(inner.filter(lambda item: not isinstance(item, bytes)), max_size=3),
    max_leaves=5,
)


@given(st.lists(bodies, max_size=6))
def test_every_reading_is_either_valid_or_quarantined(drawn):
    result = decoded(*drawn)
    expected = sum(len(body) if isinstance(body, list) else 1 for body in drawn)
    assert result.files[0].readings + result.files[0].quarantined == expected
    assert len(result.quarantine) == result.files[0].quarantined
    alone = [decoded(body, first=place) for place, body in enumerate(drawn)]
    assert values(result) == [value for part in alone for value in values(part)]
