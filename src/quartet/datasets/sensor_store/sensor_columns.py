"""How to read tables of readings and of labelled events: their columns and formats."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from quartet.datasets.columns import TableOptions
from quartet.datasets.time_formats import check_time_format

COLUMNS_PARAMETER = "sensor_columns"
LABELS_PARAMETER = "sensor_label_columns"
FILE_NAME = "file_name"
"""In place of a column of devices: the device is the name of the file."""

SYNONYMS = {
    "time": ("timestamp", "time", "datetime", "date", "ts", "t", "zeit", "zeitstempel", "when"),
    "device": ("machine", "asset", "equipment", "host", "node", "unit", "station", "device", "id"),
    "sensor": ("tag", "signal", "channel", "metric", "variable", "parameter", "sensor", "name"),
    "value": ("reading", "measurement", "val", "wert", "value", "data"),
    "start": ("begin", "from", "starttime", "start", "onset", "timestamp"),
    "end": ("stop", "until", "to", "endtime", "end", "finish"),
    "kind": ("type", "label", "class", "category", "event", "description", "anomaly"),
}
"""Common names of each column, the most likely first."""

_SEPARATOR = "What separates the values of a CSV file; `null`: detected from the header."
_TIME_FORMAT = (
    "Format of times: `ISO 8601`, an order such as `DD.MM.YYYY` or `MM/DD/YYYY` (`MMM`: Jan, `YY`: "
    "26), or `seconds`, `milliseconds`, `microseconds` or `nanoseconds` since 1970; `null`: "
    "detected, and an error if the values allow several."
)

Separator = Literal["comma", "semicolon", "tab", "pipe"]


class _Columns(TableOptions):
    @field_validator("time_format", check_fields=False)
    @classmethod
    def _is_time_format(cls, name: str | None) -> str | None:
        return None if name is None else check_time_format(name)


class SensorColumns(_Columns):
    """Columns of a table of readings, and how they are written."""

    time: str = Field(default="TS", min_length=1, description="Column of the time of a reading.")
    device: str = Field(
        default="Device",
        min_length=1,
        description="Column of the device; `file_name`: the device is the name of the file, as in "
        "a wide table without this column.",
    )
    sensor: str = Field(
        default="Sensor", min_length=1, description="Column of the sensor's name, in a long table."
    )
    value: str = Field(
        default="Value", min_length=1, description="Column of the value, in a long table."
    )
    layout: Literal["long", "wide"] = Field(
        default="long",
        description="`long`: a row is a reading. `wide`: a row has the values of several sensors, "
        "one in each of the other columns with numbers; empty cells are no readings.",
    )
    separator: Separator | None = Field(default=None, description=_SEPARATOR)
    decimal: Literal["point", "comma"] | None = Field(
        default=None, description="Decimal sign of values that are text; `null`: detected."
    )
    time_format: str | None = Field(default=None, description=_TIME_FORMAT)


class LabelColumns(_Columns):
    """Columns of a table of labelled events, and how they are written."""

    device: str = Field(default="device", min_length=1, description="Column of the device.")
    sensor: str = Field(
        default="sensor",
        min_length=1,
        description="Column of the sensor; empty: all of the device.",
    )
    start: str = Field(default="start", min_length=1, description="Column of the first time.")
    end: str = Field(default="end", min_length=1, description="Column of the last time.")
    kind: str = Field(
        default="kind", min_length=1, description="Column of the kind of anomaly, any text."
    )
    separator: Separator | None = Field(default=None, description=_SEPARATOR)
    time_format: str | None = Field(default=None, description=_TIME_FORMAT)
    zone: str | None = Field(
        default=None,
        description="Time zone of times without one, such as UTC or Europe/Berlin; `null`: they "
        "are errors.",
    )

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        try:
            return None if name is None else ZoneInfo(name).key
        except (KeyError, ValueError) as error:
            raise ValueError("must be a time zone, such as UTC or Europe/Berlin") from error
