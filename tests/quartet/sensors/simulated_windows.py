"""Simulate windows of normal sensors with a daily cycle."""

import numpy as np
import pandas as pd

HOUR = 3600


def simulate_windows(sensors=3, windows=200, seed=0, readings=12, window_seconds=HOUR, start=0):
    """Return windows of sensors that differ in level, cycle and noise, with 10 % missing readings.

    `start` is the number of windows to skip, for later windows of the same sensors.
    """
    tables = []
    ends = (np.arange(start, start + windows) + 1) * window_seconds
    for number in range(sensors):
        shape = np.random.default_rng([seed, number])
        level, swing, noise, phase = shape.normal(), shape.gamma(2), shape.gamma(2), shape.random()
        generator = np.random.default_rng([seed, number, start])
        cycle = level + swing * np.sin(2 * np.pi * (ends / 86_400 + phase))
        values = cycle[:, None] + noise * generator.normal(size=(windows, readings))
        values[generator.random(values.shape) < 0.1] = np.nan
        values[:, 0] = cycle
        tables.append(make_table(values, f"d{number // 4}", f"s{number % 4}", ends))
    return pd.concat(tables, ignore_index=True)


def make_table(values, device, sensor, ends):
    """Return the windows of readings of shape (windows, readings), NaN where one is missing."""
    return pd.DataFrame(
        {
            "device": device,
            "sensor": sensor,
            "window_end": np.asarray(ends).astype("datetime64[s]"),
            "readings": np.isfinite(values).sum(axis=1),
            "mean": np.nanmean(values, axis=1),
            "standard_deviation": np.nanstd(values, axis=1),
            "minimum": np.nanmin(values, axis=1),
            "maximum": np.nanmax(values, axis=1),
            "last_value": values[:, 0],
        }
    )
