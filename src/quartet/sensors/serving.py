"""Serving of a registered set of sensor models: MLflow calls `_load_pyfunc`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from quartet.sensors import scoring
from quartet.sensors.model_set import SensorModels

MODEL_FILE = "sensor_models.safetensors"
REQUIREMENTS = (
    "lazy-loader",
    "mlflow",
    "numpy",
    "pandas",
    "safetensors",
)
"""Packages that serving needs, pinned to the versions installed at training."""


class SensorScorer:
    """Scores and labels windows of any sensors of the fleet."""

    def __init__(self, model_set: SensorModels) -> None:
        self._model_set = model_set

    def predict(self, windows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score windows.

        Args:
            windows: `device`, `sensor`, `window_end` (UTC) and their statistics, as
                `quartet.sensors.windows` returns them; normalised if the models have a context
                (`SensorModels.context`). Windows of sensors without a model are left out of the
                result.
            params: Unused; part of MLflow's interface.

        Returns:
            One row per window: `device`, `sensor`, `window_end`, `score`, `threshold`, `anomaly`,
            `model_version`.

        Raises:
            ValueError: A column is missing or has NaN.
        """
        missing = {"device", "sensor", "window_end"} - set(windows)
        if missing:
            raise ValueError(
                f"expected columns device, sensor and window_end, found "
                f"{', '.join(map(str, windows))}"
            )
        return scoring.predict(self._model_set, windows)

    def get_raw_model(self) -> SensorModels:
        """Return the model set."""
        return self._model_set


def _load_pyfunc(folder: str) -> SensorScorer:
    """Load the model set from its file in `folder`; MLflow's entry point."""
    return SensorScorer(SensorModels.from_bytes((Path(folder) / MODEL_FILE).read_bytes()))
