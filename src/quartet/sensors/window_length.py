"""Choice of the length of windows, from the sampling interval and the span of the readings."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from quartet.sensors.readings import PairEncoder
from quartet.sensors.windows import SECOND

USUAL_SECONDS = 300
"""Length if the readings allow it, and of the windows of a stream, whose span has no end."""
_LENGTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
            86_400)  # fmt: skip
"""Round lengths that divide a day, in seconds."""
_READINGS = 3
"""Number of readings per window, from which a standard deviation can be estimated."""
_JITTER = 0.95
"""A window may be shorter than its readings' intervals by this factor."""
_WINDOWS = 500
"""Number of windows per sensor: 60 % of them are enough to train a model."""


class WindowLength(NamedTuple):
    """A chosen length of windows, and what it follows from; all in seconds."""

    seconds: int
    interval: float
    span: float

    def describe(self) -> str:
        """Return the choice as a line of the log."""
        reason = "no sensor has two readings"
        if self.interval > 0:
            reason = f"one reading every {self.interval:,.3g} s over {self.span / 3600:,.3g} h"
        return (
            f"window length {self.seconds:,} s: {reason}; sensor_ingestion.window_seconds sets "
            "another"
        )


def choose_window_length(readings: pa.Table, *, is_complete: bool) -> WindowLength | None:
    """Choose the length of windows.

    It is five minutes, or the round length of at least three readings if that is longer. If the
    readings are complete and too few for 500 windows, it is the longest that gives as many, but
    not below three readings.

    Args:
        readings: The columns of `quartet.sensors.readings`, in any order.
        is_complete: Whether there are no further readings, so that their span is known.

    Returns:
        The length, with the interval and the span of the median sensor; None without readings.
    """
    if not readings.num_rows:
        return None
    encoded = PairEncoder().encode(readings)
    table = pd.DataFrame(
        {
            "pair": encoded.column("pair").to_numpy(),
            "time": encoded.column("timestamp").to_numpy(),
        }
    )
    table = table.drop_duplicates().sort_values(["pair", "time"])
    # A sensor of a single reading has neither an interval nor a span.
    table = table[table.duplicated("pair", keep=False)]
    times = table.groupby("pair")["time"]
    intervals = times.diff().groupby(table["pair"]).median()
    interval, span = (
        float(values.median()) / SECOND if len(values) else 0.0
        for values in (intervals, times.max() - times.min())
    )
    enough = [length for length in _LENGTHS if length >= _JITTER * _READINGS * interval]
    shortest = enough[0] if enough else _LENGTHS[-1]
    seconds = max(shortest, USUAL_SECONDS)
    if is_complete and interval > 0:
        fitting = [length for length in enough if length <= min(seconds, span / _WINDOWS)]
        seconds = fitting[-1] if fitting else shortest
    return WindowLength(seconds, interval, span)
