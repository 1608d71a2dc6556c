"""Anomalies of a simulated fleet: their plan, their labels, and their effect on readings.

Sizes are in standard deviations of the sensor's normal values over a day, daily cycle included,
so that an anomaly is one at any hour. Some are small enough to be missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from quartet.sensors.fleet_values import DAY, FleetSensors, Measurements

ANOMALIES = ("spike", "stuck", "drift", "dropout", "level_shift")
"""Kinds: a few outliers; a constant value; a value that drifts for hours until the sensor is
repaired; most readings lost; a value with a constant offset for hours."""
_HOUR = 3600.0
_SECONDS = {
    "spike": (0.0, 0.05 * _HOUR),
    "stuck": (1 * _HOUR, 3 * _HOUR),
    "drift": (4 * _HOUR, 8 * _HOUR),
    "dropout": (0.5 * _HOUR, 2 * _HOUR),
    "level_shift": (1 * _HOUR, 5 * _HOUR),
}
"""Minimum and maximum duration; a spike has at least one reading, the others three."""
_SIZE = {"spike": (3.5, 9.0), "drift": (3.0, 6.0), "level_shift": (2.5, 5.0)}
"""Minimum and maximum size, in standard deviations; of a drift, at its end."""
_DROPOUT_ARRIVALS = 0.25
"""Share of readings that arrive during a dropout."""
_MIN_GAP = _HOUR
"""Minimum time between two anomalies of a sensor, in seconds."""
_ATTEMPTS = 200


class Anomaly(NamedTuple):
    """An anomaly of one sensor.

    Attributes:
        kind: One of `ANOMALIES`.
        pair: Index of the sensor in the fleet.
        first: Index of the first affected time step.
        last: Index of the last affected time step.
        size: Signed size in the sensor's unit.
    """

    kind: str
    pair: int
    first: int
    last: int
    size: float


def plan_anomalies(sensors: FleetSensors) -> list[Anomaly]:
    """Plan all anomalies of a fleet, in the order of time; kinds are equally frequent.

    Raises:
        ValueError: The anomalies do not fit into the time after the normal days.
    """
    fleet = sensors.fleet
    begin = int(np.ceil(fleet.normal_days * DAY / fleet.period_seconds))
    steps = sensors.steps - begin
    count = round(fleet.anomalies_per_day * max(0.0, fleet.days - fleet.normal_days))
    generator = np.random.default_rng([fleet.seed, 5])
    kinds = generator.permutation(np.resize(ANOMALIES, count))
    gap = int(_MIN_GAP / fleet.period_seconds)
    planned: list[Anomaly] = []
    by_pair: dict[int, list[Anomaly]] = {}
    for kind in map(str, kinds):
        for _ in range(_ATTEMPTS):
            anomaly = _draw(kind, begin, steps, sensors, generator)
            others = by_pair.setdefault(anomaly.pair, [])
            if all(
                anomaly.first > other.last + gap or anomaly.last < other.first - gap
                for other in others
            ):
                break
        else:
            raise ValueError(
                f"{count} anomalies do not fit into the time after the normal days of "
                f"{len(sensors.pairs)} sensors; decrease anomalies_per_day, or increase days"
            )
        others.append(anomaly)
        planned.append(anomaly)
    return sorted(planned, key=lambda anomaly: (anomaly.first, anomaly.pair))


def _draw(
    kind: str, begin: int, steps: int, sensors: FleetSensors, generator: np.random.Generator
) -> Anomaly:
    """Draw an anomaly in the `steps` from `begin`, at most a quarter of them long."""
    seconds = generator.uniform(*_SECONDS[kind])
    minimum = 1 if kind == "spike" else 3
    length = max(minimum, min(round(seconds / sensors.fleet.period_seconds), steps // 4))
    if length > steps:
        raise ValueError(
            f"{steps} readings of a sensor after the normal days are too few for an anomaly; "
            "increase days"
        )
    pair = int(generator.integers(len(sensors.pairs)))
    first = begin + int(generator.integers(steps - length + 1))
    size = generator.choice([-1, 1]) * generator.uniform(*_SIZE.get(kind, (0.0, 0.0)))
    return Anomaly(kind, pair, first, first + length - 1, float(size * sensors.spread[pair]))


def make_label_table(sensors: FleetSensors, anomalies: Sequence[Anomaly]) -> pd.DataFrame:
    """Return the anomalies as labels.

    Returns:
        Columns `device`, `sensor`, `start`, `end` (UTC, of the first and the last affected
        reading) and `kind`.
    """
    first = sensors.first[[anomaly.pair // sensors.fleet.sensors for anomaly in anomalies]]
    steps = np.array([(each.first, each.last) for each in anomalies], np.int64).reshape(-1, 2)
    times = first[:, None] + steps * sensors.period
    return pd.DataFrame(
        {
            "device": [sensors.pairs[anomaly.pair][0] for anomaly in anomalies],
            "sensor": [sensors.pairs[anomaly.pair][1] for anomaly in anomalies],
            "start": times[:, 0].astype("datetime64[us]"),
            "end": times[:, 1].astype("datetime64[us]"),
            "kind": [anomaly.kind for anomaly in anomalies],
        }
    )


def inject_anomalies(
    measurements: Measurements, anomalies: Sequence[Anomaly], seed: int
) -> Measurements:
    """Return measurements with the effects of anomalies."""
    readings, present = measurements.readings.copy(), measurements.present.copy()
    losses = np.random.default_rng([seed, 6])
    for kind, pair, first, last, size in anomalies:
        steps, length = slice(first, last + 1), last + 1 - first
        if kind == "dropout":
            present[steps, pair] &= losses.random(length) < _DROPOUT_ARRIVALS
        elif kind == "stuck":
            readings[steps, pair] = readings[first, pair]
        elif kind == "drift":
            readings[steps, pair] += size * np.arange(1, length + 1) / length
        else:
            readings[steps, pair] += size
    return measurements._replace(readings=readings, present=present)
