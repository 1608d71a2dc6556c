"""Conversion of a table as people have it to one reading in each row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from kedro.io.core import DatasetError
from numpy.typing import NDArray

from quartet.datasets.columns import check_unique_columns, format_columns, match_columns
from quartet.datasets.delimited import detect_decimal, to_plain_numbers
from quartet.datasets.sensor_store.sensor_columns import (
    COLUMNS_PARAMETER,
    FILE_NAME,
    SYNONYMS,
    SensorColumns,
)
from quartet.datasets.time_formats import ISO, detect_time_format, to_iso, to_plain

COLUMNS = ("TS", "Device", "Sensor", "Value")

_INDEX = re.compile(r"\s*|Unnamed: \d+")
"""Names of the column with row numbers that pandas adds to a CSV file."""
_NUMBER = r"^\s*[+-]?(?:\d|[.,]\d)[\d.,]*(?:[eE][+-]?\d+)?\s*$"
_MISSING = pa.array(["NaN", "nan", "NA", "N/A", "null", "NULL", "None", "-"])
"""Texts of empty cells in a wide table."""


@dataclass(frozen=True)
class Layout:
    """Columns of a file, and how their values are written.

    Attributes:
        path: The file.
        time: Column of the time.
        device: Column of the device; None if it is the name of the file.
        sensor: Column of the sensor; None if the table is wide.
        values: Column of the value; in a wide table those of all sensors.
        time_format: A format of `quartet.datasets.time_formats`.
        decimal: Decimal sign of numbers that are text; None if they need no conversion.
        ignored: Columns of a wide table without numbers.
        is_padded: Whether spaces surround the names, and therefore the texts.
    """

    path: str
    time: str
    device: str | None
    sensor: str | None
    values: tuple[str, ...]
    time_format: str = ISO
    decimal: str | None = None
    ignored: tuple[str, ...] = ()
    is_padded: bool = False

    @property
    def used(self) -> list[str]:
        """Columns to read."""
        names = (self.time, self.device, self.sensor, *self.values)
        return [name for name in names if name is not None]

    def detect_formats(self, first_rows: pa.Table, columns: SensorColumns) -> Layout:
        """Return the layout with the formats that are set, or else those of the first rows.

        Raises:
            DatasetError: They may be in several formats, or a wide table contains no numbers.
        """
        layout = self
        if self.sensor is None:
            ignored = [name for name in self.values if _is_without_numbers(first_rows.column(name))]
            values = tuple(name for name in self.values if name not in ignored)
            if not values:
                raise DatasetError(
                    f"{self.path}: no column contains numbers beside {self.time}; found "
                    f"{format_columns(ignored)}"
                )
            layout = replace(layout, values=values, ignored=tuple(ignored))
        time_format = columns.time_format or detect_time_format(
            layout._trim(first_rows.column(layout.time)),
            f"{self.path}: column '{layout.time}'",
            f"{COLUMNS_PARAMETER}.time_format",
        )
        decimal = columns.decimal or detect_decimal(
            [to_plain(first_rows.column(name)) for name in layout.values],
            f"{self.path}: column {format_columns(layout.values)}",
            f"{COLUMNS_PARAMETER}.decimal",
        )
        return replace(layout, time_format=time_format, decimal=decimal)

    def to_readings(
        self, table: pa.Table, rows: NDArray[np.int64]
    ) -> tuple[pa.Table, NDArray[np.int64]]:
        """Return readings with the columns `COLUMNS`, and the number of each one's row in the file.

        Args:
            table: The columns `used`.
            rows: Number of each row in the file; shape (n,).
        """
        time = to_iso(self._trim(table.column(self.time)), self.time_format)
        name = _get_stem(self.path)
        device = (
            _repeat(name, len(table))
            if self.device is None
            else self._trim(table.column(self.device))
        )
        values = [self._to_numbers(table.column(name)) for name in self.values]
        if self.sensor is not None:
            sensor = self._trim(table.column(self.sensor))
            return pa.table([time, device, sensor, values[0]], names=list(COLUMNS)), rows
        parts, numbers = [], []
        if len({value.type for value in values}) > 1:
            has_text = any(pa.types.is_string(value.type) for value in values)
            values = [value.cast(pa.string() if has_text else pa.float64()) for value in values]
        for name, value in zip(self.values, values, strict=True):
            is_reading = pc.invert(_is_missing(value))
            sensor = _repeat(name.strip(), len(table))
            part = pa.table([time, device, sensor, value], names=list(COLUMNS))
            parts.append(part.filter(is_reading))
            numbers.append(rows[is_reading.to_numpy()])
        return pa.concat_tables(parts), np.concatenate(numbers)

    def _to_numbers(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        column = to_plain(column)
        return column if self.decimal is None else to_plain_numbers(column, self.decimal)

    def _trim(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        column = to_plain(column) if self.is_padded else column
        is_text = pa.types.is_string(column.type)
        return pc.utf8_trim_whitespace(column) if self.is_padded and is_text else column


def choose_layout(path: str, names: Sequence[str], columns: SensorColumns) -> Layout:
    """Return the columns of a file, by its header.

    Raises:
        DatasetError: A column is missing or appears twice.
    """
    is_wide = columns.layout == "wide"
    wanted = {"time": columns.time, "device": columns.device}
    if not is_wide:
        wanted |= {"sensor": columns.sensor, "value": columns.value}
    present = match_columns(path, names, wanted, COLUMNS_PARAMETER, optional=list(wanted))
    if "device" not in present and _is_device_of_file(names, columns):
        del wanted["device"]
    try:
        found = match_columns(path, names, wanted, COLUMNS_PARAMETER, SYNONYMS)
    except DatasetError as error:
        if "sensor" in wanted.keys() - present:
            hint = f"; if each sensor has a column, set {COLUMNS_PARAMETER}.layout=wide"
        elif "device" in wanted.keys() - present:
            hint = f"; if the file is of one device, set {COLUMNS_PARAMETER}.device={FILE_NAME}"
        else:
            hint = ""
        raise DatasetError(f"{error}{hint}") from None
    values = (
        tuple(name for name in names if not _INDEX.fullmatch(name) and name not in found.values())
        if is_wide
        else (found["value"],)
    )
    check_unique_columns(path, values)
    if not values:
        raise DatasetError(
            f"{path}: no columns of sensors beside {format_columns(found.values())}; add them, or "
            f"set {COLUMNS_PARAMETER}.layout=long"
        )
    is_padded = any(name != name.strip() for name in names)
    return Layout(
        path, found["time"], found.get("device"), found.get("sensor"), values, is_padded=is_padded
    )


def _is_device_of_file(names: Sequence[str], columns: SensorColumns) -> bool:
    """Return whether the device is the name of the file, as no column has its name.

    In a wide table that is the default, unless another column may be that of the device.
    """
    if columns.layout == "wide" and columns.device == SensorColumns().device:
        return not any(name.strip().lower() in SYNONYMS["device"] for name in names)
    return columns.device == FILE_NAME


def _get_stem(path: str) -> str:
    """Return the name of a file without suffixes such as `.csv.gz`."""
    name = PurePosixPath(path).name
    return re.sub(r"(?i)(\.(csv|tsv|txt|parquet))?(\.gz)?$", "", name) or name


def _repeat(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))


def _is_without_numbers(column: pa.ChunkedArray) -> bool:
    """Return whether a column has values, and none of them is a number."""
    column = to_plain(column)
    kind = column.type
    if pa.types.is_string(kind):
        values = column.filter(pc.invert(_is_missing(column)))
        return len(values) > 0 and not pc.any(pc.match_substring_regex(values, _NUMBER)).as_py()
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return not (is_number or pa.types.is_decimal(kind) or pa.types.is_null(kind))


def _is_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return whether a cell of a wide table is empty."""
    if pa.types.is_string(column.type):
        return pc.or_(column.is_null(), pc.is_in(column, _MISSING))
    return column.is_null(nan_is_null=True)
