"""Normal values of the sensors of a simulated fleet.

A value is the sum of the sensor's level, a daily cycle, as of machines that work in shifts, and
noise: half of it white, half autocorrelated over minutes, as of processes that settle slowly.
Level, cycle and noise differ between sensors of one kind, so that each needs its own model.

Each kind of random numbers of a fleet has its own stream: the second number of its seed.
"""

from __future__ import annotations

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
_NOISE_SECONDS = 1200.0
"""Time constant of the autocorrelated noise."""
_SECOND_HARMONIC = 0.3
"""Amplitude of the second harmonic of the daily cycle, relative to the first."""
_CYCLE_DEVIATION = np.sqrt((1 + _SECOND_HARMONIC**2) / 2)


class Kind(NamedTuple):
    """A kind of sensor: level, amplitude of the daily cycle and standard deviation of noise."""

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


class Measurements(NamedTuple):
    """The readings of a fleet at m time steps.

    Attributes:
        time: Time of each device at each step, microseconds since the epoch; shape (m, devices).
        readings: Value of each sensor, in the order of `FleetSensors.pairs`; shape (m, pairs).
        present: Whether the reading arrives; shape (m, pairs).
    """

    time: Times
    readings: Array
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class FleetSensors:
    """The sensors of a fleet and the time steps at which they are read."""

    fleet: Fleet

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Device and sensor; those of a device are adjacent."""
        return tuple(
            (f"device-{device}", _sensor_name(sensor))
            for device in range(1, self.fleet.devices + 1)
            for sensor in range(self.fleet.sensors)
        )

    @property
    def steps(self) -> int:
        """Number of time steps, at each of which each sensor is read."""
        return int(self.fleet.days * DAY / self.fleet.period_seconds)

    @property
    def period(self) -> int:
        """Time between two steps in microseconds."""
        return round(self.fleet.period_seconds * SECOND)

    @cached_property
    def first(self) -> Times:
        """Time of each device's first step; microseconds since the epoch, shape (devices,).

        Devices do not measure simultaneously, but are spread over the period.
        """
        start = round(datetime.fromisoformat(self.fleet.start).timestamp() * SECOND)
        step = SECOND if self.period >= SECOND else 1_000
        # Multiples of the golden ratio are spread evenly for any number of devices.
        phase = np.arange(self.fleet.devices) * 0.6180339887 % 1
        return start + (phase * self.period).astype(np.int64) // step * step

    @cached_property
    def spread(self) -> Array:
        """Standard deviation of each sensor's normal values over a day; shape (pairs,)."""
        swing, noise = self._parameters[1:3]
        return np.hypot(swing * _CYCLE_DEVIATION, noise)

    def round(self, values: Array) -> Array:
        """Round values of shape (m, pairs) to the sensors' digits, and clip them at 0."""
        scale = 10.0 ** np.array([kind.digits for kind in self._kinds])
        return np.maximum(np.rint(values * scale), 0) / scale

    @cached_property
    def _kinds(self) -> list[Kind]:
        return [KINDS[index % self.fleet.sensors % len(KINDS)] for index in range(len(self.pairs))]

    @cached_property
    def _parameters(self) -> tuple[Array, Array, Array, Array]:
        """Level, swing, noise and hour of the cycle of each sensor, each of shape (pairs,)."""
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

    def measure(self) -> Measurements:
        """Return all readings, without anomalies."""
        level, swing, noise, hour = self._parameters
        initial, slow, white, loss = (
            np.random.default_rng([self.fleet.seed, stream]) for stream in (4, 2, 1, 3)
        )
        shape = (self.steps, len(self.pairs))
        decay = float(np.exp(-self.fleet.period_seconds / _NOISE_SECONDS))
        state = decay * initial.normal(size=(1, len(self.pairs)))
        innovations = np.sqrt(1 - decay**2) * slow.normal(size=shape)
        correlated, _ = lfilter([1.0], [1.0, -decay], innovations, axis=0, zi=state)
        time = self.first + self.period * np.arange(self.steps)[:, None]
        cycle = _daily_cycle(np.repeat(time, self.fleet.sensors, axis=1), hour)
        mixed = np.sqrt(0.5) * (correlated + white.normal(size=shape))
        readings = level + swing * cycle + noise * mixed
        return Measurements(time, readings, loss.random(size=shape) >= self.fleet.lost)


def _sensor_name(index: int) -> str:
    name = KINDS[index % len(KINDS)].name
    return name if index < len(KINDS) else f"{name}-{index // len(KINDS) + 1}"


def _daily_cycle(time: Times, hour: Array) -> Array:
    """Return the cycle over a day, which rises from about 8 o'clock."""
    angle = 2 * np.pi * ((time % (DAY * SECOND)) / (DAY * SECOND) - (8 + hour) / 24)
    return np.sin(angle) + _SECOND_HARMONIC * np.sin(2 * angle)
