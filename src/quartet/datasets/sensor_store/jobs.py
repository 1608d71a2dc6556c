"""Datasets for the results of scoring in the sensors' database: anomalies and the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from quartet.datasets.sensor_store.tables import Cursor, SensorDatabaseDataset

if TYPE_CHECKING:
    from quartet.compat import TablePreview


@dataclass(frozen=True)
class ScoredWindows:
    """The windows that a run scored, the anomalies among them, and the alarms of devices.

    Attributes:
        scored: `device`, `sensor`, `window_end` of all scored windows.
        anomalies: The same of anomalous windows, with `score`, `threshold`, `model_version` and
            `revision`.
        claim: Token of the run's claim on scoring.
        device_alarms: `device`, `sensor` (the most unusual), `window_end`, `score`, `threshold`,
            `event_start`, `sensors` and `revision` of windows in which a device has an alarm.
    """

    scored: pd.DataFrame
    anomalies: pd.DataFrame
    claim: str
    device_alarms: pd.DataFrame | None = None


@dataclass(frozen=True)
class CursorMove:
    """A move of the scoring cursor, with which the run's claim ends."""

    claim: str
    before: Cursor | None
    after: Cursor


class SensorAnomaliesDataset(SensorDatabaseDataset[ScoredWindows, pd.DataFrame]):
    """Anomalies in SQL: saving replaces those of the scored windows, loading returns all anomalies.

    ```yaml
    sensor_anomalies:
      type: quartet.datasets.sensor_store.jobs.SensorAnomaliesDataset
      url: sqlite:///data/03_primary/sensors/sensors.db
    ```
    """

    def load(self) -> pd.DataFrame:
        """Return all anomalies; columns as `SensorTables.anomalies` names them."""
        return self._tables.anomalies()

    def save(self, data: ScoredWindows) -> None:
        """Write the anomalies of a run; idempotent."""
        self._tables.write_anomalies(data.scored, data.anomalies, data.claim, data.device_alarms)

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the latest anomalies for Kedro-Viz."""
        latest = self.load().sort_values("window_end", ascending=False).head(nrows)
        return latest.astype({"window_end": str}).to_dict(orient="split")


class ScoringCursorDataset(SensorDatabaseDataset[CursorMove, "Cursor | None"]):
    """The cursor of scoring: saving moves it and releases the run's claim.

    ```yaml
    scoring_cursor:
      type: quartet.datasets.sensor_store.jobs.ScoringCursorDataset
      url: sqlite:///data/03_primary/sensors/sensors.db
    ```
    """

    def load(self) -> Cursor | None:
        """Return the cursor; None before the first run."""
        return self._tables.cursor("scoring")

    def save(self, data: CursorMove) -> None:
        """Move the cursor; see `SensorTables.move_cursor`."""
        self._tables.move_cursor(data.claim, data.before, data.after)
        self._tables.release("scoring", data.claim)
