"""Regular expressions that find the events in a block of a capture file.

Avro writes a record's fields one after the other without any names: whole numbers in a
variable number of bytes, text after its length, a map as the number of its entries, the
entries and a zero, and one of several types after its number. For text of bounded length
and maps of bounded size that is a regular language, of which no word begins another, so
that a match is the one way to read the bytes. Python's `re` reads them in C.
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
"""What Event Hubs Capture writes, and what is found here."""

_LONGEST_TEXT = 127
"""Bytes of a name, and of a value that is text."""
_MOST_ENTRIES = 12
_LONG = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
_BODY = rb"(?:\x00|\x02(%s))" % _LONG
_Shape = tuple[tuple[type, int], ...]
"""Type of each value of an event's properties, and length in bytes where it has one."""


class Found(NamedTuple):
    """The events of a block.

    Attributes:
        sequence: Numbers of the n events, as Avro writes them; see `whole_numbers`.
        enqueued: Their times, as they stand in the file.
        bodies: What was sent, None where there is nothing.
    """

    sequence: list[bytes]
    enqueued: list[bytes]
    bodies: list[bytes | None]


class EventFinder:
    """Finds events, block by block, and learns what the usual one looks like.

    Most events of a hub have the same properties, of the same lengths: an expression
    for these alone is twice as fast as the one for all.
    """

    def __init__(self) -> None:
        self._usual: re.Pattern[bytes] | None = None

    def find(self, block: bytes, events: int) -> Found | None:
        """The events of a block, or None if it holds anything else or longer properties."""
        fits_all = _fits_all()
        usual = self._usual
        sequence: list[bytes] = []
        enqueued: list[bytes] = []
        bodies: list[bytes | None] = []
        start = place = unusual = 0
        for _ in range(events):
            start = place
            match = usual.match(block, start) if usual else None
            if match:
                number, time, size = match.groups()
            else:
                unusual += 1
                match = fits_all.match(block, start)
                if not match:
                    return None
                number, time, size = match.groups()
                time = time[1:]  # less its length; no time is longer than 63 bytes
            sequence.append(number)
            enqueued.append(time)
            place = match.end()
            if size is None:
                bodies.append(None)
            else:
                first, place = place, place + _sizes[size]
                bodies.append(block[first:place])
        if place != len(block) or not events:
            return None
        if unusual > events // 2:
            self._usual = _like(block[start:])
        return Found(sequence, enqueued, bodies)


class _Sizes(dict[bytes, int]):
    """What a length means; few occur, so each is worked out once."""

    def __missing__(self, written: bytes) -> int:
        size = int(whole_numbers([written])[0])
        # Only in a damaged block is one negative; this one then ends behind the block.
        self[written] = size if size >= 0 else 2**62
        return self[written]


_sizes = _Sizes()


def whole_numbers(written: list[bytes]) -> NDArray[np.int64]:
    """Avro's whole numbers: seven bits a byte, the lowest first; odd ones are negative.

    Returns:
        Shape (n,), int64; n is at least one.
    """
    data = np.frombuffer(b"".join(written), np.uint8)
    length = np.array([len(part) for part in written])
    first = np.concatenate([[0], np.cumsum(length)[:-1]])
    place = np.arange(len(data)) - np.repeat(first, length)
    bits = (data & np.uint8(0x7F)).astype(np.uint64) << (7 * place).astype(np.uint64)
    number = np.bitwise_or.reduceat(bits, first)
    return (number >> np.uint64(1)).astype(np.int64) ^ -(number & np.uint64(1)).astype(np.int64)


@cache
def _fits_all() -> re.Pattern[bytes]:
    """Any event with text of at most 127 bytes and at most 12 properties of either kind."""
    text = b"(?:%s)" % b"|".join(_text(length) for length in range(_LONGEST_TEXT + 1))
    value = rb"(?:\x00%s|\x02.{8}|[\x04\x06]%s|\x08)" % (_LONG, text)
    entries = (
        _number(count) + b"(?:%s%s){%d}" % (text, value, count)
        for count in range(1, _MOST_ENTRIES + 1)
    )
    properties = rb"(?:\x00|(?:%s)\x00)" % b"|".join(entries)
    fields = (b"(%s)" % _LONG, text, b"(%s)" % text, properties, properties, _BODY)
    return re.compile(b"".join(fields), re.DOTALL)


def _like(written: bytes) -> re.Pattern[bytes]:
    """Events whose texts are as long as those of the one with which `written` begins."""
    event: Any = fastavro.schemaless_reader(io.BytesIO(written), SCHEMA)
    texts = len(event["Offset"].encode()), len(event["EnqueuedTimeUtc"].encode())
    return _of_shape(texts, _shape(event["SystemProperties"]), _shape(event["Properties"]))


def _shape(properties: Mapping[str, Any]) -> _Shape:
    """The type and the length of each name and value."""
    items = (item for entry in properties.items() for item in entry)
    raw = (item.encode() if isinstance(item, str) else item for item in items)
    kinds = (type(item) for entry in properties.items() for item in entry)
    return tuple(
        (kind, len(item) if isinstance(item, bytes) else 0)
        for kind, item in zip(kinds, raw, strict=True)
    )


@lru_cache(maxsize=256)
def _of_shape(texts: tuple[int, int], system: _Shape, user: _Shape) -> re.Pattern[bytes]:
    offset, time = texts
    fields = (
        b"(%s)" % _LONG,
        _text(offset),
        _number(time) + b"(.{%d})" % time,
        _map(system),
        _map(user),
        _BODY,
    )
    return re.compile(b"".join(fields), re.DOTALL)


def _map(shape: _Shape) -> bytes:
    """A map in which names, which stand in even places, and values are so long."""
    if not shape:
        return rb"\x00"
    written = [_number(len(shape) // 2)]
    for place, (kind, length) in enumerate(shape):
        written.append(_text(length) if place % 2 == 0 else _value(kind, length))
    return b"".join(written) + rb"\x00"


def _value(kind: type, length: int) -> bytes:
    """A value of a map, after the number of its type."""
    if kind is int:
        return rb"\x00" + _LONG
    if kind is float:
        return rb"\x02.{8}"
    if kind is type(None):
        return rb"\x08"
    return (rb"\x04" if kind is str else rb"\x06") + _text(length)


def _text(length: int) -> bytes:
    """A text of so many bytes, after its length."""
    return _number(length) + (rb".{%d}" % length if length else b"")


def _number(number: int) -> bytes:
    """A whole number from 0 to 8191, as Avro writes it."""
    doubled = 2 * number
    low = doubled & 0x7F
    return re.escape(bytes([low] if doubled < 0x80 else [low | 0x80, doubled >> 7]))
