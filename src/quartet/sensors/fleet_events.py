"""Events that the devices of a simulated fleet send, in the order of arrival.

If the fleet is configured so, some arrive twice or hours late, or contain an invalid reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quartet.sensors.fleet_anomalies import AnomalyInjector, plan_anomalies
from quartet.sensors.fleet_values import SECOND, FleetValues, Part

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
        body: Body; None if empty.
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


def _json(device: str, sensor: str, time: str, value: str) -> str:
    return f'{{"device":"{device}","sensor":"{sensor}","timestamp":"{time}","value":{value}}}'


class _Extras(NamedTuple):
    """Irregular events by cell, the index of a time step and sender: delay, or index of fault."""

    repeated: dict[int, int]
    late: dict[int, int]
    faulty: dict[int, int]


class FleetEvents:
    """The events of a fleet.

    A sender is a device if the fleet is batched, else a sensor.

    Attributes:
        counts: Number of readings sent so far: `readings`, `faulty`, `repeated` and `late`.
    """

    def __init__(self, values: FleetValues) -> None:
        self._values = values
        fleet = values.fleet
        self._senders = fleet.devices if fleet.batched else len(values.pairs)
        self._extras = self._draw_extras()
        self.counts = dict.fromkeys(("readings", "faulty", "repeated", "late"), 0)

    def _draw_extras(self) -> _Extras:
        fleet = self._values.fleet
        generator = np.random.default_rng([fleet.seed, 7])
        cells = self._values.steps * self._senders
        counts = (fleet.repeated, fleet.late, fleet.faulty)
        if sum(counts) > cells // 2:
            raise ValueError(
                f"{sum(counts)} faulty, repeated and late events are more than half of all {cells} "
                "events; decrease their number, or increase days"
            )
        chosen = generator.choice(cells, sum(counts), replace=False)
        repeated, late, faulty = np.split(chosen, np.cumsum(counts[:2]))
        repeat_delays = generator.integers(*_REPEAT_DELAY, len(repeated))
        late_delays = generator.integers(*_LATE_DELAY, len(late))
        faults = np.arange(len(faulty)) % len(FAULTS)
        return _Extras(*(
            dict(zip(cell.tolist(), value.tolist(), strict=True))
            for cell, value in ((repeated, repeat_delays), (late, late_delays), (faulty, faults))
        ))  # fmt: skip

    def stream(self) -> Iterator[Event]:
        """Yield all events; only a part of the stream and pending events are in memory."""
        values = self._values
        injector = AnomalyInjector(values.fleet.seed, plan_anomalies(values))
        pending: list[Event] = []
        for part in map(injector.apply, values.parts()):
            pending += self._create_events(part)
            pending.sort(key=lambda event: event.enqueued)
            # Events of later parts are enqueued after all time steps of this one.
            until = int(part.time[-1].min()) + values.period + _TRANSIT
            ready = next(
                (index for index, event in enumerate(pending) if event.enqueued >= until),
                len(pending),
            )
            yield from pending[:ready]
            pending = pending[ready:]
        yield from pending

    def _create_events(self, part: Part) -> list[Event]:
        """Return the events of a part, in any order."""
        fleet = self._values.fleet
        row, pair = np.nonzero(part.present)
        sender = pair // fleet.sensors if fleet.batched else pair
        cell = (part.first + row) * self._senders + sender
        starts = np.flatnonzero(np.append(True, cell[1:] != cell[:-1])) if len(cell) else cell
        device = pair // fleet.sensors
        time = part.time[row, device]
        bodies, sizes = self._create_bodies(part, row, pair, starts)
        self.counts["readings"] += len(row)
        events = list(
            map(Event, (time[starts] + _TRANSIT).tolist(), device[starts].tolist(), bodies)
        )
        self._add_delays(events, cell[starts], sizes)
        return events + self._create_faulty_events(part)

    def _create_bodies(
        self, part: Part, row: NDArray[np.int64], pair: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> tuple[list[bytes], NDArray[np.int64]]:
        """Return the bodies of events that start at some of the readings, and their sizes."""
        fleet = self._values.fleet
        prefixes = [
            f'{{"device":"{device}","sensor":"{sensor}","timestamp":"'
            for device, sensor in self._values.pairs
        ]
        times = _format_time(part.time).ravel()
        times = times[row * fleet.devices + pair // fleet.sensors].tolist()
        values = self._values.round(part.measured)[row, pair].tolist()
        items = [
            f'{prefixes[index]}{time}","value":{value}}}'
            for index, time, value in zip(pair.tolist(), times, values, strict=True)
        ]
        sizes = np.diff(np.append(starts, len(items)))
        if not fleet.batched:
            return [item.encode() for item in items], sizes
        ends = (starts + sizes).tolist()
        return [
            f"[{','.join(items[first:last])}]".encode()
            for first, last in zip(starts.tolist(), ends, strict=True)
        ], sizes

    def _add_delays(
        self, events: list[Event], cell: NDArray[np.int64], sizes: NDArray[np.int64]
    ) -> None:
        """Delay some events of a part, and append repeated ones."""
        for name, delays in (("late", self._extras.late), ("repeated", self._extras.repeated)):
            indices = np.flatnonzero(np.isin(cell, list(delays)))
            for index, key in zip(indices.tolist(), cell[indices].tolist(), strict=True):
                event = events[index]
                delayed = event._replace(enqueued=event.enqueued + delays[key])
                if name == "late":
                    events[index] = delayed
                else:
                    events.append(delayed)
            self.counts[name] += int(sizes[indices].sum())

    def _create_faulty_events(self, part: Part) -> list[Event]:
        fleet = self._values.fleet
        first, end = ((part.first + rows) * self._senders for rows in (0, len(part.measured)))
        events = []
        for cell, fault in self._extras.faulty.items():
            if first <= cell < end:
                step, sender = divmod(cell - first, self._senders)
                pair = sender * fleet.sensors if fleet.batched else sender
                time = part.time[step, pair // fleet.sensors]
                text = FAULTS[fault](*self._values.pairs[pair], str(_format_time(time)))
                body = None if text is None else text.encode()
                events.append(Event(int(time) + _TRANSIT, pair // fleet.sensors, body))
        self.counts["faulty"] += len(events)
        return events


def _format_time(time: NDArray[np.int64]) -> NDArray[np.str_]:
    """Format microseconds as ISO 8601 in UTC, in whole seconds if all are, else in microseconds."""
    timestamp: NDArray[np.datetime64] = time.astype("datetime64[us]")
    text = np.datetime_as_string(timestamp, unit="us" if (time % SECOND).any() else "s")
    return np.strings.add(text, "Z")
