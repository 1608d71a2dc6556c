"""The events of a file that Azure Event Hubs Capture has written.

Such a file is an Avro container of records, of which three fields matter here:
`SequenceNumber`, `EnqueuedTimeUtc` and `Body`. fastavro takes the container apart. The
events in a block of it are found by `event_patterns`, which takes a quarter of the time;
blocks that it cannot read, fastavro decodes.
https://learn.microsoft.com/azure/event-hubs/event-hubs-capture-overview
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro
import numpy as np
from fastavro.schema import to_parsing_canonical_form
from numpy.typing import NDArray

from quartet.sensors.event_patterns import SCHEMA, EventFinder, Found, whole_numbers

_MAGIC = b"Obj\x01"
_NEEDED = ("SequenceNumber", "EnqueuedTimeUtc", "Body")
_LAYOUT = to_parsing_canonical_form(SCHEMA)
_TIME_FORMATS = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENTS_AT_A_TIME = 16_384


class UnreadableCaptureError(ValueError):
    """Why nothing can be read of a file: what is wrong with it."""


@dataclass(frozen=True)
class Events:
    """Some events of a file, in its order.

    Attributes:
        sequence: Their numbers in the partition of the event hub; shape (n,), int64.
        arrival: When Event Hubs took them in, microseconds since the epoch; shape (n,), int64.
            The file states seconds only: this is the end of the second.
        bodies: What was sent; n entries, None where there is none.
    """

    sequence: NDArray[np.int64]
    arrival: NDArray[np.int64]
    bodies: list[bytes | None]


def read_events(content: bytes) -> Iterator[Events]:
    """All events of a capture file, some thousands at a time.

    Raises:
        UnreadableCaptureError: The file is cut short or damaged, is no Avro container, or
            its records have not the fields of an event.
    """
    times = _Times()
    parts: list[Found] = []
    held = 0
    for part in _blocks(content):
        parts.append(part)
        held += len(part.bodies)
        if held >= _EVENTS_AT_A_TIME:
            yield _joined(parts, times)
            parts, held = [], 0
    if held:
        yield _joined(parts, times)


def _joined(parts: list[Found], times: _Times) -> Events:
    return Events(
        whole_numbers([number for part in parts for number in part.sequence]),
        np.array([times[text] for part in parts for text in part.enqueued], np.int64),
        [body for part in parts for body in part.bodies],
    )


def _blocks(content: bytes) -> Iterator[Found]:
    """The events of one Avro block after the other."""
    file = io.BytesIO(content)
    finder = EventFinder()
    try:
        reader: Any = fastavro.block_reader(file)
        usual = _has_usual_layout(reader.writer_schema)
        for block in reader:
            found = finder.find(block.bytes_.getvalue(), block.num_records) if usual else None
            yield found or _decode(block)
    except UnreadableCaptureError:
        raise
    except Exception as error:  # of a damaged file fastavro may raise nearly anything
        raise UnreadableCaptureError(_reason(content, error)) from error


def _reason(content: bytes, error: Exception) -> str:
    if not content.startswith(_MAGIC):
        return f"is no Avro container file: it begins with {content[:8]!r} instead of {_MAGIC!r}"
    detail = str(error) or type(error).__name__
    return f"is cut short or damaged, at {len(content):,} bytes ({detail})"


def _has_usual_layout(schema: Any) -> bool:
    """Whether events are laid out as Event Hubs does, and not only have the same fields.

    Raises:
        UnreadableCaptureError: The fields of an event are missing.
    """
    fields = schema.get("fields", []) if isinstance(schema, dict) else []
    names = [field["name"] for field in fields]
    if missing := [name for name in _NEEDED if name not in names]:
        raise UnreadableCaptureError(
            f"has another schema than Event Hubs Capture: its records have no {', '.join(missing)}"
            f" but {', '.join(names) or 'no fields at all'}"
        )
    return bool(to_parsing_canonical_form(schema) == _LAYOUT)


def _decode(block: Any) -> Found:
    """A block of any layout that has the three fields."""
    events = list(block)
    if block.bytes_.read(1):
        raise ValueError(f"a block holds more than its {len(events)} events")
    bodies = [event["Body"] for event in events]
    for kinds, name, values in (
        ((int,), "SequenceNumber", [event["SequenceNumber"] for event in events]),
        ((str,), "EnqueuedTimeUtc", [event["EnqueuedTimeUtc"] for event in events]),
        ((bytes, str, type(None)), "Body", bodies),
    ):
        if foreign := {type(value) for value in values} - set(kinds):
            kind = foreign.pop().__name__
            raise UnreadableCaptureError(
                f"has another schema than Event Hubs Capture: {name} is of type {kind}"
            )
    return Found(
        [_as_avro(event["SequenceNumber"]) for event in events],
        [event["EnqueuedTimeUtc"].encode() for event in events],
        [body.encode() if isinstance(body, str) else body for body in bodies],
    )


def _as_avro(number: int) -> bytes:
    """What `whole_numbers` reads."""
    file = io.BytesIO()
    fastavro.schemaless_writer(file, "long", number)
    return file.getvalue()


class _Times(dict[bytes, int]):
    """The end of the second that an enqueued time states; many events share one."""

    def __missing__(self, written: bytes) -> int:
        time = _time(written.decode("utf-8", "replace"))
        microseconds = (time - _EPOCH) // timedelta(microseconds=1)
        self[written] = microseconds + (0 if time.microsecond else 999_999)
        return self[written]


def _time(text: str) -> datetime:
    """A time as Event Hubs writes it, `3/2/2026 9:05:07 PM`, or in ISO 8601; UTC."""
    for form in _TIME_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableCaptureError(
            f"has an EnqueuedTimeUtc of {text!r}; expected one like '3/2/2026 9:05:07 PM'"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
