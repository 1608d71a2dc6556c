"""Readings out of a file that Azure Event Hubs Capture has written.

The body of an event is one reading as a JSON object, or an array of several:
`{"device": "press-1", "sensor": "pressure", "timestamp": "2026-03-02T09:05:07Z", "value": 4.2}`.
Further fields are left aside.
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import Any

import numpy as np
import orjson

from quartet.sensors.batch import Batch
from quartet.sensors.checks import Checks
from quartet.sensors.events import Events, UnreadableCaptureError, read_events
from quartet.sensors.settings import SensorIngestion

__all__ = ["UnreadableCaptureError", "decode_capture"]

_FIELDS = ("device", "sensor", "timestamp", "value")


def decode_capture(
    content: bytes, name: str, settings: SensorIngestion, version: str = ""
) -> Batch:
    """Return all readings of a capture file, checked.

    Args:
        content: The whole file.
        name: What faults and the ledger call it.
        settings: Known devices, and how far clocks may be ahead.
        version: What the ledger tells its content by.

    Raises:
        UnreadableCaptureError: The file is cut short or damaged, is no Avro container, or
            its records have not the fields of an event.
    """
    checks = Checks(name, version, settings.known_devices, settings.clock_tolerance_seconds)
    for events in read_events(content):
        _check_events(events, checks)
    return checks.result()


def _check_events(events: Events, checks: Checks) -> None:
    """Check the readings in the bodies of events; note the bodies that hold none."""
    items, event = _parse_bodies(events, checks)
    try:
        columns = [list(map(itemgetter(field), items)) for field in _FIELDS]
    except KeyError:
        columns = [[item.get(field) for item in items] for field in _FIELDS]

    def body(row: int) -> str:
        whole = events.bodies[event[row]] or b""
        # Of an array only the reading itself is shown.
        alone = whole.lstrip().startswith(b"{")
        return whole.decode("utf-8", "replace") if alone else json.dumps(items[row])

    checks.take(columns, events.sequence[event], events.arrival[event], body)


def _parse_bodies(
    events: Events, checks: Checks
) -> tuple[list[dict[str, Any]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the JSON objects in the bodies of events, and the place of the event of each."""
    bodies = events.bodies
    place = np.arange(len(bodies))
    try:
        items: list[Any] = list(map(orjson.loads, bodies))  # type: ignore[arg-type]
    except orjson.JSONDecodeError:  # also of a body that is None
        items, places = [], []
        for number, body in enumerate(bodies):
            try:
                items.append(_parse(body))
                places.append(number)
            except ValueError as fault:
                checks.note(int(events.sequence[number]), str(fault), body or b"")
        place = np.array(places, np.int64)
    kinds = set(map(type, items))
    if list in kinds:
        lists = [item if type(item) is list else [item] for item in items]
        place = np.repeat(place, [len(each) for each in lists])
        items = [item for each in lists for item in each]
        kinds = set(map(type, items))
    if not kinds <= {dict}:
        valid = np.array([type(item) is dict for item in items])
        for row in np.flatnonzero(~valid).tolist():
            sequence = int(events.sequence[place[row]])
            checks.note(sequence, "is no JSON object", json.dumps(items[row]))
        items, place = [item for item in items if type(item) is dict], place[valid]
    return items, place


def _parse(body: bytes | None) -> Any:
    """Return the content of a body.

    Raises:
        ValueError: It is not JSON; says so in the same words for every body.
    """
    if not body:
        raise ValueError("body is empty")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:  # Python also reads NaN and Infinity, so that they can be named as the fault
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        raise ValueError("body is not JSON") from None
