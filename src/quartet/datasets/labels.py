"""Known events in time: what was wrong with which sensor, from when to when."""

from __future__ import annotations

import io

import pandas as pd
from kedro.io.core import DatasetError

from quartet.datasets.file import FileDataset

_COLUMNS = ("device", "sensor", "start", "end", "kind")


class EventLabelsDataset(FileDataset[pd.DataFrame, pd.DataFrame]):
    """Loads and saves labelled events as CSV; most streams have none, so no file means no events.

    Columns `device`, `sensor`, `start` and `end` (ISO 8601 with zone), and `kind`.

    ```yaml
    sensor_labels:
      type: quartet.datasets.labels.EventLabelsDataset
      filepath: data/01_raw/sensors/captures/labels.csv
    ```
    """

    def load(self) -> pd.DataFrame:
        """Return one row an event; `start` and `end` are UTC, without zone.

        Raises:
            DatasetError: A column is missing, a time has no zone, or an event ends before
                it starts.
        """
        path = self._location.path
        if not self._location.exists():
            return _checked(pd.DataFrame(columns=_COLUMNS, dtype=str), path)
        table = pd.read_csv(io.BytesIO(self._location.read()), dtype=str, keep_default_na=False)
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
