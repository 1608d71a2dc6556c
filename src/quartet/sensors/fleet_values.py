"""What the sensors of a simulated fleet measure in normal times.

A value is the sensor's level, a daily cycle as machines have that work in shifts, and
noise of two parts: one that is new with each reading, and one that fades over minutes, as
processes have that settle slowly. Levels, cycles and noise differ between sensors of one
kind, so that each needs a model of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from quartet.sensors.settings import Fleet

Array = NDArray[np.float64]
Times = NDArray[np.int64]

SECOND = 1_000_000
"""Microseconds."""
DAY = 86_400
"""Seconds."""
_FADES = 1200.0
"""Seconds after which 1/e of the slow part of the noise is left."""
_SECOND_WAVE = 0.3
"""Height of a wave of half a day's length on top of the daily one."""
_CYCLE_DEVIATION = np.sqrt((1 + _SECOND_WAVE**2) / 2)
_MOST_CELLS = 1_000_000
"""Readings that are made at a time, about."""


class Kind(NamedTuple):
    """What sensors of one kind measure: level, height of the daily cycle and noise in `unit`."""

    name: str
    unit: str
    level: float
    swing: float
    noise: float
    digits: int


KINDS = (
    Kind("temperature", "°C", 62.0, 5.0, 0.8, 1),
    Kind("vibration", "mm/s", 2.8, 0.5, 0.12, 2),
    Kind("pressure", "bar", 5.2, 0.3, 0.06, 2),
    Kind("current", "A", 14.0, 2.5, 0.5, 1),
    Kind("flow", "l/min", 38.0, 4.0, 0.9, 1),
    Kind("humidity", "%", 45.0, -4.0, 1.0, 1),
)


class Part(NamedTuple):
    """All readings of some moments, one after the other.

    Attributes:
        first: Number of the first moment; the fleet's first has 0.
        time: Of each device at each moment, microseconds since the epoch; shape (m, devices).
        measured: Of each sensor, in the order of `FleetValues.pairs`; shape (m, pairs).
        present: Whether the reading arrives at all; shape (m, pairs).
    """

    first: int
    time: Times
    measured: Array
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class FleetValues:
    """The sensors of a fleet and the moments at which they are read."""

    fleet: Fleet

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Device and sensor, those of a device side by side."""
        return tuple(
            (f"device-{device}", _sensor_name(sensor))
            for device in range(1, self.fleet.devices + 1)
            for sensor in range(self.fleet.sensors)
        )

    @property
    def moments(self) -> int:
        """How often each sensor is read."""
        return int(self.fleet.days * DAY / self.fleet.period_seconds)

    @property
    def period(self) -> int:
        """Time between two moments; microseconds."""
        return round(self.fleet.period_seconds * SECOND)

    @cached_property
    def first(self) -> Times:
        """The first moment of each device; microseconds since the epoch, shape (devices,).

        Devices do not measure at the same time, but spread over the period.
        """
        start = round(datetime.fromisoformat(self.fleet.start).timestamp() * SECOND)
        step = SECOND if self.period >= SECOND else 1_000
        golden = np.arange(self.fleet.devices) * 0.6180339887 % 1
        return start + (golden * self.period).astype(np.int64) // step * step

    @cached_property
    def spread(self) -> Array:
        """Standard deviation of each sensor's normal values over a day; shape (pairs,)."""
        swing, noise = self._shape[1:3]
        return np.hypot(swing * _CYCLE_DEVIATION, noise)

    def round(self, values: Array) -> Array:
        """Values of shape (m, pairs) to the digits that the sensors state; none is negative."""
        scale = 10.0 ** np.array([kind.digits for kind in self._kinds])
        return np.maximum(np.rint(values * scale), 0) / scale

    @cached_property
    def _kinds(self) -> list[Kind]:
        return [
            KINDS[number % self.fleet.sensors % len(KINDS)] for number in range(len(self.pairs))
        ]

    @cached_property
    def _shape(self) -> tuple[Array, Array, Array, Array]:
        """Level, swing, noise and hour of the cycle of each sensor."""
        generator = np.random.default_rng([self.fleet.seed, 0])
        drawn = generator.uniform(size=(4, len(self.pairs)))
        level, swing, noise = (
            np.array([getattr(kind, name) for kind in self._kinds])
            for name in ("level", "swing", "noise")
        )
        return (
            level * (0.85 + 0.3 * drawn[0]),
            swing * (0.7 + 0.6 * drawn[1]),
            noise * (0.7 + 0.6 * drawn[2]),
            2 * drawn[3],
        )

    def parts(self) -> Iterator[Part]:
        """The whole stream; the same however many moments are made at a time."""
        level, swing, noise, hour = self._shape
        fast, slow, loss = (
            np.random.default_rng([self.fleet.seed, number]) for number in (1, 2, 3)
        )
        keep = float(np.exp(-self.fleet.period_seconds / _FADES))
        before = np.random.default_rng([self.fleet.seed, 4]).normal(size=(1, len(self.pairs)))
        state = keep * before
        rows = max(1, _MOST_CELLS // len(self.pairs))
        for first in range(0, self.moments, rows):
            count = min(rows, self.moments - first)
            shape = (count, len(self.pairs))
            steps = np.sqrt(1 - keep**2) * slow.normal(size=shape)
            faded, state = lfilter([1.0], [1.0, -keep], steps, axis=0, zi=state)
            moment = first + np.arange(count)
            time = self.first + self.period * moment[:, None]
            cycle = _daily(np.repeat(time, self.fleet.sensors, axis=1), hour)
            mixed = np.sqrt(0.5) * (faded + fast.normal(size=shape))
            measured = level + swing * cycle + noise * mixed
            present = loss.random(size=shape) >= self.fleet.lost
            yield Part(first, time, measured, present)


def _sensor_name(number: int) -> str:
    name = KINDS[number % len(KINDS)].name
    return name if number < len(KINDS) else f"{name}-{number // len(KINDS) + 1}"


def _daily(time: Times, hour: Array) -> Array:
    """The cycle over a day, which begins to rise at about eight."""
    angle = 2 * np.pi * ((time % (DAY * SECOND)) / (DAY * SECOND) - (8 + hour) / 24)
    return np.sin(angle) + _SECOND_WAVE * np.sin(2 * angle)
