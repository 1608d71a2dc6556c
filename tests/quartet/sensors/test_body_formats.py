"""Readings are read as Event Hubs, IoT Hub and Stream Analytics write them, within bounds."""

import bz2
import io
import json
import lzma
import zlib

import fastavro
import pyarrow as pa
import pytest

from quartet.sensors import codecs
from quartet.sensors.capture import decode_capture
from quartet.sensors.event_patterns import SCHEMA
from quartet.sensors.events import UnreadableCaptureError, read_events
from quartet.sensors.settings import SensorIngestion
from sensors.fakes import capture, column, count_reasons, event, reading


def decode(content):
    return decode_capture(content, "file.avro", SensorIngestion())


def compress_deflate(data):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def compress_snappy(data):
    return pa.compress(data, "snappy", asbytes=True) + zlib.crc32(data).to_bytes(4, "big")


COMPRESS = {
    "null": bytes,
    "deflate": compress_deflate,
    "snappy": compress_snappy,
    "zstandard": lambda data: pa.compress(data, "zstd", asbytes=True),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def write_long(number):
    file = io.BytesIO()
    fastavro.schemaless_writer(file, "long", number)
    return file.getvalue()


def container(blocks, codec, schema=SCHEMA):
    """Return a container of blocks, each a number of records and their compressed bytes."""
    sync = b"0123456789abcdef"
    meta = {"avro.codec": codec.encode(), "avro.schema": json.dumps(schema).encode()}
    file = io.BytesIO()
    fastavro.schemaless_writer(file, {"type": "map", "values": "bytes"}, meta)
    head = b"Obj\x01" + file.getvalue() + sync
    parts = (write_long(count) + write_long(len(data)) + data + sync for count, data in blocks)
    return head + b"".join(parts)


def encode(events):
    file = io.BytesIO()
    for each in events:
        fastavro.schemaless_writer(file, SCHEMA, each)
    return file.getvalue()


@pytest.mark.parametrize("codec", COMPRESS)
def test_every_codec_of_avro_is_read(codec):
    parts = [[event(reading(10 * block + row, float(row)), row) for row in range(10)]
             for block in range(3)]  # fmt: skip
    content = container([(10, COMPRESS[codec](encode(part))) for part in parts], codec)
    assert column(decode(content), "value") == [float(row) for row in range(10)] * 3


@pytest.mark.parametrize("codec", ["snappy", "zstandard", "bzip2", "xz"])
def test_damaged_block_is_refused(codec):
    data = bytearray(COMPRESS[codec](encode([event(reading())] * 20)))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(UnreadableCaptureError, match="is truncated or damaged"):
        decode(container([(20, bytes(data))], codec))


def test_unknown_codec_is_named():
    with pytest.raises(UnreadableCaptureError, match=r"its codec is 'lzo', expected one of null, "):
        decode(container([(1, b"x")], "lzo"))


@pytest.mark.parametrize("codec", sorted(COMPRESS.keys() - {"null"}))
def test_decompression_is_bounded(codec, monkeypatch):
    monkeypatch.setattr(codecs, "MAX_BLOCK_BYTES", 100_000)
    bomb = COMPRESS[codec](bytes(10_000_000))
    with pytest.raises(UnreadableCaptureError, match="decompresses to more than 100,000 bytes"):
        list(read_events(container([(1, bomb)], codec)))


def test_snappy_block_of_a_false_size_allocates_nothing():
    huge = b"\xff\xff\xff\xff\x0f" + b"\x00" * 20  # says that it has 4 GiB
    with pytest.raises(UnreadableCaptureError, match="decompresses to more than"):
        list(read_events(container([(1, huge)], "snappy")))


def as_json(*items):
    return [json.dumps(item).encode() for item in items]


@pytest.mark.parametrize(
    ("start", "separator", "end"),
    [(b"", b"\n", b""), (b"\xef\xbb\xbf", b"\r\n", b"\r\n"), (b"", b"\n\n", b"\n")],
)
def test_line_separated_json_is_read(separator, end, start):
    lines = as_json(reading(0, 1.0), [reading(1, 2.0), reading(2, 3.0)], reading(3, 4.0))
    result = decode(capture(reading(9, 0.0), start + separator.join(lines) + end))
    assert column(result, "value") == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert column(result, "sequence") == [0, 1, 1, 1, 1]
    assert not result.quarantine


def test_only_the_invalid_line_is_quarantined():
    good, faulty, last = as_json(reading(0, 1.0), reading(1, "high"), reading(2, 3.0))
    body = b"\n".join([good, faulty, b"{not JSON", b'{"device": "\xe9"}', last])
    result = decode(capture(body))
    assert column(result, "value") == [1.0, 3.0]
    assert count_reasons(result) == {
        "line is not JSON": 1,
        "line is not UTF-8": 1,
        "value is not a number": 1,
    }
    assert {fault.body for fault in result.quarantine} == {
        "{not JSON",
        '{"device": "\\xe9"}',
        faulty.decode(),
    }


def test_good_lines_after_an_undecodable_first_one_are_kept():
    body = json.dumps(reading(device="caf\xe9"), ensure_ascii=False).encode("latin-1")
    result = decode(capture(b"\n".join([body, *as_json(reading(1, 2.0))])))
    assert column(result, "value") == [2.0]
    assert count_reasons(result) == {"line is not UTF-8": 1}


def test_a_truncated_array_over_several_lines_is_one_invalid_body():
    result = decode(capture(json.dumps([reading(0), reading(1)], indent=1).encode()[:-4]))
    assert column(result, "value") == []
    assert count_reasons(result) == {"body is not JSON": 1}


def test_body_with_a_byte_order_mark_is_read():
    assert column(decode(capture(b"\xef\xbb\xbf" + as_json(reading(0, 5.0))[0])), "value") == [5.0]
