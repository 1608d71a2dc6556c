"""Restores a registered bank of sensor models: MLflow calls `_load_pyfunc`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from quartet.sensors import scoring
from quartet.sensors.bank import ModelBank

BANK_FILE = "bank.safetensors"
REQUIREMENTS = (
    "lazy-loader",
    "mlflow",
    "numpy",
    "pandas",
    "safetensors",
)
"""What this module needs where it serves, pinned as installed where the models were trained."""


class SensorScorer:
    """Scores and labels for windows of any sensors of the fleet."""

    def __init__(self, bank: ModelBank) -> None:
        self._bank = bank

    def predict(self, windows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score windows.

        Args:
            windows: `device`, `sensor`, `window_end` (UTC) and their statistics, as
                `quartet.sensors.windows` makes them; told against their context, if the bank has
                one (`ModelBank.context`). Windows of sensors without a model are left out of the
                answer.
            params: Unused; part of MLflow's interface.

        Returns:
            One row a window: `device`, `sensor`, `window_end`, `score`, `threshold`, `anomaly`,
            `model_version`.

        Raises:
            ValueError: A column is missing, or what is in it is no number.
        """
        missing = {"device", "sensor", "window_end"} - set(windows)
        if missing:
            raise ValueError(
                f"expected columns device, sensor and window_end, found "
                f"{', '.join(map(str, windows))}"
            )
        return scoring.predict(self._bank, windows)

    def get_raw_model(self) -> ModelBank:
        """The bank itself, to score by or to update."""
        return self._bank


def _load_pyfunc(folder: str) -> SensorScorer:
    """MLflow's entry point: the bank whose file lies in `folder`."""
    return SensorScorer(ModelBank.unpacked((Path(folder) / BANK_FILE).read_bytes()))
