"""What a reading must be: names, a time with its zone, a finite value.

Readings are checked many at a time. As soon as one of these has a fault, or is written in
a less usual way, all of them are checked one after the other, which takes three times as
long and gives the reason.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from quartet.sensors.readings import EMPTY, Pair, Readings, concatenate

FAULT_COLUMNS = ["file", "position", "reason", "body"]
MOST_NOTED = 1_000
"""Faults of a file that are shown; all are counted."""
LONGEST_NAME = 128
"""Units of UTF-16 in the name of a device or a sensor: what its column in Azure SQL holds."""
LARGEST_VALUE = 1e100
"""Beyond, the standard deviation of a window could not be computed."""
_SHOWN = 200
"""Characters of a faulty body that are shown."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Decoded:
    """What a file, or a part of a table, held.

    Attributes:
        readings: The sound ones, in the order of the file.
        faults: The others, at most a thousand: `file`, `position` (sequence number, or row of
            the table), `reason` and the beginning of the `body`.
        reasons: How many have which fault; all of them.
    """

    readings: Readings
    faults: pd.DataFrame
    reasons: Counter[str]


NOTHING = Decoded(EMPTY, pd.DataFrame(columns=FAULT_COLUMNS), Counter())
"""What an empty file holds."""


@dataclass(frozen=True)
class Rows:
    """Readings as they came: n devices, sensors, timestamps and values (`measured`), of any type.

    Attributes:
        position: Where each stands in its file; shape (n,), int64.
        arrival: The time, in microseconds since the epoch, when each came; shape (n,), int64.
        body: Gives the text of the reading in a row, to show what was wrong with it.
    """

    devices: Sequence[Any]
    sensors: Sequence[Any]
    timestamps: Sequence[Any]
    measured: Sequence[Any]
    position: NDArray[np.int64]
    arrival: NDArray[np.int64]
    body: Callable[[int], str]


class FaultError(ValueError):
    """Why a reading is not taken; the same words for the same fault."""


class Checks:
    """Checks the readings of one file and keeps the sound ones.

    Args:
        file: Name of the file, for the faults.
        known_devices: Devices to take; all, if there are none.
        tolerance_seconds: How far a timestamp may lie after the reading's arrival.
        zone: Zone of timestamps that state none; without it they are faulty.
        text_values: Whether a value may be written as text, as it is in a CSV file.
    """

    def __init__(
        self,
        file: str,
        known_devices: Sequence[str] = (),
        tolerance_seconds: int = 0,
        zone: ZoneInfo | None = None,
        text_values: bool = False,
    ) -> None:
        self._file = file
        self._known = frozenset(known_devices)
        self._tolerance = tolerance_seconds * 1_000_000
        self._zone = zone
        self._text_values = text_values
        self._pairs: dict[Pair, int] = {}
        self._parts: list[Readings] = []
        self._noted: list[tuple[str, int, str, str]] = []
        self._reasons: Counter[str] = Counter()

    def take(self, rows: Rows) -> None:
        """Keep the sound ones of these readings, and note the others."""
        part = self._together(rows) or self._one_by_one(rows)
        self._parts.append(part)

    def note(self, position: int, reason: str, body: str | bytes) -> None:
        """Count a fault, and keep it if it is among the first thousand."""
        self._reasons[reason] += 1
        if len(self._noted) < MOST_NOTED:
            raw = body if isinstance(body, bytes) else body.encode("utf-8", "backslashreplace")
            shown = raw[: 4 * _SHOWN].decode("utf-8", "backslashreplace").replace("\0", "\\0")
            self._noted.append((self._file, int(position), reason, shown[:_SHOWN]))

    def result(self) -> Decoded:
        """All that was taken and noted."""
        faults = pd.DataFrame(self._noted, columns=FAULT_COLUMNS)
        pairs = tuple(self._pairs)
        whole = [
            Readings(pairs, part.pair, part.timestamp, part.value, part.sequence)
            for part in self._parts
        ]
        return Decoded(concatenate(whole), faults, self._reasons)

    def _together(self, rows: Rows) -> Readings | None:
        """All of the readings; None if one may be faulty."""
        pair = self._known_pairs(rows)
        timestamp = None if pair is None else _microseconds(rows.timestamps, self._zone)
        value = None if timestamp is None else _numbers(rows.measured, self._text_values)
        if pair is None or timestamp is None or value is None:
            return None
        in_time = (timestamp >= 0) & (timestamp <= rows.arrival + self._tolerance)
        if not (in_time & (np.abs(value) <= LARGEST_VALUE)).all():
            return None
        return Readings((), pair, timestamp, value, rows.position)

    def _known_pairs(self, rows: Rows) -> NDArray[np.int32] | None:
        devices, sensors = _names(rows.devices), _names(rows.sensors)
        if devices is None or sensors is None:
            return None
        numbers = list(map(self._pairs.get, zip(devices, sensors, strict=True)))
        if None in numbers:
            try:
                for device, sensor in set(zip(devices, sensors, strict=True)):
                    self._pair(device, sensor)
            except FaultError:
                return None
            numbers = list(map(self._pairs.get, zip(devices, sensors, strict=True)))
        return np.array(numbers, np.int32)

    def _one_by_one(self, rows: Rows) -> Readings:
        kept, found = [], []
        latest = (rows.arrival + self._tolerance).tolist()
        columns = (rows.devices, rows.sensors, rows.timestamps, rows.measured)
        for row, (device, sensor, timestamp, value) in enumerate(zip(*columns, strict=True)):
            try:
                pair = self._pair(device, sensor)
                time = self._time(timestamp, latest[row])
                found.append((pair, time, _finite(value, self._text_values)))
                kept.append(row)
            except FaultError as fault:
                self.note(int(rows.position[row]), str(fault), rows.body(row))
        return Readings(
            (),
            np.array([pair for pair, _, _ in found], np.int32),
            np.array([time for _, time, _ in found], np.int64),
            np.array([number for _, _, number in found], np.float64),
            rows.position[np.array(kept, np.int64)],
        )

    def _pair(self, device: Any, sensor: Any) -> int:
        pair = (_name("device", device), _name("sensor", sensor))
        if self._known and pair[0] not in self._known:
            raise FaultError("unknown device")
        return self._pairs.setdefault(pair, len(self._pairs))

    def _time(self, timestamp: Any, latest: int) -> int:
        moment = _moment(timestamp)
        if moment.tzinfo is None:
            if self._zone is None:
                raise FaultError("timestamp has no zone")
            moment = moment.replace(tzinfo=self._zone)
        time = (moment - _EPOCH) // _MICROSECOND
        if time < 0:
            raise FaultError("timestamp lies before 1970")
        if time > latest:
            raise FaultError("timestamp lies in the future")
        return time


def _name(kind: str, name: Any) -> str:
    """The name of a device or a sensor."""
    if name is None:
        raise FaultError(f"has no {kind}")
    if type(name) is int:
        name = str(name)
    if type(name) is not str:
        raise FaultError(f"{kind} is neither text nor a whole number")
    if not name or name != name.strip():
        raise FaultError(f"{kind} is empty or has blanks around it")
    if not name.isprintable():
        raise FaultError(f"{kind} holds characters that cannot be shown")
    if len(name.encode("utf-16-le")) > 2 * LONGEST_NAME:
        raise FaultError(f"{kind} is longer than {LONGEST_NAME} characters")
    return name


def _moment(timestamp: Any) -> datetime:
    if isinstance(timestamp, datetime):
        return timestamp
    if timestamp is None:
        raise FaultError("has no timestamp")
    try:
        return datetime.fromisoformat(timestamp)
    except (ValueError, TypeError):
        raise FaultError("timestamp is not ISO 8601") from None


def _finite(value: Any, text: bool) -> float:
    if value is None:
        raise FaultError("has no value")
    if text and type(value) is str and "_" not in value:
        try:
            value = float(value)
        except ValueError:
            raise FaultError("value is not a number") from None
    if type(value) not in (int, float):
        raise FaultError("value is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = LARGEST_VALUE * 10
    if not math.isfinite(number):
        raise FaultError("value is not finite")
    if abs(number) > LARGEST_VALUE:
        raise FaultError(f"value lies beyond ±{LARGEST_VALUE:g}")
    return number


def _names(names: Sequence[Any]) -> Sequence[str] | None:
    """Names as text; None if one is neither that nor a whole number."""
    kinds = set(map(type, names))
    if kinds <= {str}:
        return names
    return [str(name) for name in names] if kinds <= {str, int} else None


def _numbers(values: Sequence[Any], text: bool) -> NDArray[np.float64] | None:
    """Values as numbers; None if one is written otherwise. They may not be finite."""
    kinds = set(map(type, values))
    if kinds <= {float, int}:
        try:
            return np.array(values, np.float64)
        except OverflowError:
            return None
    if not text or kinds != {str}:
        return None
    try:
        return pa.array(values, pa.string()).cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None


def _microseconds(timestamps: Sequence[Any], zone: ZoneInfo | None) -> NDArray[np.int64] | None:
    """Timestamps as microseconds since the epoch; None if one is not in the usual form.

    Arrow reads a part of what Python does, alike: a date, a time, at most nine digits of
    a second, and either no zone at all or one with each.
    """
    if set(map(type, timestamps)) != {str}:
        return None
    written = pa.array(timestamps, pa.string())
    # In nanoseconds, as .NET writes seven digits, which microseconds have no place for.
    for kind in (pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
        try:
            times = written.cast(kind)
            if kind.tz is None:
                if zone is None:
                    return None
                # Of an hour that occurs twice the first is meant, as in Python.
                times = pc.assume_timezone(times, zone.key, ambiguous="earliest")
            return times.cast(pa.int64()).to_numpy() // 1000
        except pa.ArrowInvalid:
            continue
    return None
