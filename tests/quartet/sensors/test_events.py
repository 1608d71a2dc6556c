"""All events of a capture file are found, and damaged files are rejected."""

import io

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.sensors import events as module
from quartet.sensors.event_patterns import decode_longs
from quartet.sensors.events import UnreadableCaptureError, read_events
from sensors.fakes import START, avro, event

EPOCH = np.datetime64("1970-01-01", "us")
MANY = [event({"value": number}, number) for number in range(500)]


def all_events(content):
    parts = list(read_events(content))
    return (
        [number for part in parts for number in part.sequence.tolist()],
        [arrival for part in parts for arrival in part.arrival.tolist()],
        [body for part in parts for body in part.bodies],
    )


int64s = st.integers(-(2**63), 2**63 - 1)
short = st.text(max_size=12)
system = st.dictionaries(
    short, st.one_of(int64s, st.floats(), short, st.binary(max_size=200)), max_size=15
)
users = st.dictionaries(
    st.text(max_size=150), st.one_of(int64s, st.floats(), short, st.none()), max_size=4
)
times = st.sampled_from(["3/2/2026 9:05:07 PM", "12/31/2026 11:59:59 AM", "2026-03-02T21:05:07Z"])
drawn_events = st.lists(
    st.builds(
        lambda number, offset, time, properties, others, body: {
            "SequenceNumber": number,
            "Offset": offset,
            "EnqueuedTimeUtc": time,
            "SystemProperties": properties,
            "Properties": others,
            "Body": body,
        },
        int64s,
        st.text(max_size=140),
        times,
        system,
        users,
        st.one_of(st.none(), st.binary(max_size=300)),
    ),
    max_size=12,
)


@given(drawn_events, st.sampled_from(["null", "deflate", "bzip2"]), st.sampled_from([1, 300, 9999]))
def test_events_are_found_as_fastavro_reads_them(events, codec, block_bytes):
    content = avro(events, codec=codec, sync_interval=block_bytes)
    numbers, _, bodies = all_events(content)
    assert numbers == [each["SequenceNumber"] for each in events]
    assert bodies == [each["Body"] for each in events]


def test_standard_events_are_found_without_fastavro(monkeypatch):
    """The general decoder is four times slower."""
    monkeypatch.setattr(module, "_decode", None)
    phone = {"iothub-connection-device-id": "phone", "x": 1, "y": 0.5, "z": b"raw"}
    kinds = [
        event(b"{}", 7),
        event(b"{}" * 5000, 2**40, system=phone),
        event(b"", 2**62, properties={"name": "x" * 127, "none": None}),
        event(None, -1, system={str(number): number for number in range(12)}),
    ]
    events = [kinds[number % 4] for number in range(100)]
    numbers, _, bodies = all_events(avro(events, sync_interval=2000))
    assert numbers == [each["SequenceNumber"] for each in events]
    assert bodies == [each["Body"] for each in events]


@given(st.lists(int64s, min_size=1, max_size=20))
def test_longs_are_decoded_as_avro_encodes_them(numbers):
    written = []
    for number in numbers:
        file = io.BytesIO()
        fastavro.schemaless_writer(file, "long", number)
        written.append(file.getvalue())
    assert decode_longs(written).tolist() == numbers


@pytest.mark.parametrize(
    "written", ["3/2/2026 9:00:00 AM", "03/02/2026 09:00:00 AM", "03/02/2026 09:00:00"]
)
def test_the_arrival_is_the_end_of_the_enqueued_second(written):
    content = avro([{**event(b"{}"), "EnqueuedTimeUtc": written}])
    _, (arrival,), _ = all_events(content)
    nine = np.datetime64(START.replace(tzinfo=None, hour=9), "us")
    assert EPOCH + np.timedelta64(arrival, "us") == nine + np.timedelta64(999_999, "us")


def test_many_events_are_yielded_in_parts(monkeypatch):
    monkeypatch.setattr(module, "_MIN_EVENTS", 64)
    parts = list(read_events(avro(MANY, sync_interval=500)))
    assert len(parts) > 5
    assert [number for part in parts for number in part.sequence.tolist()] == list(range(500))


def test_a_file_without_events_is_valid():
    """Event Hubs writes one if there were no events."""
    assert all_events(avro([])) == ([], [], [])


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_truncated_file_is_rejected_or_ends_with_a_block(codec):
    content = avro(MANY[:90], codec=codec, sync_interval=1500)
    blocks = list(fastavro.block_reader(io.BytesIO(content)))
    counts = {blocks[0].offset: 0}
    for block in blocks:
        counts[block.offset + block.size] = counts[block.offset] + block.num_records
    assert len(counts) > 4
    for length in range(len(content)):
        try:
            numbers, _, _ = all_events(content[:length])
        except UnreadableCaptureError:
            assert length not in counts
        else:
            assert numbers == list(range(counts[length]))


def test_a_block_truncated_in_its_event_count_is_rejected():
    content = avro(MANY, sync_interval=10**6)
    (block,) = fastavro.block_reader(io.BytesIO(content))
    with pytest.raises(UnreadableCaptureError, match="is truncated"):
        all_events(content[: block.offset + 1])


@pytest.mark.parametrize("events", [9, 11])
def test_a_block_with_a_wrong_event_count_is_rejected(events):
    content = bytearray(avro(MANY[:10], codec="null"))
    (block,) = fastavro.block_reader(io.BytesIO(bytes(content)))
    assert content[block.offset] == 2 * 10
    content[block.offset] = 2 * events
    with pytest.raises(UnreadableCaptureError, match="damaged"):
        all_events(bytes(content))


def test_a_body_of_negative_length_is_rejected():
    content = bytearray(avro([event(b"1234567")] * 5, codec="null"))
    place = content.index(b"\x02\x0e1234567")
    content[place + 1] = 0x0D  # -7 instead of 7
    with pytest.raises(UnreadableCaptureError, match="damaged"):
        all_events(bytes(content))


@pytest.mark.parametrize(
    "content", [b"", b"Obj", b"PAR1" * 100, b'{"device": 1}\n' * 9, b"\0" * 999]
)
def test_files_that_are_not_avro_are_reported(content):
    with pytest.raises(UnreadableCaptureError, match="is not an Avro container file"):
        all_events(content)


def schema(**types):
    fields = [{"name": name, "type": kind} for name, kind in types.items()]
    return {"type": "record", "name": "Other", "fields": fields}


def test_another_schema_is_rejected_with_the_missing_fields():
    content = avro([{"Body": b"", "value": 1}], schema(Body="bytes", value="long"))
    with pytest.raises(
        UnreadableCaptureError,
        match=r"the schema of .* missing SequenceNumber, EnqueuedTimeUtc, found Body, value",
    ):
        all_events(content)
    with pytest.raises(UnreadableCaptureError, match=r"Time\w+, Body, found none"):
        all_events(avro([1, 2], "long"))
    odd = schema(SequenceNumber="string", EnqueuedTimeUtc="string", Body="bytes")
    record = {"SequenceNumber": "1", "EnqueuedTimeUtc": "3/2/2026 9:05:07 PM", "Body": b"{}"}
    with pytest.raises(UnreadableCaptureError, match="SequenceNumber is of type str"):
        all_events(avro([record], odd))


def test_another_layout_with_the_same_fields_is_read():
    other = schema(Body="string", EnqueuedTimeUtc="string", Extra="double", SequenceNumber="int")
    record = {"SequenceNumber": 5, "EnqueuedTimeUtc": "3/2/2026 9:05:07 PM", "Extra": 0.5}
    numbers, _, bodies = all_events(avro([{**record, "Body": "{}"}], other))
    assert (numbers, bodies) == ([5], [b"{}"])


def test_an_unparsable_enqueued_time_makes_the_file_unreadable():
    """It is needed to detect clocks that are ahead."""
    content = avro([{**event(b"{}"), "EnqueuedTimeUtc": "2. März 2026"}])
    with pytest.raises(UnreadableCaptureError, match=r"EnqueuedTimeUtc of '2\. März 2026'"):
        all_events(content)
