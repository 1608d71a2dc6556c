"""Normalisation of windows by the sensor's own recent past.

A machine that is given other work, or whose load grows from week to week, leaves the range of its
training data for good. A model of absolute values then reports every window as an anomaly.
Relative to the preceding hours, the change is one anomaly, and the windows after it are normal
again. The price: an anomaly that lasts longer is only detected when it begins and ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pandas.core.window.rolling import RollingGroupby

_LOCATION_COLUMNS = ("mean", "minimum", "maximum", "last_value")
_ROUNDING = 1e-9


class Context(NamedTuple):
    """The preceding time by which windows are normalised.

    Attributes:
        hours: Hours before a window whose median is its centre; 0: no normalisation.
        spread_hours: Hours before a window from which the usual deviation is estimated.
    """

    hours: float
    spread_hours: float

    @property
    def reach(self) -> pd.Timedelta:
        """Length of the time before a window that its normalisation needs."""
        return pd.Timedelta(hours=self.hours + self.spread_hours if self.hours else 0)

    def apply(self, windows: pd.DataFrame) -> pd.DataFrame:
        """Return the windows as models with this context need them."""
        return normalise_windows(windows, *self) if self.hours else windows

    def describe(self) -> str:
        """Return a clause for messages; empty without context."""
        return f", relative to the {self.hours:g} hours before" if self.hours else ""


NO_CONTEXT = Context(0.0, 0.0)


def normalise_windows(
    windows: pd.DataFrame, hours: float = 2.0, spread_hours: float = 24.0
) -> pd.DataFrame:
    """Return windows centred and scaled by the windows before them.

    The centre is the median of the window means in the `hours` before. The scale is the mean
    absolute deviation of window means from their own centres in the `spread_hours` before, or 1
    if none deviated. It is the mean and not the median absolute deviation, because the median is
    0 for a sensor that rests most of the time.

    Args:
        windows: The columns of `quartet.sensors.windows`, in any order.
        hours: Length of the time before a window for its centre.
        spread_hours: Length of the time before a window for its scale.

    Returns:
        The same columns, ascending by device, sensor and time, with normalised `mean`,
        `standard_deviation`, `minimum`, `maximum` and `last_value`. Windows without enough
        history, such as a sensor's first two, are left out. To score new windows, pass those of
        the `hours` and `spread_hours` before them, too.
    """
    ordered = windows.sort_values(["device", "sensor", "window_end"], ignore_index=True)
    keys = [ordered["device"], ordered["sensor"]]
    center = _roll(ordered, ordered["mean"], keys, hours).median()
    deviation = (ordered["mean"] - center.to_numpy()).abs()
    recent = _roll(ordered, deviation, keys, spread_hours).mean().to_numpy()
    # Rolling sums leave rounding errors where all values are 0.
    scale = np.where(recent > _ROUNDING * ordered["mean"].abs().to_numpy(), recent, 1.0)
    normalised = ordered.copy()
    for name in _LOCATION_COLUMNS:
        normalised[name] = (ordered[name] - center.to_numpy()) / scale
    normalised["standard_deviation"] = ordered["standard_deviation"] / scale
    has_history = center.notna().to_numpy() & ~np.isnan(recent)
    return normalised[has_history].reset_index(drop=True)


def _roll(
    windows: pd.DataFrame, values: pd.Series, keys: list[pd.Series], hours: float
) -> RollingGroupby[Any]:
    """Return rolling values of each sensor over the hours before each window, itself excluded."""
    table = pd.DataFrame({"end": windows["window_end"].astype("datetime64[ns]"), "value": values})
    groups = table.groupby(keys, sort=False, observed=True)
    length = pd.Timedelta(hours=hours)
    return groups.rolling(length, on="end", closed="left", min_periods=1)["value"]
