"""Known events in time: what was wrong with which sensor, from when to when."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from kedro.io.core import DatasetError

from quartet.datasets.file import FileDataset
from quartet.datasets.utf8 import format_encoding_error

_COLUMNS = ("device", "sensor", "start", "end", "kind")


class EventLabelsDataset(FileDataset[pd.DataFrame, pd.DataFrame]):
    """Loads and saves labelled events as CSV; most streams have none, so no file means no events.

    One that was asked for by its name has to be there. Runs look at the file before they begin:
    the pipeline that wants it writes predictions first.

    Columns `device`, `sensor`, `start` and `end` (ISO 8601 with zone), and `kind`.

    ```yaml
    sensor_labels:
      type: quartet.datasets.labels.EventLabelsDataset
      filepath: data/01_raw/sensors/captures/labels.csv
    ```
    """

    checked_at_start = True

    def __init__(self, *, filepath: str, requested_path: str | None = None, **options: Any) -> None:
        """Describe the file.

        Args:
            filepath: Local path or any fsspec URL.
            requested_path: What the user said for it; null for nothing, and then it may be missing.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._asked_for = requested_path

    def load(self) -> pd.DataFrame:
        """Return one row an event; `start` and `end` are UTC, without zone.

        Raises:
            DatasetError: It is no such table, a column is missing, a time has no zone, or an
                event ends before it starts.
        """
        path = self._location.path
        if not self._location.exists():
            if self._asked_for:
                raise DatasetError(f"{path}: no such file; name it by sensor_labels=FILE")
            return _checked(pd.DataFrame(columns=_COLUMNS, dtype=str), path)
        content = io.BytesIO(self._location.read())
        try:
            table = pd.read_csv(content, dtype=str, keep_default_na=False)
        except UnicodeDecodeError as error:
            raise DatasetError(format_encoding_error(path)) from error
        except ValueError as error:
            raise DatasetError(
                f"{path}: not a CSV file of {', '.join(_COLUMNS)} ({error})"
            ) from error
        missing = [name for name in _COLUMNS if name not in table]
        if missing:
            raise DatasetError(f"{path}: column {missing[0]} is missing, of {', '.join(_COLUMNS)}")
        return _checked(table[list(_COLUMNS)], path)

    def save(self, data: pd.DataFrame) -> None:
        """Write the events, replacing the file as a whole."""
        written = data[list(_COLUMNS)].copy()
        for name in ("start", "end"):
            written[name] = [time.isoformat() + "Z" for time in written[name]]
        self._location.write(written.to_csv(index=False).encode())


def _checked(table: pd.DataFrame, path: str) -> pd.DataFrame:
    found = {}
    for name in ("start", "end"):
        texts = table[name].astype(str)
        zoned = texts.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True)
        times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
        wrong = ~zoned | times.isna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise DatasetError(
                f"{path}, row {row + 2}: {name} '{texts.iloc[row]}' is not a time with a zone, "
                "such as 2026-03-02T08:30:00Z"
            )
        found[name] = times.dt.tz_localize(None)
    backwards = (found["end"] < found["start"]).to_numpy()
    if backwards.any():
        raise DatasetError(
            f"{path}, row {int(backwards.argmax()) + 2}: the event ends before it starts"
        )
    return table.assign(**found)
