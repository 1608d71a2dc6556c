"""What the devices of a simulated fleet send: events with their bodies, in the order they arrive.

Some arrive twice, hours late, or hold what is no reading, if the fleet is to show these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quartet.sensors.fleet_anomalies import AnomalyInjector, plan_anomalies
from quartet.sensors.fleet_values import SECOND, FleetValues, Part

_UNDERWAY = SECOND
"""From the measurement to Event Hubs; microseconds."""
_MINUTE, _HOUR = 60 * SECOND, 3600 * SECOND
_REPEATED_AFTER = (_MINUTE, 3 * _HOUR)
_LATE_BY = (2 * _HOUR, 12 * _HOUR)
_FUTURE = np.timedelta64(2, "D")


class Event(NamedTuple):
    """What Event Hubs takes in.

    Attributes:
        enqueued: When; microseconds since the epoch.
        device: Number of the device that sent it.
        body: None if there is nothing in it.
    """

    enqueued: int
    device: int
    body: bytes | None


Written = tuple[str, str, str]
"""Device, sensor and time."""
FAULTS: tuple[Callable[[Written], str | None], ...] = (
    lambda of: _json(*of, "20.5")[:-17],  # cut short
    lambda of: _json(*of, "NaN"),
    lambda of: _json(*of, '"n/a"'),
    lambda of: _json(of[0], of[1], of[2].removesuffix("Z"), "20.5"),  # without zone
    lambda of: _json(of[0], of[1], f"{np.datetime64(of[2][:-1]) + _FUTURE}Z", "20.5"),
    lambda of: _json(*of, "Infinity"),
    lambda of: f'{{"device":"{of[0]}","timestamp":"{of[2]}","value":20.5}}',  # of no sensor
    lambda of: None,
)
"""Bodies that ingestion must set aside, each for a reason of its own."""


def _json(device: str, sensor: str, time: str, value: str) -> str:
    return f'{{"device":"{device}","sensor":"{sensor}","timestamp":"{time}","value":{value}}}'


class _Extras(NamedTuple):
    """Rows of the grid of moments and senders at which something is wrong; what it is, by row."""

    repeated: dict[int, int]
    late: dict[int, int]
    faulty: dict[int, int]


class FleetEvents:
    """The events of a fleet.

    A sender is a device, if the fleet is batched, else a sensor.

    Attributes:
        counts: Readings sent so far: `readings`, `faulty`, `repeated` and `late`.
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
        cells = self._values.moments * self._senders
        wanted = (fleet.repeated, fleet.late, fleet.faulty)
        if sum(wanted) > cells // 2:
            raise ValueError(
                f"{sum(wanted)} faulty, repeated and late events are more than half of {cells}: "
                "let them be fewer, or days more"
            )
        rows = generator.choice(cells, sum(wanted), replace=False)
        repeated, late, faulty = np.split(rows, np.cumsum(wanted[:2]))
        after = generator.integers(*_REPEATED_AFTER, len(repeated))
        by = generator.integers(*_LATE_BY, len(late))
        kinds = np.arange(len(faulty)) % len(FAULTS)
        return _Extras(*(
            dict(zip(where.tolist(), what.tolist(), strict=True))
            for where, what in ((repeated, after), (late, by), (faulty, kinds))
        ))  # fmt: skip

    def stream(self) -> Iterator[Event]:
        """All events; of a long stream only a part is in memory, and what is still underway."""
        values = self._values
        disturbances = AnomalyInjector(values.fleet.seed, plan_anomalies(values))
        underway: list[Event] = []
        for part in map(disturbances.apply, values.parts()):
            underway += self._events(part)
            underway.sort(key=lambda event: event.enqueued)
            # What comes next is enqueued after all moments of this part.
            until = int(part.time[-1].min()) + values.period + _UNDERWAY
            ready = next(
                (row for row, event in enumerate(underway) if event.enqueued >= until),
                len(underway),
            )
            yield from underway[:ready]
            underway = underway[ready:]
        yield from underway

    def _events(self, part: Part) -> list[Event]:
        """The events of a part, in no order."""
        fleet = self._values.fleet
        row, pair = np.nonzero(part.present)
        sender = pair // fleet.sensors if fleet.batched else pair
        cell = (part.first + row) * self._senders + sender
        begins = np.flatnonzero(np.append(True, cell[1:] != cell[:-1])) if len(cell) else cell
        device = pair // fleet.sensors
        time = part.time[row, device]
        bodies, sizes = self._bodies(part, row, pair, begins)
        self.counts["readings"] += len(row)
        events = list(
            map(Event, (time[begins] + _UNDERWAY).tolist(), device[begins].tolist(), bodies)
        )
        self._disturb(events, cell[begins], sizes)
        return events + self._faulty(part)

    def _bodies(
        self, part: Part, row: NDArray[np.int64], pair: NDArray[np.int64], begins: NDArray[np.int64]
    ) -> tuple[list[bytes], NDArray[np.int64]]:
        """The bodies of events that begin at some of the readings, and their readings' numbers."""
        fleet = self._values.fleet
        before = [
            f'{{"device":"{device}","sensor":"{sensor}","timestamp":"'
            for device, sensor in self._values.pairs
        ]
        written = _iso(part.time).ravel()
        times = written[row * fleet.devices + pair // fleet.sensors].tolist()
        values = self._values.rounded(part.measured)[row, pair].tolist()
        items = [
            f'{before[number]}{time}","value":{value}}}'
            for number, time, value in zip(pair.tolist(), times, values, strict=True)
        ]
        sizes = np.diff(np.append(begins, len(items)))
        if not fleet.batched:
            return [item.encode() for item in items], sizes
        ends = (begins + sizes).tolist()
        return [
            f"[{','.join(items[first:last])}]".encode()
            for first, last in zip(begins.tolist(), ends, strict=True)
        ], sizes

    def _disturb(
        self, events: list[Event], cell: NDArray[np.int64], sizes: NDArray[np.int64]
    ) -> None:
        """Delay some events of a part, and append the repeats."""
        for name, delays in (("late", self._extras.late), ("repeated", self._extras.repeated)):
            place = np.flatnonzero(np.isin(cell, list(delays)))
            for row, number in zip(place.tolist(), cell[place].tolist(), strict=True):
                event = events[row]
                moved = event._replace(enqueued=event.enqueued + delays[number])
                if name == "late":
                    events[row] = moved
                else:
                    events.append(moved)
            self.counts[name] += int(sizes[place].sum())

    def _faulty(self, part: Part) -> list[Event]:
        fleet = self._values.fleet
        first, after = ((part.first + rows) * self._senders for rows in (0, len(part.measured)))
        events = []
        for number, kind in self._extras.faulty.items():
            if first <= number < after:
                moment, sender = divmod(number - first, self._senders)
                pair = sender * fleet.sensors if fleet.batched else sender
                time = part.time[moment, pair // fleet.sensors]
                body = FAULTS[kind]((*self._values.pairs[pair], str(_iso(time))))
                written = None if body is None else body.encode()
                events.append(Event(int(time) + _UNDERWAY, pair // fleet.sensors, written))
        self.counts["faulty"] += len(events)
        return events


def _iso(time: NDArray[np.int64]) -> NDArray[np.str_]:
    """ISO 8601 in UTC, in whole seconds if all are, else in microseconds."""
    moment: NDArray[np.datetime64] = time.astype("datetime64[us]")
    text = np.datetime_as_string(moment, unit="us" if (time % SECOND).any() else "s")
    return np.strings.add(text, "Z")
