"""What a reading must be: names, a time with its zone, a finite value.

Readings are checked many at a time: names once for each distinct one, times and values as arrays.
A column in which one of many thousand is written in a less usual way is parsed one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from quartet.sensors.batch import Batch, Fault, FileEntry
from quartet.sensors.readings import NO_READINGS, SCHEMA, dictionary_encode

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
_OTHER = object()
"""Stands for each name that is neither text nor a whole number; not all of these have a hash."""

Reasons = dict[int, str]
"""By the number of a row, the first reason for which its reading is not taken."""
Parsed = TypeVar("Parsed", int, float)


class FaultError(ValueError):
    """Why a reading is not taken; the same words for the same fault."""


class Checks:
    """Checks the readings of one file and keeps the valid ones.

    Args:
        file: Name of the file.
        version: What the ledger tells its content by.
        known_devices: Devices to take; all, if there are none.
        tolerance_seconds: How far a timestamp may lie after the reading's arrival.
        zone: Zone of timestamps that state none; without it they are faulty.
        text_values: Whether a value may be written as text, as it is in a CSV file.
    """

    def __init__(
        self,
        file: str,
        version: str = "",
        known_devices: Sequence[str] = (),
        tolerance_seconds: int = 0,
        zone: ZoneInfo | None = None,
        text_values: bool = False,
    ) -> None:
        self._entry = FileEntry(file, version)
        self._devices = _Names("device", known_devices)
        self._sensors = _Names("sensor")
        self._tolerance = tolerance_seconds * 1_000_000
        self._zone = zone
        self._text_values = text_values
        self._parts: list[list[NDArray[Any]]] = []
        self._faults: list[Fault] = []
        self._quarantined = 0

    def take(
        self,
        columns: Sequence[Sequence[Any]],
        position: NDArray[np.int64],
        arrival: NDArray[np.int64],
        body: Callable[[int], str],
    ) -> None:
        """Keep the valid ones of n readings, and note the others.

        Args:
            columns: Devices, sensors, timestamps and values as they came, of any type.
            position: Where each is in its file; shape (n,).
            arrival: When each came, in microseconds since the epoch; shape (n,).
            body: Gives the text of the reading in a row, to show what is wrong with it.
        """
        devices, sensors, timestamps, values = columns
        reasons: Reasons = {}
        device = self._devices.encode(devices, reasons)
        sensor = self._sensors.encode(sensors, reasons)
        time = _parse_times(timestamps, self._zone, reasons)
        _mark(time < 0, "timestamp lies before 1970", reasons)
        _mark(time > arrival + self._tolerance, "timestamp lies in the future", reasons)
        value = _parse_values(values, self._text_values, reasons)
        _mark(~np.isfinite(value), "value is not finite", reasons)
        _mark(np.abs(value) > LARGEST_VALUE, f"value lies beyond ±{LARGEST_VALUE:g}", reasons)
        part: list[NDArray[Any]] = [device, sensor, time, value, position]
        if reasons:
            for row in sorted(reasons):
                self.note(int(position[row]), reasons[row], body(row))
            valid = np.ones(len(position), dtype=bool)
            valid[list(reasons)] = False
            part = [column[valid] for column in part]
        self._parts.append(part)

    def note(self, position: int, reason: str, body: str | bytes) -> None:
        """Count a fault, and keep it if it is among the first thousand."""
        self._quarantined += 1
        if len(self._faults) < MOST_NOTED:
            raw = body if isinstance(body, bytes) else body.encode("utf-8", "backslashreplace")
            shown = raw[: 4 * _SHOWN].decode("utf-8", "backslashreplace").replace("\0", "\\0")
            self._faults.append(Fault(self._entry.name, position, reason, shown[:_SHOWN]))

    def result(self) -> Batch:
        """Return all that was taken and noted."""
        readings = NO_READINGS
        if self._parts:
            device, sensor, *others = map(np.concatenate, zip(*self._parts, strict=True))
            file = dictionary_encode([self._entry.name], np.zeros(len(device), np.int32))
            devices = dictionary_encode(self._devices.texts, device)
            sensors = dictionary_encode(self._sensors.texts, sensor)
            readings = pa.table([devices, sensors, *others, file], schema=SCHEMA)
        entry = self._entry._replace(readings=readings.num_rows, quarantined=self._quarantined)
        return Batch([entry], self._faults, readings)


class _Names(dict[Any, int]):
    """Codes of the names of devices or sensors; each is checked when it first occurs.

    A code is an index into `texts`; of a faulty name it is negative, one's complement of an
    index into its reasons.
    """

    def __init__(self, kind: str, known: Sequence[str] = ()) -> None:
        self._kind = kind
        self._known = frozenset(known)
        self._code_of: dict[str, int] = {}
        self._reasons: list[str] = []

    @property
    def texts(self) -> list[str]:
        """The valid names as text, by code; the name 7 is the same as the name "7"."""
        return list(self._code_of)

    def encode(self, names: Sequence[Any], reasons: Reasons) -> NDArray[np.int32]:
        """Return the codes of names, negative ones for those that are faulty."""
        if not set(map(type, names)) <= {str, int, type(None)}:
            names = [name if type(name) in {str, int, type(None)} else _OTHER for name in names]
        codes = np.fromiter(map(self.__getitem__, names), np.int32, len(names))
        for row in np.flatnonzero(codes < 0).tolist():
            reasons.setdefault(row, self._reasons[~codes[row]])
        return codes

    def __missing__(self, name: Any) -> int:
        try:
            code = self._code_of.setdefault(self._checked(name), len(self._code_of))
        except FaultError as fault:
            code = ~len(self._reasons)
            self._reasons.append(str(fault))
        self[name] = code
        return code

    def _checked(self, name: Any) -> str:
        if name is None:
            raise FaultError(f"has no {self._kind}")
        if name is _OTHER:
            raise FaultError(f"{self._kind} is neither text nor a whole number")
        text = str(name)
        if not text or text != text.strip():
            raise FaultError(f"{self._kind} is empty or has blanks around it")
        if not text.isprintable():
            raise FaultError(f"{self._kind} holds characters that cannot be shown")
        if len(text.encode("utf-16-le")) > 2 * LONGEST_NAME:
            raise FaultError(f"{self._kind} is longer than {LONGEST_NAME} characters")
        if self._known and text not in self._known:
            raise FaultError(f"unknown {self._kind}")
        return text


def _mark(faulty: NDArray[np.bool_], reason: str, reasons: Reasons) -> None:
    for row in np.flatnonzero(faulty).tolist():
        reasons.setdefault(row, reason)


def _parse_times(
    timestamps: Sequence[Any], zone: ZoneInfo | None, reasons: Reasons
) -> NDArray[np.int64]:
    """Return ISO 8601 as microseconds since the epoch; 0 for what is nothing of the kind.

    Arrow reads a part of what Python does, alike: a date, a time, at most nine digits of
    a second, and either no zone at all or one with each.
    """
    if set(map(type, timestamps)) == {str}:
        # In nanoseconds, as .NET writes seven digits, which microseconds have no place for.
        for kind in (pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
            try:
                times = pa.array(timestamps, pa.string()).cast(kind)
                if kind.tz is None:
                    if zone is None:
                        break
                    # Of an hour that occurs twice the first is meant, as in Python.
                    times = pc.assume_timezone(times, zone.key, ambiguous="earliest")
                return times.cast(pa.int64()).to_numpy() // 1000
            except (pa.ArrowInvalid, UnicodeEncodeError):
                continue
    return np.array(_one_by_one(lambda time: _time(time, zone), timestamps, reasons), np.int64)


def _parse_values(values: Sequence[Any], text: bool, reasons: Reasons) -> NDArray[np.float64]:
    """Return values as numbers, which may not be finite; 0 for what is no number."""
    kinds = set(map(type, values))
    try:
        if kinds <= {float, int}:
            return np.array(values, np.float64)
        if text and kinds == {str}:
            return pa.array(values, pa.string()).cast(pa.float64()).to_numpy()
    except (OverflowError, pa.ArrowInvalid, UnicodeEncodeError):
        pass
    return np.array(_one_by_one(lambda value: _number(value, text), values, reasons), np.float64)


def _one_by_one(
    parse: Callable[[Any], Parsed], values: Sequence[Any], reasons: Reasons
) -> list[Parsed | int]:
    """Return what each value is, 0 for those that cannot be parsed."""
    parsed: list[Parsed | int] = []
    for row, value in enumerate(values):
        try:
            parsed.append(parse(value))
        except FaultError as fault:
            reasons.setdefault(row, str(fault))
            parsed.append(0)
    return parsed


def _time(timestamp: Any, zone: ZoneInfo | None) -> int:
    if timestamp is None:
        raise FaultError("has no timestamp")
    try:
        moment = datetime.fromisoformat(timestamp)
    except (ValueError, TypeError):
        raise FaultError("timestamp is not ISO 8601") from None
    if moment.tzinfo is None:
        if zone is None:
            raise FaultError("timestamp has no zone")
        moment = moment.replace(tzinfo=zone)
    return (moment - _EPOCH) // _MICROSECOND


def _number(value: Any, text: bool) -> float:
    if value is None:
        raise FaultError("has no value")
    if text and type(value) is str and "_" not in value:
        try:
            return float(value)
        except ValueError:
            raise FaultError("value is not a number") from None
    if type(value) not in {int, float}:
        raise FaultError("value is not a number")
    try:
        return float(value)
    except OverflowError:
        return LARGEST_VALUE * 10
