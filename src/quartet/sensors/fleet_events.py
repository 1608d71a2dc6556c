"""Events that the devices of a simulated fleet send, in the order of arrival.

If the fleet is configured so, some arrive twice or hours late, or contain an invalid reading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quartet.sensors.fleet_values import SECOND, FleetSensors, Measurements

_TRANSIT = SECOND
"""Time from the measurement to Event Hubs in microseconds."""
_MINUTE, _HOUR = 60 * SECOND, 3600 * SECOND
_REPEAT_DELAY = (_MINUTE, 3 * _HOUR)
_LATE_DELAY = (2 * _HOUR, 12 * _HOUR)
_FUTURE = np.timedelta64(2, "D")


class Event(NamedTuple):
    """An event of Event Hubs.

    Attributes:
        enqueued: Enqueued time in microseconds since the epoch.
        device: Index of the device that sent it.
        body: Readings of all sensors of the device at a time step, as a JSON array, or an invalid
            reading; None if empty.
    """

    enqueued: int
    device: int
    body: bytes | None


FAULTS: tuple[Callable[[str, str, str], str | None], ...] = (
    lambda device, sensor, time: _json(device, sensor, time, "20.5")[:-17],  # truncated
    lambda device, sensor, time: _json(device, sensor, time, "NaN"),
    lambda device, sensor, time: _json(device, sensor, time, '"n/a"'),
    lambda device, sensor, time: _json(device, sensor, time.removesuffix("Z"), "20.5"),
    lambda device, sensor, time: _json(
        device, sensor, f"{np.datetime64(time[:-1]) + _FUTURE}Z", "20.5"
    ),
    lambda device, sensor, time: _json(device, sensor, time, "Infinity"),
    lambda device, _, time: f'{{"device":"{device}","timestamp":"{time}","value":20.5}}',
    lambda *_: None,
)
"""Create bodies that ingestion must quarantine, each for another reason."""


def _json(device: str, sensor: str, time: str, value: str | float) -> str:
    return f'{{"device":"{device}","sensor":"{sensor}","timestamp":"{time}","value":{value}}}'


def create_events(
    sensors: FleetSensors, measurements: Measurements
) -> tuple[list[Event], dict[str, int]]:
    """Return all events of a fleet in the order of arrival.

    Returns:
        The events, and the number of their readings: `readings` without repeated ones, `faulty`,
        `repeated` and `late`.

    Raises:
        ValueError: More than half of the events are to be faulty, repeated or late.
    """
    row, pair = np.nonzero(measurements.present)
    # A cell is a time step of a device, the readings of which are one event.
    cell, starts, sizes = np.unique(
        row * sensors.fleet.devices + pair // sensors.fleet.sensors,
        return_index=True,
        return_counts=True,
    )
    times = _format_time(measurements.time).ravel()
    values = sensors.round(measurements.readings)[row, pair]
    readings = [
        _json(*sensors.pairs[index], time, value)
        for index, time, value in zip(
            pair.tolist(), np.repeat(times[cell], sizes).tolist(), values.tolist(), strict=True
        )
    ]
    enqueued = measurements.time.ravel() + _TRANSIT
    events = [
        Event(time, device, f"[{','.join(readings[start : start + size])}]".encode())
        for time, device, start, size in zip(
            enqueued[cell].tolist(),
            (cell % sensors.fleet.devices).tolist(),
            starts.tolist(),
            sizes.tolist(),
            strict=True,
        )
    ]
    counts = {"readings": len(row)}
    repeated, late, faulty = _draw_irregular(sensors)
    for name, delays in (("late", late), ("repeated", repeated)):
        indices = np.flatnonzero(np.isin(cell, list(delays)))
        for index, key in zip(indices.tolist(), cell[indices].tolist(), strict=True):
            event = events[index]
            delayed = event._replace(enqueued=event.enqueued + delays[key])
            if name == "late":
                events[index] = delayed
            else:
                events.append(delayed)
        counts[name] = int(sizes[indices].sum())
    for key, fault in faulty.items():
        device = key % sensors.fleet.devices
        text = FAULTS[fault](*sensors.pairs[device * sensors.fleet.sensors], str(times[key]))
        body = None if text is None else text.encode()
        events.append(Event(int(enqueued[key]), device, body))
    counts["faulty"] = len(faulty)
    return sorted(events, key=lambda event: event.enqueued), counts


def _draw_irregular(sensors: FleetSensors) -> tuple[dict[int, int], ...]:
    """Return delays of repeated and of late events, and indices of faults, by cell."""
    fleet = sensors.fleet
    generator = np.random.default_rng([fleet.seed, 7])
    cells = sensors.steps * fleet.devices
    counts = (fleet.repeated, fleet.late, fleet.faulty)
    if sum(counts) > cells // 2:
        raise ValueError(
            f"{sum(counts)} faulty, repeated and late events are more than half of all {cells} "
            "events; decrease their number, or increase days"
        )
    chosen = generator.choice(cells, sum(counts), replace=False)
    repeated, late, faulty = np.split(chosen, np.cumsum(counts[:2]))
    values = (
        generator.integers(*_REPEAT_DELAY, len(repeated)),
        generator.integers(*_LATE_DELAY, len(late)),
        np.arange(len(faulty)) % len(FAULTS),
    )
    return tuple(
        dict(zip(each.tolist(), value.tolist(), strict=True))
        for each, value in zip((repeated, late, faulty), values, strict=True)
    )


def _format_time(time: NDArray[np.int64]) -> NDArray[np.str_]:
    """Format microseconds as ISO 8601 in UTC, in whole seconds if all are, else in microseconds."""
    timestamp: NDArray[np.datetime64] = time.astype("datetime64[us]")
    text = np.datetime_as_string(timestamp, unit="us" if (time % SECOND).any() else "s")
    return np.strings.add(text, "Z")
