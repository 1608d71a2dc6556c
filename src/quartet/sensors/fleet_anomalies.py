"""What goes wrong in a simulated fleet: when, with which sensor, and what it does to its readings.

Sizes are in deviations of the sensor's normal values over a day, daily cycle included, so
that an anomaly is one whatever the hour; some are small enough to be missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.fleet_values import DAY, FleetValues, Part

ANOMALIES = ("spike", "stuck", "drift", "dropout", "level_shift")
"""Kinds: a few readings far off; a value that stays; one that creeps away over hours until the
sensor is put right; most readings lost; a value that is off by the same amount for hours."""
_HOUR = 3600.0
_LASTS = {
    "spike": (0.0, 0.05 * _HOUR),
    "stuck": (1 * _HOUR, 3 * _HOUR),
    "drift": (4 * _HOUR, 8 * _HOUR),
    "dropout": (0.5 * _HOUR, 2 * _HOUR),
    "level_shift": (1 * _HOUR, 5 * _HOUR),
}
"""Shortest and longest, in seconds; a spike is one reading at least, the others three."""
_SIZE = {"spike": (3.5, 9.0), "drift": (3.0, 6.0), "level_shift": (2.5, 5.0)}
"""Least and largest, in deviations; of a drift, at its end."""
_ARRIVE = 0.25
"""Share of readings that still arrive in a dropout."""
_APART = _HOUR
"""Least time between two anomalies of one sensor, so that they can be told apart."""
_ATTEMPTS = 200


class Anomaly(NamedTuple):
    """What happens to one sensor.

    Attributes:
        kind: One of `ANOMALIES`.
        pair: Number of the sensor among the fleet's.
        first: Number of the first moment that is affected.
        last: Number of the last one.
        size: In the sensor's unit; signed.
    """

    kind: str
    pair: int
    first: int
    last: int
    size: float


def plan_anomalies(values: FleetValues) -> list[Anomaly]:
    """All anomalies of a fleet, in the order of time; kinds are equally frequent.

    Raises:
        ValueError: There is no room for so many.
    """
    fleet = values.fleet
    begin = int(np.ceil(fleet.normal_days * DAY / fleet.period_seconds))
    room = values.moments - begin
    count = round(fleet.anomalies_per_day * max(0.0, fleet.days - fleet.normal_days))
    generator = np.random.default_rng([fleet.seed, 5])
    kinds = generator.permutation(np.resize(ANOMALIES, count))
    apart = int(_APART / fleet.period_seconds)
    planned: list[Anomaly] = []
    taken: dict[int, list[Anomaly]] = {}
    for kind in map(str, kinds):
        for _ in range(_ATTEMPTS):
            anomaly = _draw(kind, begin, room, values, generator)
            others = taken.setdefault(anomaly.pair, [])
            if all(
                anomaly.first > other.last + apart or anomaly.last < other.first - apart
                for other in others
            ):
                break
        else:
            raise ValueError(
                f"no room for {count} anomalies after the normal days of {len(values.pairs)} "
                "sensors: let anomalies_per_day be smaller, or days more"
            )
        others.append(anomaly)
        planned.append(anomaly)
    return sorted(planned, key=lambda anomaly: (anomaly.first, anomaly.pair))


def _draw(
    kind: str, begin: int, room: int, values: FleetValues, generator: np.random.Generator
) -> Anomaly:
    """An anomaly anywhere after the normal days, not longer than a quarter of these."""
    seconds = generator.uniform(*_LASTS[kind])
    least = 1 if kind == "spike" else 3
    length = max(least, min(round(seconds / values.fleet.period_seconds), room // 4))
    if length > room:
        raise ValueError(
            f"{room} readings of a sensor after the normal days are too few for an anomaly: "
            "let days be more"
        )
    pair = int(generator.integers(len(values.pairs)))
    first = begin + int(generator.integers(room - length + 1))
    size = generator.choice([-1, 1]) * generator.uniform(*_SIZE.get(kind, (0.0, 0.0)))
    return Anomaly(kind, pair, first, first + length - 1, float(size * values.spread[pair]))


def make_label_table(values: FleetValues, anomalies: Sequence[Anomaly]) -> pd.DataFrame:
    """The anomalies as labels.

    Returns:
        Columns `device`, `sensor`, `start`, `end` (UTC, of the first and the last reading that
        is affected) and `kind`.
    """
    first = values.first[[anomaly.pair // values.fleet.sensors for anomaly in anomalies]]
    moments = np.array([(each.first, each.last) for each in anomalies], np.int64).reshape(-1, 2)
    times = first[:, None] + moments * values.period
    return pd.DataFrame(
        {
            "device": [values.pairs[anomaly.pair][0] for anomaly in anomalies],
            "sensor": [values.pairs[anomaly.pair][1] for anomaly in anomalies],
            "start": times[:, 0].astype("datetime64[us]"),
            "end": times[:, 1].astype("datetime64[us]"),
            "kind": [anomaly.kind for anomaly in anomalies],
        }
    )


class AnomalyInjector:
    """Applies anomalies to a stream, part by part."""

    def __init__(self, seed: int, anomalies: Sequence[Anomaly]) -> None:
        self._anomalies = list(anomalies)
        self._losses = np.random.default_rng([seed, 6])
        self._stuck: dict[Anomaly, float] = {}

    def apply(self, part: Part) -> Part:
        """The part with what the anomalies do to it; the part given is left as it is."""
        after = part.first + len(part.measured)
        met = [each for each in self._anomalies if each.first < after and each.last >= part.first]
        if not met:
            return part
        measured, present = part.measured.copy(), part.present.copy()
        for anomaly in met:
            rows = np.arange(max(anomaly.first, part.first), min(anomaly.last + 1, after))
            here = rows - part.first
            if anomaly.kind == "dropout":
                present[here, anomaly.pair] &= self._losses.random(len(here)) < _ARRIVE
            else:
                normal = measured[here, anomaly.pair]
                measured[here, anomaly.pair] = self._disturbed(anomaly, rows, normal)
        return part._replace(measured=measured, present=present)

    def _disturbed(
        self, anomaly: Anomaly, rows: NDArray[np.int64], normal: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        if anomaly.kind == "stuck":
            value = self._stuck.setdefault(anomaly, float(normal[0]))
            return np.full(len(rows), value)
        if anomaly.kind == "drift":
            return normal + anomaly.size * (rows + 1 - anomaly.first) / (
                anomaly.last + 1 - anomaly.first
            )
        return normal + anomaly.size
