"""Decoding of events from files written by Azure Event Hubs Capture.

Such a file is an Avro container of records, of which three fields are needed here:
`SequenceNumber`, `EnqueuedTimeUtc` and `Body`. `event_patterns` finds the events in a block, in a
quarter of the time that fastavro takes; fastavro decodes the blocks that do not match.
https://learn.microsoft.com/azure/event-hubs/event-hubs-capture-overview
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro
import numpy as np
from fastavro.schema import to_parsing_canonical_form
from numpy.typing import NDArray

from quartet.sensors.codecs import decompress
from quartet.sensors.event_patterns import SCHEMA, EncodedEvents, EventFinder, decode_longs

_MAGIC = b"Obj\x01"
_HEADER = {
    "type": "record",
    "name": "org.apache.avro.file.Header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}
_NEEDED = ("SequenceNumber", "EnqueuedTimeUtc", "Body")
_LAYOUT = to_parsing_canonical_form(SCHEMA)
_TIME_FORMATS = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_EVENTS = 16_384


class UnreadableCaptureError(ValueError):
    """A capture file is truncated, damaged, or has another format."""


@dataclass(frozen=True)
class Events:
    """Consecutive events of a file.

    Attributes:
        sequence: Sequence numbers in the partition of the event hub; shape (n,), int64.
        arrival: Enqueued times in microseconds since the epoch; shape (n,), int64. The file has
            whole seconds: this is the end of the second.
        bodies: n bodies; None if empty.
    """

    sequence: NDArray[np.int64]
    arrival: NDArray[np.int64]
    bodies: list[bytes | None]


def read_events(content: bytes) -> Iterator[Events]:
    """Yield all events of a capture file, some thousands at a time.

    Raises:
        UnreadableCaptureError: The file is truncated or damaged, is not an Avro container, or its
            records lack a field of an event.
    """
    times = _EnqueuedTimes()
    blocks: list[EncodedEvents] = []
    count = 0
    for block in _read_blocks(content):
        blocks.append(block)
        count += len(block.bodies)
        if count >= _MIN_EVENTS:
            yield _concatenate(blocks, times)
            blocks, count = [], 0
    if count:
        yield _concatenate(blocks, times)


def _concatenate(blocks: list[EncodedEvents], times: _EnqueuedTimes) -> Events:
    return Events(
        decode_longs([number for block in blocks for number in block.sequence]),
        np.array([times[text] for block in blocks for text in block.enqueued], np.int64),
        [body for block in blocks for body in block.bodies],
    )


def _read_blocks(content: bytes) -> Iterator[EncodedEvents]:
    """Yield the events of each Avro block."""
    finder = EventFinder()
    try:
        schema, blocks = _open(content)
        is_standard = _has_standard_layout(schema)
        for count, block in blocks:
            found = finder.find(block, count) if is_standard else None
            yield found or _decode(block, count, schema)
    except UnreadableCaptureError:
        raise
    except Exception as error:  # fastavro and the codecs raise nearly any exception
        raise UnreadableCaptureError(_describe_damage(content, error)) from error


def _open(content: bytes) -> tuple[Any, Iterator[tuple[int, bytes]]]:
    """Return the schema of a container, and its blocks: number of records, and their bytes.

    fastavro has a reader of blocks, too, but it decompresses them without a limit.
    """
    if not content.startswith(_MAGIC):
        raise ValueError("the first bytes are others")
    file = io.BytesIO(content)
    header: Any = fastavro.schemaless_reader(file, _HEADER)
    codec = header["meta"].get("avro.codec", b"null").decode()
    schema = fastavro.parse_schema(json.loads(header["meta"]["avro.schema"]))

    def read() -> Iterator[tuple[int, bytes]]:
        while file.tell() < len(content):
            count: Any = fastavro.schemaless_reader(file, "long")
            data: Any = fastavro.schemaless_reader(file, "bytes")
            if file.read(len(header["sync"])) != header["sync"]:
                raise ValueError("a block does not end with the file's synchronisation marker")
            yield count, decompress(codec, data)

    return schema, read()


def _describe_damage(content: bytes, error: Exception) -> str:
    if not content.startswith(_MAGIC):
        return f"is not an Avro container file: it begins with {content[:8]!r}, not {_MAGIC!r}"
    detail = str(error) or type(error).__name__
    return f"is truncated or damaged; its size is {len(content):,} bytes ({detail})"


def _has_standard_layout(schema: Any) -> bool:
    """Return whether events have exactly the schema of Event Hubs Capture.

    Raises:
        UnreadableCaptureError: A required field is missing.
    """
    fields = schema.get("fields", []) if isinstance(schema, dict) else []
    names = [field["name"] for field in fields]
    if missing := [name for name in _NEEDED if name not in names]:
        raise UnreadableCaptureError(
            f"does not have the schema of Event Hubs Capture: expected the fields "
            f"{', '.join(_NEEDED)}, missing {', '.join(missing)}, found "
            f"{', '.join(names) or 'none'}"
        )
    return bool(to_parsing_canonical_form(schema) == _LAYOUT)


def _decode(block: bytes, count: int, schema: Any) -> EncodedEvents:
    """Decode a block of any layout that has the required fields."""
    file = io.BytesIO(block)
    events: list[Any] = [fastavro.schemaless_reader(file, schema) for _ in range(count)]
    if file.read(1):
        raise ValueError(f"a block has more bytes than its {len(events)} events")
    bodies = [event["Body"] for event in events]
    for kinds, name, values in (
        ((int,), "SequenceNumber", [event["SequenceNumber"] for event in events]),
        ((str,), "EnqueuedTimeUtc", [event["EnqueuedTimeUtc"] for event in events]),
        ((bytes, str, type(None)), "Body", bodies),
    ):
        if others := {type(value) for value in values} - set(kinds):
            kind = others.pop().__name__
            raise UnreadableCaptureError(
                f"does not have the schema of Event Hubs Capture: {name} is of type {kind}"
            )
    return EncodedEvents(
        [_encode_long(event["SequenceNumber"]) for event in events],
        [event["EnqueuedTimeUtc"].encode() for event in events],
        [body.encode() if isinstance(body, str) else body for body in bodies],
    )


def _encode_long(number: int) -> bytes:
    """Encode a long as `decode_longs` expects it."""
    file = io.BytesIO()
    fastavro.schemaless_writer(file, "long", number)
    return file.getvalue()


class _EnqueuedTimes(dict[bytes, int]):
    """Maps enqueued times to the end of their second; many events share one."""

    def __missing__(self, encoded: bytes) -> int:
        time = _parse_time(encoded.decode("utf-8", "replace"))
        microseconds = (time - _EPOCH) // timedelta(microseconds=1)
        self[encoded] = microseconds + (0 if time.microsecond else 999_999)
        return self[encoded]


def _parse_time(text: str) -> datetime:
    """Parse a UTC time as Event Hubs writes it, `3/2/2026 9:05:07 PM`, or in ISO 8601."""
    for time_format in _TIME_FORMATS:
        try:
            return datetime.strptime(text, time_format).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableCaptureError(
            f"has an EnqueuedTimeUtc of {text!r}; expected a time such as '3/2/2026 9:05:07 PM'"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
