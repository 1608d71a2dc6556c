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
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas.core.window.rolling import RollingGroupby

_LOCATION_COLUMNS = ("mean", "minimum", "maximum", "last_value")
_ROUNDING = 1e-9
CONTEXT_WINDOWS = 24
"""Number of windows before one whose median is its centre, if no hours are set."""
SPREAD_FACTOR = 12
"""Length of the time that gives the scale, in lengths of the time that gives the centre."""
_BLOCKS = 5
"""Consecutive parts of the training time, each compared with all others; fewer if they would be
shorter than a day, whose cycle is no change."""
_DAY = pd.Timedelta(days=1)
_TAIL_SHARE = 0.05
"""Share of the windows of the other parts that are as far from their median as a limit."""
_MAX_TAIL_SHARE = 0.2
"""Share of a part's windows beyond that limit above which the work of a device changes."""
_MAX_DEVIATION = 5.0
"""Deviation to which larger ones are reduced in the usual deviation, as a multiple of it."""
_PASSES = 2
"""Number of reductions, each by the usual deviation that the last one gave."""
_KNOWN_WINDOWS = 24
"""Number of windows from which the usual deviation is known well enough to reduce others."""


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
        """Length of the time before a window that its normalisation needs.

        Each reduction of deviations needs the usual deviation before them.
        """
        spread = (1 + _PASSES) * self.spread_hours
        return pd.Timedelta(hours=self.hours + spread if self.hours else 0)

    def apply(self, windows: pd.DataFrame) -> pd.DataFrame:
        """Return the windows as models with this context need them."""
        return normalise_windows(windows, *self) if self.hours else windows

    def describe(self) -> str:
        """Return a clause for messages; empty without context."""
        if not self.hours:
            return ""
        minutes = f"{60 * self.hours:.3g} minutes"
        length = minutes if self.hours < 1 else f"{self.hours:.3g} hours"
        return f", relative to the {length} before"


NO_CONTEXT = Context(0.0, 0.0)


def normalise_windows(
    windows: pd.DataFrame, hours: float = 2.0, spread_hours: float = 24.0
) -> pd.DataFrame:
    """Return windows centred and scaled by the windows before them.

    The centre is the median of the window means in the `hours` before. The scale is the mean
    absolute deviation of window means from their own centres in the `spread_hours` before, or 1
    if none deviated. It is the mean and not the median absolute deviation, because the median is
    0 for a sensor that rests most of the time. Deviations of more than five times the usual one
    are reduced to that, so that a leap does not make all later windows look small.

    Args:
        windows: The columns of `quartet.sensors.windows`, in any order.
        hours: Length of the time before a window for its centre.
        spread_hours: Length of the time before a window for its scale.

    Returns:
        The same columns, ascending by device, sensor and time, with normalised `mean`,
        `standard_deviation`, `minimum`, `maximum` and `last_value`. Windows without enough
        history, such as a sensor's first two, are left out. To score new windows, pass those
        before them, too, as far as `Context.reach`.
    """
    ordered = windows.sort_values(["device", "sensor", "window_end"], ignore_index=True)
    keys = [ordered["device"], ordered["sensor"]]
    center = _roll(ordered, ordered["mean"], keys, hours).median()
    deviation = (ordered["mean"] - center.to_numpy()).abs()
    recent = _measure_spread(ordered, deviation, keys, spread_hours)
    # Rolling sums leave rounding errors where all values are 0.
    scale = np.where(recent > _ROUNDING * ordered["mean"].abs().to_numpy(), recent, 1.0)
    normalised = ordered.copy()
    for name in _LOCATION_COLUMNS:
        normalised[name] = (ordered[name] - center.to_numpy()) / scale
    normalised["standard_deviation"] = ordered["standard_deviation"] / scale
    has_history = center.notna().to_numpy() & ~np.isnan(recent)
    return normalised[has_history].reset_index(drop=True)


def _measure_spread(
    windows: pd.DataFrame, deviation: pd.Series, keys: list[pd.Series], hours: float
) -> NDArray[np.float64]:
    """Return the usual deviation before each window; shape (w,)."""
    spread = _roll(windows, deviation, keys, hours)
    known = spread.count().to_numpy() >= _KNOWN_WINDOWS
    usual = spread.mean().to_numpy()
    for _ in range(_PASSES):
        limit = np.where(known & (usual > 0), _MAX_DEVIATION * usual, np.inf)
        reduced = deviation.clip(upper=pd.Series(limit, deviation.index))
        usual = _roll(windows, reduced, keys, hours).mean().to_numpy()
    return np.asarray(usual)


def choose_relative(absolute: pd.DataFrame, relative: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which windows are of devices that need a context, from normal windows only.

    The training time is divided into five parts, or into as many as it has days. A sensor is stable
    if no part has more than a fifth of its windows outside the range that contains 95 % of the
    other parts. If a sensor is not, and is more stable with a context, the work of its device
    changes, and all sensors of the device get one: its other sensors may change next.

    Args:
        absolute: Normal windows, w rows in any order; the columns of `quartet.sensors.windows`.
        relative: The same normalised by `normalise_windows`; some may be missing.

    Returns:
        Shape (w,), one for each row of `absolute`.
    """
    shares = _measure_instability(absolute)
    others = _measure_instability(relative).reindex(shares.index, fill_value=np.inf)
    changing = shares.index[(shares > _MAX_TAIL_SHARE) & (others < shares)]
    devices = set(changing.get_level_values(0))
    return absolute["device"].astype(str).isin(devices).to_numpy()


def _measure_instability(windows: pd.DataFrame) -> pd.Series:
    """Return, by device and sensor, the largest share of a part that is unlike the other parts."""
    ordered = windows.sort_values("window_end", kind="stable")
    keys = [ordered[name].astype(str).to_numpy() for name in ("device", "sensor")]
    values = ordered["mean"].set_axis(ordered["window_end"])
    return values.groupby(keys).agg(_measure_largest_share)


def _measure_largest_share(values: pd.Series) -> float:
    # The time between the first and the last end is a window shorter than the series, so an hour is
    # added. A series of less than two days cannot be divided into days.
    days = (values.index[-1] - values.index[0] + _DAY / 24) // _DAY
    blocks = _BLOCKS if days < 2 else min(_BLOCKS, days)
    parts = np.array_split(values.to_numpy(np.float64), blocks)
    shares = []
    for index, part in enumerate(parts):
        others = np.concatenate([*parts[:index], *parts[index + 1 :]])
        if not len(part) or not len(others):
            return np.inf
        middle = np.median(others)
        limit = np.quantile(np.abs(others - middle), 1 - _TAIL_SHARE)
        shares.append(float((np.abs(part - middle) > limit).mean()))
    return max(shares)


def _roll(
    windows: pd.DataFrame, values: pd.Series, keys: list[pd.Series], hours: float
) -> RollingGroupby[Any]:
    """Return rolling values of each sensor over the hours before each window, itself excluded."""
    table = pd.DataFrame({"end": windows["window_end"].astype("datetime64[ns]"), "value": values})
    groups = table.groupby(keys, sort=False, observed=True)
    length = pd.Timedelta(hours=hours)
    return groups.rolling(length, on="end", closed="left", min_periods=1)["value"]
