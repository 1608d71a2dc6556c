"""Labelled events: known anomalies of sensors, with start and end."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from kedro.io.core import DatasetError

from quartet.datasets.columns import match_columns, parse_options
from quartet.datasets.delimited import read_header
from quartet.datasets.file import FileDataset
from quartet.datasets.sensor_store.sensor_columns import (
    LABELS_PARAMETER,
    SYNONYMS,
    LabelColumns,
)
from quartet.datasets.time_formats import ISO, detect_time_format, to_iso
from quartet.datasets.utf8 import format_encoding_error

_COLUMNS = ("device", "sensor", "start", "end", "kind")


class EventLabelsDataset(FileDataset[pd.DataFrame, pd.DataFrame]):
    """Loads labelled events from a delimited file, and saves them as CSV.

    A missing file contains no events. A file that the user requested must exist. Runs check it at
    their start, because the pipeline that reads it writes predictions first.

    Columns `device`, `sensor`, `start` and `end` (ISO 8601 with zone), and `kind`; `columns` are
    the fields of `LabelColumns`, for other names and formats.

    ```yaml
    sensor_labels:
      type: quartet.datasets.labels.EventLabelsDataset
      filepath: data/01_raw/sensors/captures/labels.csv
      columns: {device: machine, zone: Europe/Berlin}
    ```
    """

    def __init__(
        self,
        *,
        filepath: str,
        requested_path: str | None = None,
        columns: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            requested_path: The path that the user set, or null; the file may be missing then.
            columns: Names of the columns, and formats; None for the defaults.
            options: `credentials`, `fs_args` and `metadata`, as for any file.

        Raises:
            DatasetError: One of `columns` does not exist, or is invalid.
        """
        super().__init__(filepath=filepath, **options)
        self._requested_path = requested_path
        self._columns = parse_options(LabelColumns, columns, LABELS_PARAMETER)

    def load(self) -> pd.DataFrame:
        """Return one row per event; `start` and `end` are UTC without time zone.

        Raises:
            DatasetError: The file is not a table, a column is missing or appears twice, a time has
                no zone or may be in several formats, or an event ends before it starts.
        """
        path = self._location.path
        if not self._location.exists():
            if self._requested_path:
                raise DatasetError(f"{path}: no such file; set it with --params sensor_labels=FILE")
            return _parse_times(pd.DataFrame(columns=_COLUMNS, dtype=str), path, LabelColumns())
        options = self._columns
        content = self._location.read()
        names = {field: getattr(options, field) for field in _COLUMNS}
        parameter = f"{LABELS_PARAMETER}.separator"
        header = read_header(content, options.separator, names.values(), path, parameter)
        try:
            # The header is read as a row, since pandas would rename columns that appear twice.
            table = pd.read_csv(
                io.BytesIO(content),
                sep=header.separator,
                header=None,
                skiprows=header.skipped_lines,
                dtype=str,
                keep_default_na=False,
            )
        except UnicodeDecodeError as error:
            raise DatasetError(format_encoding_error(path)) from error
        except ValueError as error:
            raise DatasetError(
                f"{path}: not a CSV file ({error}); expected the columns {', '.join(_COLUMNS)}"
            ) from error
        found = match_columns(path, table.iloc[0].tolist(), names, LABELS_PARAMETER, SYNONYMS)
        table = table.iloc[1:].set_axis(table.iloc[0], axis=1)[[*found.values()]].fillna("")
        return _parse_times(table.set_axis([*found], axis=1).reset_index(drop=True), path, options)

    def check_at_start(self) -> None:
        """Load the events, before the run begins; errors as for `load`."""
        self.load()

    def save(self, data: pd.DataFrame) -> None:
        """Write the events."""
        table = data[list(_COLUMNS)].copy()
        for name in ("start", "end"):
            table[name] = [time.isoformat() + "Z" for time in table[name]]
        self._location.write(table.to_csv(index=False).encode())


def _parse_times(table: pd.DataFrame, path: str, options: LabelColumns) -> pd.DataFrame:
    """Return the table with `start` and `end` as datetime64, UTC without time zone.

    Raises:
        DatasetError: A time has no zone or may be in several formats, or an event ends before it
            starts.
    """
    columns = {}
    parameter = f"{LABELS_PARAMETER}.time_format"
    both = pa.chunked_array([pa.array(table[name], pa.string()) for name in ("start", "end")])
    time_format = options.time_format or detect_time_format(both, f"{path}: start, end", parameter)
    for name, column in zip(("start", "end"), both.chunks, strict=True):
        texts = pd.Series(to_iso(pa.chunked_array([column]), time_format).to_pylist(), dtype=str)
        has_zone = texts.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).astype(bool)
        times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
        if options.zone is not None:
            local = pd.to_datetime(texts.where(~has_zone), format="ISO8601", errors="coerce")
            # An ambiguous hour is the first of the two, as in readings.
            is_first = np.ones(len(local), dtype=bool)
            local = local.dt.tz_localize(
                options.zone, ambiguous=is_first, nonexistent="shift_forward"
            )
            times = times.where(has_zone, local.dt.tz_convert("UTC"))
        lacks_zone = ~has_zone & (options.zone is None)
        is_invalid = (times.isna() | lacks_zone).to_numpy()
        if is_invalid.any():
            row = int(is_invalid.argmax())
            expected = "a time with a zone, such as 2026-03-02T08:30:00Z"
            if pd.notna(times[row]):
                expected += f"; or set --params {LABELS_PARAMETER}.zone=UTC, or another zone"
            elif time_format != ISO:
                expected = time_format
            raise DatasetError(
                f"{path}, row {row + 2}: {name} is '{table[name][row]}', expected {expected}"
            )
        columns[name] = times.dt.tz_localize(None)
    is_reversed = (columns["end"] < columns["start"]).to_numpy()
    if is_reversed.any():
        raise DatasetError(
            f"{path}, row {int(is_reversed.argmax()) + 2}: the event ends before it starts; swap "
            "start and end"
        )
    return table.assign(**columns)
