"""Seasonality of a sensor: how its values depend on the hour of the day, or of the week.

The *profile* of a sensor is the median of its normal window means in each hour of the day or week,
UTC. It is subtracted from the windows' values, so that a machine that works in shifts is compared
with itself at the same hour. Between the middles of two hours the profile is linear.

The season is chosen by cross-validation over blocks of time: the one whose profile, learnt from the
other blocks, is nearest to the windows of a block. A longer season must reduce the distance by more
than its standard error (Breiman et al., "Classification and regression trees", 1984).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Times = NDArray[np.int64]

HOURS = {"none": 0, "day": 24, "week": 168}
"""Length of each season."""
LOCATION_FEATURES = ("mean", "minimum", "maximum", "last_value")
"""Features from which the profile is subtracted."""
_BLOCKS = 5
"""Blocks of the cross-validation; as many as for the threshold."""
_MIN_SEASONS = 3
"""Minimum number of seasons in the training time."""
_HOUR = 3_600_000_000
"""Microseconds."""


class Season(NamedTuple):
    """The season of a sensor.

    Attributes:
        profile: Median of the window means in each hour; shape (24,), (168,), or (0,) without.
        offsets: Of each training window, by a profile of the other blocks; shape (w,).
    """

    profile: Array
    offsets: Array


def fit_season(means: Array, ends: Times, window_seconds: int, seasonality: str) -> Season:
    """Choose and fit the season of a sensor.

    Args:
        means: Means of normal windows in the order of time, shape (w,).
        ends: Ends of the windows, in microseconds since the Unix epoch; shape (w,).
        window_seconds: Length of the windows.
        seasonality: `auto`, or one of `HOURS`.
    """
    best = Season(np.empty(0), np.zeros(len(means)))
    if seasonality == "none" or len(means) < _BLOCKS:
        return best
    middles = find_middles(ends, window_seconds)
    span = ends[-1] - ends[0] + window_seconds * 1_000_000
    distance = np.abs(means - _hold_out(means, middles, 0))
    for name in ("day", "week") if seasonality == "auto" else (seasonality,):
        hours = HOURS[name]
        if span < _MIN_SEASONS * hours * _HOUR:
            continue
        offsets = _hold_out(means, middles, hours)
        candidate = np.abs(means - offsets)
        if seasonality == "auto" and not _is_nearer(candidate, distance, middles, hours):
            continue
        best, distance = Season(fit_profile(means, middles, hours), offsets), candidate
    return best


def _is_nearer(candidate: Array, distance: Array, middles: Times, hours: int) -> bool:
    """Return whether a candidate's distances are smaller by more than their standard error.

    The error is that of the means of single seasons.
    """
    season = middles // (hours * _HOUR)
    gains = pd.Series(distance - candidate).groupby(season).mean()
    return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


def _hold_out(means: Array, middles: Times, hours: int) -> Array:
    """Return the offset of each window by a profile of the other blocks; shape (w,).

    Without hours, the offset is their median.
    """
    offsets = np.empty(len(means))
    bounds = np.linspace(0, len(means), _BLOCKS + 1).round().astype(int)
    for first, last in pairwise(bounds.tolist()):
        others = np.r_[:first, last : len(means)]
        if hours:
            profile = fit_profile(means[others], middles[others], hours)
            offsets[first:last] = interpolate(profile, 0, hours, middles[first:last])
        else:
            offsets[first:last] = np.median(means[others])
    return offsets


def find_middles(ends: Times, window_seconds: int) -> Times:
    """Return the middles of windows; both in microseconds since the Unix epoch."""
    return ends - window_seconds * 500_000


def fit_profile(means: Array, middles: Times, hours: int) -> Array:
    """Return the median of each hour of the season; without windows, between those beside it."""
    hour = middles // _HOUR % hours
    medians = pd.Series(means).groupby(hour).median()
    return np.interp(np.arange(hours), medians.index, medians.to_numpy(), period=hours)


def interpolate(profiles: Array, first: Times | int, last: Times | int, middles: Times) -> Array:
    """Return the profile of each window at its middle.

    Args:
        profiles: Concatenated profiles.
        first: First row of each window's profile; shape (w,) or a number.
        last: Its last row, exclusive.
        middles: Middles of the windows, in microseconds since the Unix epoch; shape (w,).
    """
    hours = last - first
    time = middles / _HOUR - 0.5
    complete = np.floor(time)
    lower = complete.astype(np.int64) % hours
    upper = np.where(lower == hours - 1, 0, lower + 1)
    before, after = profiles[first + lower], profiles[first + upper]
    return before + (time - complete) * (after - before)
