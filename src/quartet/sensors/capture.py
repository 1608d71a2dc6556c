"""Decoding of readings from files written by Azure Event Hubs Capture.

The body of an event is one reading as a JSON object, or an array of several:
`{"device": "press-1", "sensor": "pressure", "timestamp": "2026-03-02T09:05:07Z", "value": 4.2}`.
Or it is one or several of them on each line, as Azure Stream Analytics writes them. Further fields
are ignored.
"""

from __future__ import annotations

import codecs
import json
from operator import itemgetter
from typing import Any

import numpy as np
import orjson

from quartet.sensors.batch import Batch
from quartet.sensors.checks import ReadingChecker
from quartet.sensors.events import Events, read_events
from quartet.sensors.settings import SensorIngestion

_FIELDS = ("device", "sensor", "timestamp", "value")


def decode_capture(
    content: bytes, name: str, settings: SensorIngestion, version: str = ""
) -> Batch:
    """Decode and check all readings of a capture file.

    Args:
        content: The complete file.
        name: Name of the file in the ledger and the quarantine.
        settings: Known devices and clock tolerance.
        version: Version of the file in the ledger.

    Raises:
        UnreadableCaptureError: The file is truncated or damaged, is not an Avro container, or its
            records lack a field of an event.
    """
    checker = ReadingChecker(
        name, version, settings.known_devices, settings.clock_tolerance_seconds
    )
    for events in read_events(content):
        _check_events(events, checker)
    return checker.to_batch()


def _check_events(events: Events, checker: ReadingChecker) -> None:
    """Check the readings in the bodies of events, and quarantine invalid bodies."""
    items, event = _parse_bodies(events, checker)
    try:
        columns = [list(map(itemgetter(field), items)) for field in _FIELDS]
    except KeyError:
        columns = [[item.get(field) for item in items] for field in _FIELDS]

    def body(row: int) -> str | bytes:
        content = events.bodies[event[row]] or b""
        # Of an array or of several lines only the reading itself is shown.
        is_object = content.lstrip().startswith(b"{") and b"\n" not in content.strip()
        return content if is_object else json.dumps(items[row])

    checker.check(columns, events.sequence[event], events.arrival[event], body)


def _parse_bodies(
    events: Events, checker: ReadingChecker
) -> tuple[list[dict[str, Any]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the JSON objects in the bodies of events, and the index of each one's event."""
    bodies = events.bodies
    event = np.arange(len(bodies))
    try:
        items: list[Any] = list(map(orjson.loads, bodies))  # type: ignore[arg-type]
    except orjson.JSONDecodeError:  # also raised for a body that is None
        items, valid_events = [], []
        for index, body in enumerate(bodies):
            try:
                items.append(_parse(body))
                valid_events.append(index)
            except ValueError as fault:
                sequence = int(events.sequence[index])
                lines = _split_lines(body)
                if not lines:
                    checker.quarantine(sequence, str(fault), body or b"")
                for line in lines:
                    try:
                        items.append(_parse(line))
                        valid_events.append(index)
                    except ValueError as line_fault:
                        reason = str(line_fault).replace("body", "line")
                        checker.quarantine(sequence, reason, line)
        event = np.array(valid_events, np.int64)
    kinds = set(map(type, items))
    if list in kinds:
        lists = [item if type(item) is list else [item] for item in items]
        event = np.repeat(event, [len(each) for each in lists])
        items = [item for each in lists for item in each]
        kinds = set(map(type, items))
    if not kinds <= {dict}:
        valid = np.array([type(item) is dict for item in items])
        for row in np.flatnonzero(~valid).tolist():
            sequence = int(events.sequence[event[row]])
            checker.quarantine(sequence, "is not a JSON object", json.dumps(items[row]))
        items, event = [item for item in items if type(item) is dict], event[valid]
    return items, event


def _split_lines(body: bytes | None) -> list[bytes]:
    """Return the lines of a body of line-separated JSON; none if the first is not complete JSON."""
    content = (body or b"").removeprefix(codecs.BOM_UTF8)
    lines = [line for line in map(bytes.strip, content.split(b"\n")) if line]
    if len(lines) < 2 or not _is_json(lines[0].decode("latin-1")):
        return []
    return lines


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parse(body: bytes | None) -> Any:
    """Return the content of a body, or of a line of it.

    Raises:
        ValueError: The body is not JSON; the message is one of a few.
    """
    if not body:
        raise ValueError("body is empty")
    content = body.removeprefix(codecs.BOM_UTF8)
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:  # Python also parses NaN and Infinity, which are then reported as not finite
        return json.loads(content.decode())
    except UnicodeDecodeError:
        reason = "UTF-8" if _is_json(content.decode("latin-1")) else "JSON"
        raise ValueError(f"body is not {reason}") from None
    except (ValueError, RecursionError):
        raise ValueError("body is not JSON") from None
