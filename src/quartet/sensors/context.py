"""Windows seen against what the sensor measured just before.

A machine that is moved to other work, or whose load grows from week to week, leaves the values
it was trained on for good, and a model of the values themselves then calls everything an
anomaly. Against the hours before, the move is one anomaly, and what follows is normal again. The
price: what lasts longer than that is only seen when it begins and ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pandas.core.window.rolling import RollingGroupby

_MOVED = ("mean", "minimum", "maximum", "last_value")
_ROUNDING = 1e-9


class Context(NamedTuple):
    """What windows are told against.

    Attributes:
        hours: How much before a window it is compared with; 0: windows are taken as they are.
        spread_hours: How much before it tells what is a usual distance.
    """

    hours: float
    spread_hours: float

    @property
    def reach(self) -> pd.Timedelta:
        """How far before a window that which is needed to tell it begins."""
        return pd.Timedelta(hours=self.hours + self.spread_hours if self.hours else 0)

    def applied(self, windows: pd.DataFrame) -> pd.DataFrame:
        """The windows as models with this context want them; see `relative_windows`."""
        return relative_windows(windows, *self) if self.hours else windows

    def told(self) -> str:
        """For messages: empty without context."""
        return f", against the {self.hours:g} hours before" if self.hours else ""


NO_CONTEXT = Context(0.0, 0.0)


def relative_windows(
    windows: pd.DataFrame, hours: float = 2.0, spread_hours: float = 24.0
) -> pd.DataFrame:
    """The windows as they would be if readings were told relative to those before.

    From each reading the median of the window means of the `hours` before its window is taken,
    and the rest is divided by the mean distance of window means from theirs over the
    `spread_hours` before; by nothing, where none was off. It is the mean and not the median
    distance, since that is 0 for all that rests most of the time.

    Args:
        windows: The columns of `quartet.sensors.windows`, in any order.
        hours: How much before a window is what it is compared with.
        spread_hours: How much before it tells what is a usual distance.

    Returns:
        The same columns, ascending by device, sensor and time, with `mean`,
        `standard_deviation`, `minimum`, `maximum` and `last_value` relative. Windows with too
        little before them, as a sensor's first two, are left out; so who scores new windows
        hands over those of `hours` and `spread_hours` before as well.
    """
    ordered = windows.sort_values(["device", "sensor", "window_end"], ignore_index=True)
    keys = [ordered["device"], ordered["sensor"]]
    center = _before(ordered, ordered["mean"], keys, hours).median()
    distance = (ordered["mean"] - center.to_numpy()).abs()
    recent = _before(ordered, distance, keys, spread_hours).mean().to_numpy()
    # Rolling sums leave some rounding where all that was summed is 0.
    usual = np.where(recent > _ROUNDING * ordered["mean"].abs().to_numpy(), recent, 1.0)
    relative = ordered.copy()
    for name in _MOVED:
        relative[name] = (ordered[name] - center.to_numpy()) / usual
    relative["standard_deviation"] = ordered["standard_deviation"] / usual
    known = center.notna().to_numpy() & ~np.isnan(recent)
    return relative[known].reset_index(drop=True)


def _before(
    windows: pd.DataFrame, values: pd.Series, keys: list[pd.Series], hours: float
) -> RollingGroupby[Any]:
    """The values of each sensor in the hours before each window, that window left out."""
    table = pd.DataFrame({"end": windows["window_end"].astype("datetime64[ns]"), "value": values})
    groups = table.groupby(keys, sort=False, observed=True)
    length = pd.Timedelta(hours=hours)
    return groups.rolling(length, on="end", closed="left", min_periods=1)["value"]
