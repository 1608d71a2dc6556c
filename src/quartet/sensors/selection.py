"""Which windows models are trained on, and which are left to score."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from quartet.sensors.settings import TrainingWindows

if TYPE_CHECKING:
    from quartet.sensors.model_set import SensorModels

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def normal_windows(windows: pd.DataFrame, settings: TrainingWindows) -> pd.DataFrame:
    """The windows to train on: those up to a time, or the first share of each sensor's.

    Args:
        windows: At least `device`, `sensor` and `window_end` (datetime64, UTC).
        settings: Up to when, and of which sensors.

    Returns:
        Some of the rows, in their order.

    Raises:
        ValueError: None is left, a named sensor has none, or `until` is neither a date nor a time
            with its zone.
    """
    if settings.sensors:
        names = windows["device"].astype(str) + "/" + windows["sensor"].astype(str)
        missing = sorted(set(settings.sensors) - set(names))
        if missing:
            raise ValueError(f"there are no windows of {', '.join(missing)} (device/sensor)")
        windows = windows[names.isin(settings.sensors)]
    if settings.until is not None:
        chosen = windows[windows["window_end"] <= _moment(settings.until)]
    else:
        groups = windows.groupby(["device", "sensor"])["window_end"]
        place = groups.rank(method="first")
        chosen = windows[place <= settings.share * groups.transform("size")]
    if windows.empty:
        raise ValueError("there are no windows to train on; ingest readings first")
    if chosen.empty:
        span = f"{windows['window_end'].min()} to {windows['window_end'].max()}"
        raise ValueError(
            f"none of the {len(windows):,} windows, {span}, is chosen to train on: name a later "
            f"time than until={settings.until}, or a larger share than {settings.share:g}"
        )
    return chosen.reset_index(drop=True)


def after_training(model_set: SensorModels, windows: pd.DataFrame) -> pd.DataFrame:
    """The windows that their sensor's model was not trained on, or that have no model.

    Args:
        model_set: The models.
        windows: At least `device`, `sensor` and `window_end` (datetime64, UTC).
    """
    model = model_set.locate(windows)
    ends = windows["window_end"].to_numpy().astype("datetime64[us]").astype(np.int64)
    later = model < 0
    later[~later] = ends[~later] > model_set.trained_until[model[~later]]
    return windows[later].reset_index(drop=True)


def _moment(text: str) -> pd.Timestamp:
    """The time, UTC without zone; of a date its midnight."""
    try:
        moment = pd.Timestamp(text)
    except ValueError as error:
        raise ValueError(f"training_windows.until: '{text}' is not a time ({error})") from error
    if _DATE.fullmatch(text.strip()):
        return moment
    if moment.tzinfo is None:
        raise ValueError(
            f"training_windows.until: '{text}' has no zone, as {moment.isoformat()}Z has"
        )
    return moment.tz_convert("UTC").tz_localize(None)
