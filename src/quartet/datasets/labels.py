"""Labelled events: known anomalies of sensors, with start and end."""

from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd
from kedro.io.core import DatasetError

from quartet.datasets.file import FileDataset
from quartet.datasets.utf8 import format_encoding_error

_COLUMNS = ("device", "sensor", "start", "end", "kind")


class EventLabelsDataset(FileDataset[pd.DataFrame, pd.DataFrame]):
    """Loads and saves labelled events as CSV; a missing file contains no events.

    A file that the user requested must exist. Runs check it at their start, because the
    pipeline that reads it writes predictions first.

    Columns `device`, `sensor`, `start` and `end` (ISO 8601 with zone), and `kind`.

    ```yaml
    sensor_labels:
      type: quartet.datasets.labels.EventLabelsDataset
      filepath: data/01_raw/sensors/captures/labels.csv
    ```
    """

    def __init__(self, *, filepath: str, requested_path: str | None = None, **options: Any) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            requested_path: The path that the user set, or null; the file may be missing then.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._asked_for = requested_path

    def load(self) -> pd.DataFrame:
        """Return one row per event; `start` and `end` are UTC without time zone.

        Raises:
            DatasetError: The file is not a CSV table, a column is missing, a time has no zone,
                or an event ends before it starts.
        """
        path = self._location.path
        if not self._location.exists():
            if self._asked_for:
                raise DatasetError(f"{path}: no such file; set it with --params sensor_labels=FILE")
            return _parse_times(pd.DataFrame(columns=_COLUMNS, dtype=str), path)
        content = io.BytesIO(self._location.read())
        try:
            table = pd.read_csv(content, dtype=str, keep_default_na=False)
        except UnicodeDecodeError as error:
            raise DatasetError(format_encoding_error(path)) from error
        except ValueError as error:
            raise DatasetError(
                f"{path}: not a CSV file ({error}); expected the columns {', '.join(_COLUMNS)}"
            ) from error
        missing = [name for name in _COLUMNS if name not in table]
        if missing:
            raise DatasetError(
                f"{path}: column {missing[0]} is missing; expected {', '.join(_COLUMNS)}"
            )
        header = content.getvalue().decode("utf-8-sig").partition("\n")[0]
        names = next(csv.reader([header]), [])  # pandas renames the second of two equal names
        if repeated := [name for name in _COLUMNS if names.count(name) > 1]:
            raise DatasetError(
                f"{path}: column '{repeated[0]}' appears {names.count(repeated[0])} times; rename "
                "or remove all but one"
            )
        return _parse_times(table[list(_COLUMNS)], path)

    def check_at_start(self) -> None:
        """Load the events, before the run begins; errors as for `load`."""
        self.load()

    def save(self, data: pd.DataFrame) -> None:
        """Write the events."""
        table = data[list(_COLUMNS)].copy()
        for name in ("start", "end"):
            table[name] = [time.isoformat() + "Z" for time in table[name]]
        self._location.write(table.to_csv(index=False).encode())


def _parse_times(table: pd.DataFrame, path: str) -> pd.DataFrame:
    columns = {}
    for name in ("start", "end"):
        texts = table[name].astype(str)
        has_zone = texts.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True)
        times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
        is_invalid = ~has_zone | times.isna()
        if is_invalid.any():
            row = int(is_invalid.to_numpy().argmax())
            raise DatasetError(
                f"{path}, row {row + 2}: {name} is '{texts.iloc[row]}', expected a time with a "
                "zone, such as 2026-03-02T08:30:00Z"
            )
        columns[name] = times.dt.tz_localize(None)
    is_reversed = (columns["end"] < columns["start"]).to_numpy()
    if is_reversed.any():
        raise DatasetError(
            f"{path}, row {int(is_reversed.argmax()) + 2}: the event ends before it starts; swap "
            "start and end"
        )
    return table.assign(**columns)
