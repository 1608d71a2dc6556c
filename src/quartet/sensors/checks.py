"""Checks of readings: names, a timestamp with a time zone, a finite value.

Readings are checked in columns: each distinct name once, timestamps and values as arrays. A column
that cannot be parsed as an array, because of a single unusual value, is parsed one by one.
"""

from __future__ import annotations

from collections import Counter
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

MAX_QUARANTINED = 1_000
"""Maximum number of quarantined readings that are kept per file; all are counted."""
MAX_NAME_LENGTH = 128
"""Maximum length of a device or sensor name in UTF-16 units: that of its column in Azure SQL."""
MAX_VALUE = 1e100
"""With larger values, the standard deviation of a window would overflow."""
_MAX_BODY = 200
"""Maximum number of characters that are kept of an invalid body."""
SUBSTITUTE = "\x1a"
"""Unicode's control character in place of an invalid one: marks bytes that are not UTF-8."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OTHER = object()
"""Replaces names that are neither text nor an integer, which may not be hashable."""

Reasons = dict[int, str]
"""Maps the index of a row to the first reason why its reading is invalid."""
Parsed = TypeVar("Parsed", int, float)


class FaultError(ValueError):
    """A reading is invalid; equal faults have equal messages."""


class ReadingChecker:
    """Checks the readings of one file and collects the valid ones.

    Args:
        file: Name of the file.
        version: Version of the file in the ledger.
        known_devices: Accepted devices; all if empty.
        tolerance_seconds: Maximum time by which a timestamp may be after the reading's arrival.
        zone: Time zone of timestamps without one; None makes them invalid.
        text_values: Whether a value may be text, as in a CSV file.
        time_format: Format that invalid timestamps should have had, for their reason.
    """

    def __init__(
        self,
        file: str,
        version: str = "",
        known_devices: Sequence[str] = (),
        tolerance_seconds: int = 0,
        zone: ZoneInfo | None = None,
        text_values: bool = False,
        time_format: str = "ISO 8601",
    ) -> None:
        self._entry = FileEntry(file, version)
        self._devices = _Names("device", known_devices)
        self._sensors = _Names("sensor")
        self._tolerance = tolerance_seconds * 1_000_000
        self._zone = zone
        self._text_values = text_values
        self._time_format = time_format
        self._has_local_times = False
        self._parts: list[list[NDArray[Any]]] = []
        self._faults: list[Fault] = []
        self._rejected: Counter[str] = Counter()

    def check(
        self,
        columns: Sequence[Sequence[Any]],
        position: NDArray[np.int64],
        arrival: NDArray[np.int64],
        body: Callable[[int], str | bytes],
    ) -> None:
        """Collect the valid ones of n readings, and quarantine the others.

        Args:
            columns: Devices, sensors, timestamps and values, of any type.
            position: Position of each reading in its file; shape (n,).
            arrival: Time of arrival of each, in microseconds since the epoch; shape (n,).
            body: Returns the reading in a row as it was received, for the quarantine.
        """
        devices, sensors, timestamps, values = columns
        reasons: Reasons = {}
        device = self._devices.encode(devices, reasons)
        sensor = self._sensors.encode(sensors, reasons)
        time, is_local = _parse_times(timestamps, self._zone, self._time_format, reasons)
        self._has_local_times |= is_local
        _mark(time < 0, "timestamp is before 1970", reasons)
        _mark(time > arrival + self._tolerance, "timestamp is in the future", reasons)
        value = _parse_values(values, self._text_values, reasons)
        _mark(~np.isfinite(value), "value is not finite", reasons)
        _mark(np.abs(value) > MAX_VALUE, f"value is beyond ±{MAX_VALUE:g}", reasons)
        part: list[NDArray[Any]] = [device, sensor, time, value, position]
        if reasons:
            for row in sorted(reasons):
                self.quarantine(int(position[row]), reasons[row], body(row))
            valid = np.ones(len(position), dtype=bool)
            valid[list(reasons)] = False
            part = [column[valid] for column in part]
        self._parts.append(part)

    def quarantine(self, position: int, reason: str, body: str | bytes) -> None:
        """Count an invalid reading, and keep it if it is among the first thousand."""
        self._rejected[reason] += 1
        if len(self._faults) < MAX_QUARANTINED:
            raw = body if isinstance(body, bytes) else body.encode("utf-8", "backslashreplace")
            text = raw[: 4 * _MAX_BODY].decode("utf-8", "backslashreplace")
            text = text.replace(SUBSTITUTE, "").replace("\0", "\\0")
            self._faults.append(Fault(self._entry.name, position, reason, text[:_MAX_BODY]))

    def to_batch(self) -> Batch:
        """Return the valid and the quarantined readings."""
        readings = NO_READINGS
        if self._parts:
            device, sensor, *others = map(np.concatenate, zip(*self._parts, strict=True))
            file = dictionary_encode([self._entry.name], np.zeros(len(device), np.int32))
            devices = dictionary_encode(self._devices.texts, device)
            sensors = dictionary_encode(self._sensors.texts, sensor)
            readings = pa.table([devices, sensors, *others, file], schema=SCHEMA)
        entry = self._entry._replace(readings=readings.num_rows, quarantined=self._rejected.total())
        return Batch(
            [entry],
            self._faults,
            readings,
            rejected=self._rejected,
            has_local_times=self._has_local_times,
        )


class _Names(dict[Any, int]):
    """Maps names of devices or sensors to codes; each name is checked when it first occurs.

    A code is an index into `texts`. The code of an invalid name is negative: the one's complement
    of an index into the reasons.
    """

    def __init__(self, kind: str, known: Sequence[str] = ()) -> None:
        self._kind = kind
        self._known = frozenset(known)
        self._code_of: dict[str, int] = {}
        self._reasons: list[str] = []

    @property
    def texts(self) -> list[str]:
        """Valid names as text, by code; the names 7 and "7" are equal."""
        return list(self._code_of)

    def encode(self, names: Sequence[Any], reasons: Reasons) -> NDArray[np.int32]:
        """Return the codes of names, negative ones for invalid names."""
        if not set(map(type, names)) <= {str, int, type(None)}:
            names = [name if type(name) in {str, int, type(None)} else _OTHER for name in names]
        codes = np.fromiter(map(self.__getitem__, names), np.int32, len(names))
        for row in np.flatnonzero(codes < 0).tolist():
            reasons.setdefault(row, self._reasons[~codes[row]])
        return codes

    def __missing__(self, name: Any) -> int:
        try:
            code = self._code_of.setdefault(self._check(name), len(self._code_of))
        except FaultError as fault:
            code = ~len(self._reasons)
            self._reasons.append(str(fault))
        self[name] = code
        return code

    def _check(self, name: Any) -> str:
        if name is None:
            raise FaultError(f"{self._kind} is missing")
        if name is _OTHER:
            raise FaultError(f"{self._kind} is neither text nor an integer")
        text = str(name)
        if not text or text != text.strip():
            raise FaultError(f"{self._kind} is empty or has surrounding whitespace")
        if SUBSTITUTE in text:
            raise FaultError(f"{self._kind} is not UTF-8")
        if not text.isprintable():
            raise FaultError(f"{self._kind} contains unprintable characters")
        if len(text.encode("utf-16-le")) > 2 * MAX_NAME_LENGTH:
            raise FaultError(f"{self._kind} is longer than {MAX_NAME_LENGTH} characters")
        if self._known and text not in self._known:
            raise FaultError(f"unknown {self._kind}")
        return text


def _mark(invalid: NDArray[np.bool_], reason: str, reasons: Reasons) -> None:
    for row in np.flatnonzero(invalid).tolist():
        reasons.setdefault(row, reason)


def _parse_times(
    timestamps: Sequence[Any], zone: ZoneInfo | None, time_format: str, reasons: Reasons
) -> tuple[NDArray[np.int64], bool]:
    """Parse ISO 8601 timestamps; return them, and whether any valid one has no time zone.

    They are in microseconds since the epoch, and 0 if invalid. Arrow accepts a subset of what
    Python accepts, with the same result: a date, a time, at most nine decimals of a second, and a
    time zone either in all rows or in none.
    """
    if set(map(type, timestamps)) == {str}:
        # Nanoseconds, because .NET writes seven decimals, which do not fit microseconds.
        for kind in (pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
            try:
                times = pa.array(timestamps, pa.string()).cast(kind)
                if kind.tz is None:
                    if zone is None:
                        break
                    # An ambiguous hour is the first of the two, as in Python.
                    times = pc.assume_timezone(times, zone.key, ambiguous="earliest")
                return times.cast(pa.int64()).to_numpy() // 1000, kind.tz is None
            except (pa.ArrowInvalid, UnicodeEncodeError):
                continue
    is_local = False

    def parse(timestamp: Any) -> int:
        nonlocal is_local
        moment = _parse_moment(timestamp, time_format)
        if moment.tzinfo is None:
            if zone is None:
                raise FaultError("timestamp has no time zone")
            moment, is_local = moment.replace(tzinfo=zone), True
        return (moment - _EPOCH) // _MICROSECOND

    times = _parse_each(parse, timestamps, reasons)
    return np.array(times, np.int64), is_local


def _parse_values(values: Sequence[Any], text: bool, reasons: Reasons) -> NDArray[np.float64]:
    """Parse values to numbers, which may be infinite or NaN; 0 for invalid ones."""
    kinds = set(map(type, values))
    try:
        if kinds <= {float, int}:
            return np.array(values, np.float64)
        if text and kinds == {str}:
            return pa.array(values, pa.string()).cast(pa.float64()).to_numpy()
    except (OverflowError, pa.ArrowInvalid, UnicodeEncodeError):
        pass
    numbers = _parse_each(lambda value: _parse_value(value, text), values, reasons)
    return np.array(numbers, np.float64)


def _parse_each(
    parse: Callable[[Any], Parsed], values: Sequence[Any], reasons: Reasons
) -> list[Parsed | int]:
    """Parse values one by one; 0 for invalid ones."""
    parsed: list[Parsed | int] = []
    for row, value in enumerate(values):
        try:
            parsed.append(parse(value))
        except FaultError as fault:
            reasons.setdefault(row, str(fault))
            parsed.append(0)
    return parsed


def _parse_moment(timestamp: Any, time_format: str) -> datetime:
    if timestamp is None:
        raise FaultError("timestamp is missing")
    try:
        return datetime.fromisoformat(timestamp)
    except (ValueError, TypeError):
        raise FaultError(f"timestamp is not {time_format}") from None


def _parse_value(value: Any, text: bool) -> float:
    if value is None:
        raise FaultError("value is missing")
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
        return MAX_VALUE * 10
