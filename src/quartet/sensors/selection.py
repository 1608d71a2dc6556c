"""Selection of the windows to train on, and of those to score."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from quartet.sensors.context import Context, choose_relative
from quartet.sensors.settings import TrainingWindows

if TYPE_CHECKING:
    from quartet.sensors.model_set import SensorModels

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def select_normal_windows(windows: pd.DataFrame, settings: TrainingWindows) -> pd.DataFrame:
    """Select the windows to train on: those up to a time, or the first share of each sensor's.

    Args:
        windows: At least `device`, `sensor` and `window_end` (datetime64, UTC).
        settings: The time or share, and the sensors.

    Returns:
        The selected rows, in their order.

    Raises:
        ValueError: No window is selected, a named sensor has none, or `until` is neither a date
            nor a time with a zone.
    """
    if settings.sensors:
        names = windows["device"].astype(str) + "/" + windows["sensor"].astype(str)
        missing = sorted(set(settings.sensors) - set(names))
        if missing:
            raise ValueError(
                f"training_windows.sensors: there are no windows of {', '.join(missing)} "
                "(device/sensor)"
            )
        windows = windows[names.isin(settings.sensors)]
    if settings.until is not None:
        selected = windows[windows["window_end"] <= _parse_time(settings.until)]
    else:
        groups = windows.groupby(["device", "sensor"])["window_end"]
        rank = groups.rank(method="first")
        selected = windows[rank <= settings.share * groups.transform("size")]
    if windows.empty:
        raise ValueError("there are no windows to train on; ingest readings first")
    if selected.empty:
        span = f"{windows['window_end'].min()} to {windows['window_end'].max()}"
        raise ValueError(
            f"training_windows: none of the {len(windows):,} windows ({span}) is selected; set a "
            f"later time than until={settings.until}, or a larger share than {settings.share:g}"
        )
    return selected.reset_index(drop=True)


def choose_context(
    windows: pd.DataFrame, normal: pd.DataFrame, context: Context, *, every: bool
) -> pd.DataFrame:
    """Normalise the windows of sensors with a context by those before them.

    Args:
        windows: All windows of the sensors; the columns of `quartet.sensors.windows`.
        normal: Those of normal times, by which sensors are chosen.
        context: The time before; without hours no sensor has a context.
        every: Whether all sensors have a context, instead of those that need one.

    Returns:
        The windows, with a column `relative` that is true for normalised ones.
    """
    if not context.hours:
        return windows.assign(relative=False)
    normalised = context.apply(windows).assign(relative=True)
    if every:
        return normalised
    keys = ["device", "sensor", "window_end"]
    chosen = choose_relative(normal, normalised.merge(normal[keys], on=keys))
    pairs = normal.loc[chosen, ["device", "sensor"]].drop_duplicates()
    has_context, is_chosen = (
        pd.MultiIndex.from_frame(table[["device", "sensor"]]).isin(pd.MultiIndex.from_frame(pairs))
        for table in (windows, normalised)
    )
    absolute = windows[~has_context].assign(relative=False)
    return pd.concat([absolute, normalised[is_chosen]], ignore_index=True)


def exclude_training_windows(model_set: SensorModels, windows: pd.DataFrame) -> pd.DataFrame:
    """Return the windows after the training of their sensor's model, and those without a model.

    Args:
        model_set: The models.
        windows: At least `device`, `sensor` and `window_end` (datetime64, UTC).
    """
    model = model_set.locate(windows)
    ends = windows["window_end"].to_numpy().astype("datetime64[us]").astype(np.int64)
    later = model < 0
    later[~later] = ends[~later] > model_set.trained_until[model[~later]]
    return windows[later].reset_index(drop=True)


def _parse_time(text: str) -> pd.Timestamp:
    """Return the time in naive UTC; of a date its midnight."""
    try:
        time = pd.Timestamp(text)
    except ValueError as error:
        raise ValueError(f"training_windows.until: '{text}' is not a time ({error})") from error
    if _DATE.fullmatch(text.strip()):
        return time
    if time.tzinfo is None:
        raise ValueError(
            f"training_windows.until: '{text}' has no time zone; write {time.isoformat()}Z for UTC"
        )
    return time.tz_convert("UTC").tz_localize(None)
