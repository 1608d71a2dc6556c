"""Readings out of a file that Azure Event Hubs Capture has written.

The body of an event is one reading as a JSON object, or an array of several:
`{"device": "press-1", "sensor": "pressure", "timestamp": "2026-03-02T09:05:07Z", "value": 4.2}`.
Further fields are left aside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from quartet.sensors.checks import Checks, Decoded, Rows
from quartet.sensors.events import Events, UnreadableCaptureError, read_events
from quartet.sensors.settings import SensorIngestion

__all__ = ["UnreadableCaptureError", "decode_capture"]

_FIELDS = ("device", "sensor", "timestamp", "value")


def decode_capture(content: bytes, name: str, settings: SensorIngestion) -> Decoded:
    """All readings of a capture file, checked.

    Args:
        content: The whole file.
        name: What faults call it.
        settings: Known devices, and how far clocks may be ahead.

    Raises:
        UnreadableCaptureError: The file is cut short or damaged, is no Avro container, or
            its records have not the fields of an event.
    """
    checks = Checks(name, settings.known_devices, settings.clock_tolerance_seconds)
    for events in read_events(content):
        rows = _all_in_order(events)
        if rows is None:
            _one_by_one(events, checks)
        else:
            checks.take(rows)
    return checks.result()


def _all_in_order(events: Events) -> Rows | None:
    """The readings of all events; None if one is not JSON or lacks a field."""
    try:
        items: list[Any] = list(map(orjson.loads, events.bodies))  # type: ignore[arg-type]
    except orjson.JSONDecodeError:  # also of a body that is None
        return None
    event = np.arange(len(items))
    kinds = set(map(type, items))
    if list in kinds and kinds <= {list, dict}:
        lists = [item if type(item) is list else [item] for item in items]
        items = list(chain.from_iterable(lists))
        event = np.repeat(event, [len(each) for each in lists])
    try:
        columns = [[item[field] for item in items] for field in _FIELDS]
    except (KeyError, TypeError, IndexError):
        return None
    return _rows(columns, events, event, items)


def _one_by_one(events: Events, checks: Checks) -> None:
    """Take what is a reading of any form; note the bodies that hold none."""
    items: list[dict[str, Any]] = []
    places: list[int] = []
    for place, body in enumerate(events.bodies):
        try:
            held = _parsed(body)
        except ValueError as fault:
            checks.note(int(events.sequence[place]), str(fault), body or b"")
            continue
        for item in held if type(held) is list else [held]:
            if type(item) is dict:
                items.append(item)
                places.append(place)
            else:
                shown = json.dumps(item)
                checks.note(int(events.sequence[place]), "is no JSON object", shown)
    columns = [[item.get(field) for item in items] for field in _FIELDS]
    checks.take(_rows(columns, events, np.array(places, np.int64), items))


def _parsed(body: bytes | None) -> Any:
    """The content of a body.

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


def _rows(
    columns: Sequence[list[Any]], events: Events, event: np.ndarray[Any, Any], items: list[Any]
) -> Rows:
    """The readings as columns; `event` tells the place of the event that each came with."""
    bodies = events.bodies

    def body(row: int) -> str:
        whole = bodies[event[row]] or b""
        # Of an array only the reading itself is shown.
        alone = whole.lstrip().startswith(b"{")
        return whole.decode("utf-8", "replace") if alone else json.dumps(items[row])

    devices, sensors, timestamps, values = columns
    return Rows(
        devices, sensors, timestamps, values, events.sequence[event], events.arrival[event], body
    )
