"""Decoding of readings from a table with the columns TS, Device, Sensor and Value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quartet.sensors.batch import Batch
from quartet.sensors.checks import ReadingChecker
from quartet.sensors.settings import SensorIngestion

COLUMNS = ("Device", "Sensor", "TS", "Value")


class TablePart(Protocol):
    """Consecutive rows of a table."""

    @property
    def name(self) -> str:
        """Name of the part in the ledger and the quarantine."""

    @property
    def version(self) -> str:
        """Text that changes with the table."""

    @property
    def table(self) -> pa.Table:
        """Columns `TS`, `Device`, `Sensor` and `Value`, of any type."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Number of each reading's row in the complete table, from 1."""

    @property
    def malformed(self) -> Sequence[tuple[int, str]]:
        """Number and text of rows with a wrong number of columns."""

    @property
    def time_format(self) -> str:
        """Format of times in the file, of which those that are valid are ISO 8601 here."""


def decode_table(part: TablePart, now: int, settings: SensorIngestion, version: str = "") -> Batch:
    """Decode and check all readings of a part of a table.

    Unlike in a JSON body, a value may be text, and a timestamp may have no time zone, which is
    then `settings.table_zone`.

    Args:
        part: The rows.
        now: The current time in microseconds since the epoch; later timestamps are invalid.
        settings: Time zone, known devices and clock tolerance.
        version: Version of the part in the ledger.
    """
    checker = ReadingChecker(
        part.name,
        version,
        settings.known_devices,
        settings.clock_tolerance_seconds,
        zone=ZoneInfo(settings.table_zone),
        text_values=True,
        time_format=part.time_format,
    )
    for number, text in part.malformed:
        checker.quarantine(number, "wrong number of columns", text)
    columns = [_to_python(part.table.column(name)) for name in COLUMNS]

    def body(row: int) -> str:
        return ",".join(str(column[row]) for column in columns)

    checker.check(columns, part.rows, np.full(len(part.rows), now, np.int64), body)
    return checker.to_batch()


def _to_python(column: pa.ChunkedArray) -> list[Any]:
    """Return the values as text, integers or floats."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_temporal(kind) or pa.types.is_large_string(kind):
        kind = pa.string()  # a timestamp becomes ISO 8601, with Z if it has a time zone
    elif pa.types.is_decimal(kind):
        # An integer may be an identifier, of more digits than a float has.
        kind = pa.string() if kind.scale <= 0 else pa.float64()
    values: list[Any] = column.cast(kind).to_pylist()
    return values
