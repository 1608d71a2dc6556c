"""Readings out of a table with the columns TS, Device, Sensor and Value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quartet.sensors.batch import Batch
from quartet.sensors.checks import Checks
from quartet.sensors.settings import SensorIngestion

COLUMNS = ("Device", "Sensor", "TS", "Value")


class TablePart(Protocol):
    """Some rows of a table, one after the other."""

    @property
    def name(self) -> str:
        """What faults call the part."""

    @property
    def version(self) -> str:
        """Another text whenever the table has changed."""

    @property
    def table(self) -> pa.Table:
        """The columns `TS`, `Device`, `Sensor` and `Value`, of whatever type."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Number of each row in the whole table, from 1."""

    @property
    def malformed(self) -> Sequence[tuple[int, str]]:
        """Rows that had another number of columns: their number and their text."""


def decode_table(part: TablePart, now: int, settings: SensorIngestion, version: str = "") -> Batch:
    """Return all readings of a part of a table, checked.

    Unlike a body of JSON, a table may write a value as text, and a timestamp without a
    zone, which is then `settings.table_zone`.

    Args:
        part: The rows.
        now: The time in microseconds since the epoch; timestamps lie before.
        settings: The zone, known devices, and how far clocks may be ahead.
        version: What the ledger tells its content by.
    """
    checks = Checks(
        part.name,
        version,
        settings.known_devices,
        settings.clock_tolerance_seconds,
        zone=ZoneInfo(settings.table_zone),
        text_values=True,
    )
    for number, text in part.malformed:
        checks.note(number, "has another number of columns", text)
    columns = [_plain(part.table.column(name)) for name in COLUMNS]

    def body(row: int) -> str:
        return ",".join(str(column[row]) for column in columns)

    checks.take(columns, part.rows, np.full(len(part.rows), now, np.int64), body)
    return checks.result()


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Return the values as text, whole numbers or numbers."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_temporal(kind) or pa.types.is_large_string(kind):
        kind = pa.string()  # of a timestamp: ISO 8601, with Z where it has a zone
    elif pa.types.is_decimal(kind):
        kind = pa.float64()
    plain: list[Any] = column.cast(kind).to_pylist()
    return plain
