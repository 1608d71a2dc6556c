"""Regular expressions that find the events in a block of a capture file.

Avro encodes the fields of a record consecutively and without names: a long in a variable number
of bytes, a string after its length, a map as the number of its entries, the entries and a zero,
and a union after the index of its type. With strings and maps of bounded size this is a regular
and prefix-free language, so a match is the only way to decode the bytes. Python's `re` matches
them in C.
https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

import fastavro
import numpy as np
from numpy.typing import NDArray

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "EventData",
    "namespace": "Microsoft.ServiceBus.Messaging",
    "fields": [
        {"name": "SequenceNumber", "type": "long"},
        {"name": "Offset", "type": "string"},
        {"name": "EnqueuedTimeUtc", "type": "string"},
        {
            "name": "SystemProperties",
            "type": {"type": "map", "values": ["long", "double", "string", "bytes"]},
        },
        {
            "name": "Properties",
            "type": {"type": "map", "values": ["long", "double", "string", "bytes", "null"]},
        },
        {"name": "Body", "type": ["null", "bytes"]},
    ],
}
"""Avro schema of Event Hubs Capture."""

_MAX_TEXT_BYTES = 127
"""Maximum length of a name, and of a value that is a string."""
_MAX_ENTRIES = 12
_LONG = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
_BODY = rb"(?:\x00|\x02(%s))" % _LONG
_Shape = tuple[tuple[type, int], ...]
"""Type of each name and value of an event's properties, and its length in bytes, 0 if fixed."""


class EncodedEvents(NamedTuple):
    """The events of a block.

    Attributes:
        sequence: Sequence numbers of the n events, encoded; see `decode_longs`.
        enqueued: Enqueued times, as text in the file.
        bodies: Bodies; None if empty.
    """

    sequence: list[bytes]
    enqueued: list[bytes]
    bodies: list[bytes | None]


class EventFinder:
    """Finds events, block by block, and adapts to the most frequent layout.

    Most events of a hub have the same properties of the same lengths: a specific pattern for
    these is twice as fast as the general one.
    """

    def __init__(self) -> None:
        self._specific: re.Pattern[bytes] | None = None

    def find(self, block: bytes, events: int) -> EncodedEvents | None:
        """Return the events of a block, or None if it has other content or larger properties."""
        general = _general_pattern()
        specific = self._specific
        sequence: list[bytes] = []
        enqueued: list[bytes] = []
        bodies: list[bytes | None] = []
        start = position = misses = 0
        for _ in range(events):
            start = position
            match = specific.match(block, start) if specific else None
            if match:
                number, time, size = match.groups()
            else:
                misses += 1
                match = general.match(block, start)
                if not match:
                    return None
                number, time, size = match.groups()
                time = time[1:]  # without its length, one byte for up to 63 characters
            sequence.append(number)
            enqueued.append(time)
            position = match.end()
            if size is None:
                bodies.append(None)
            else:
                first, position = position, position + _byte_lengths[size]
                bodies.append(block[first:position])
        if position != len(block) or not events:
            return None
        if misses > events // 2:
            self._specific = _pattern_for(block[start:])
        return EncodedEvents(sequence, enqueued, bodies)


class _ByteLengths(dict[bytes, int]):
    """Maps encoded lengths to integers; few distinct ones occur, so each is decoded once."""

    def __missing__(self, encoded: bytes) -> int:
        size = int(decode_longs([encoded])[0])
        # A length is negative in a damaged block only; make the body end after the block.
        self[encoded] = size if size >= 0 else 2**62
        return self[encoded]


_byte_lengths = _ByteLengths()


def decode_longs(encoded: list[bytes]) -> NDArray[np.int64]:
    """Decode Avro longs: seven bits per byte, least significant first, zigzag-encoded.

    Args:
        encoded: At least one long.

    Returns:
        Shape (n,), int64.
    """
    data = np.frombuffer(b"".join(encoded), np.uint8)
    length = np.array([len(each) for each in encoded])
    first = np.concatenate([[0], np.cumsum(length)[:-1]])
    offset = np.arange(len(data)) - np.repeat(first, length)
    bits = (data & np.uint8(0x7F)).astype(np.uint64) << (7 * offset).astype(np.uint64)
    number = np.bitwise_or.reduceat(bits, first)
    return (number >> np.uint64(1)).astype(np.int64) ^ -(number & np.uint64(1)).astype(np.int64)


@cache
def _general_pattern() -> re.Pattern[bytes]:
    """Match any event with strings of at most 127 bytes and at most 12 properties of each kind."""
    text = b"(?:%s)" % b"|".join(_text_pattern(length) for length in range(_MAX_TEXT_BYTES + 1))
    value = rb"(?:\x00%s|\x02.{8}|[\x04\x06]%s|\x08)" % (_LONG, text)
    entries = (
        _encode_long(count) + b"(?:%s%s){%d}" % (text, value, count)
        for count in range(1, _MAX_ENTRIES + 1)
    )
    properties = rb"(?:\x00|(?:%s)\x00)" % b"|".join(entries)
    fields = (b"(%s)" % _LONG, text, b"(%s)" % text, properties, properties, _BODY)
    return re.compile(b"".join(fields), re.DOTALL)


def _pattern_for(encoded: bytes) -> re.Pattern[bytes]:
    """Match events whose strings are as long as those of the first event in `encoded`."""
    event: Any = fastavro.schemaless_reader(io.BytesIO(encoded), SCHEMA)
    texts = len(event["Offset"].encode()), len(event["EnqueuedTimeUtc"].encode())
    return _shape_pattern(texts, _shape(event["SystemProperties"]), _shape(event["Properties"]))


def _shape(properties: Mapping[str, Any]) -> _Shape:
    """Return the type and the length of each name and value."""
    items = (item for entry in properties.items() for item in entry)
    raw = (item.encode() if isinstance(item, str) else item for item in items)
    kinds = (type(item) for entry in properties.items() for item in entry)
    return tuple(
        (kind, len(item) if isinstance(item, bytes) else 0)
        for kind, item in zip(kinds, raw, strict=True)
    )


@lru_cache(maxsize=256)
def _shape_pattern(texts: tuple[int, int], system: _Shape, user: _Shape) -> re.Pattern[bytes]:
    offset, time = texts
    fields = (
        b"(%s)" % _LONG,
        _text_pattern(offset),
        _encode_long(time) + b"(.{%d})" % time,
        _map_pattern(system),
        _map_pattern(user),
        _BODY,
    )
    return re.compile(b"".join(fields), re.DOTALL)


def _map_pattern(shape: _Shape) -> bytes:
    """Match a map with names, at even indices, and values of the given lengths."""
    if not shape:
        return rb"\x00"
    parts = [_encode_long(len(shape) // 2)]
    for index, (kind, length) in enumerate(shape):
        parts.append(_text_pattern(length) if index % 2 == 0 else _value_pattern(kind, length))
    return b"".join(parts) + rb"\x00"


def _value_pattern(kind: type, length: int) -> bytes:
    """Match a value of a map, after the index of its type."""
    if kind is int:
        return rb"\x00" + _LONG
    if kind is float:
        return rb"\x02.{8}"
    if kind is type(None):
        return rb"\x08"
    return (rb"\x04" if kind is str else rb"\x06") + _text_pattern(length)


def _text_pattern(length: int) -> bytes:
    """Match a string of `length` bytes, after its length."""
    return _encode_long(length) + (rb".{%d}" % length if length else b"")


def _encode_long(number: int) -> bytes:
    """Return the pattern of an encoded long from 0 to 8191."""
    doubled = 2 * number
    low = doubled & 0x7F
    return re.escape(bytes([low] if doubled < 0x80 else [low | 0x80, doubled >> 7]))
