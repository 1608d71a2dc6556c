"""Machines whose work keeps changing are compared with the hours before, steady ones are not."""

import numpy as np
import pandas as pd
import pytest

from quartet.sensors.context import normalise_windows
from quartet.sensors.model_set import SensorModels
from quartet.sensors.scoring import predict
from quartet.sensors.selection import choose_context
from quartet.sensors.settings import SensorSvm
from quartet.sensors.training import fit_model_set
from sensors.simulated_windows import make_table

SECONDS = 300
DAY = 288
MODELS = SensorSvm(seed=1, workers=1, nu=0.02, gamma=0.1)


def make_series(level, seed, device):
    """Windows of 12 readings around a level."""
    generator = np.random.default_rng(seed)
    values = level[:, None] + generator.normal(size=(len(level), 12))
    return make_table(values, device, "speed", (np.arange(len(level)) + 1) * SECONDS)


def steady(days, seed=1):
    """A machine that does the same at all times."""
    return make_series(np.zeros(days * DAY), seed, "steady")


def changing(days, seed=2):
    steps = np.random.default_rng(seed).normal(scale=40, size=days * 2)
    return make_series(np.repeat(steps, DAY // 2), seed, "changing")


@pytest.fixture(scope="module")
def chosen():
    windows = pd.concat([steady(6), changing(6)], ignore_index=True)
    return choose_context(windows, windows, MODELS.context_for(SECONDS), every=False)


def test_only_devices_that_keep_changing_are_normalised(chosen):
    by_device = chosen.groupby("device")["relative"].agg(["min", "max"])
    assert by_device.loc["changing"].all()
    assert not by_device.loc["steady"].any()
    expected = normalise_windows(changing(6))
    found = chosen[chosen["relative"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(found[expected.columns], expected)


def test_all_sensors_of_a_changing_device_are_normalised():
    other = steady(6).assign(device="changing", sensor="temperature")
    windows = pd.concat([steady(6), changing(6), other], ignore_index=True)
    found = choose_context(windows, windows, MODELS.context_for(SECONDS), every=False)
    assert found.loc[found["device"] == "changing", "relative"].all()
    assert not found.loc[found["device"] == "steady", "relative"].any()


def test_a_leap_does_not_hide_the_anomalies_of_the_day_after_it():
    windows = steady(4)
    windows.loc[2 * DAY : 2 * DAY + 5, "mean"] += 500.0
    windows.loc[2 * DAY + 100, "mean"] += 10.0
    found = normalise_windows(windows)["mean"].abs()
    assert found[2 * DAY + 98] > 4 * found[: 2 * DAY - 50].max()


def test_models_with_and_without_context_share_a_model_set(chosen):
    trained = fit_model_set(chosen, MODELS, SECONDS).model_set
    model_set = SensorModels.from_bytes(trained.to_bytes())
    assert model_set.context == (2.0, 24.0)
    assert model_set.relative.tolist() == [1, 0]
    later = pd.concat([steady(4, seed=3), changing(4, seed=4)], ignore_index=True)
    rates = predict(model_set, model_set.normalise(later)).groupby("device")["anomaly"].mean()
    assert rates["steady"] < 0.04
    assert rates["changing"] < 0.12  # its eight leaps are anomalies


def test_hours_that_are_set_count_for_all_sensors_and_zero_for_none():
    windows = pd.concat([steady(2), changing(2)], ignore_index=True)
    always = MODELS.model_copy(update={"context_hours": 3.0})
    assert always.context_for(SECONDS) == (3.0, 36.0)
    every = choose_context(windows, windows, always.context_for(SECONDS), every=True)
    assert every["relative"].all()
    never = MODELS.model_copy(update={"context_hours": 0.0})
    assert not choose_context(windows, windows, never.context_for(SECONDS), every=True)[
        "relative"
    ].any()


def test_the_cycle_of_a_day_is_no_change():
    hours = np.arange(round(2.4 * DAY)) / (DAY / 24)
    windows = make_series(50 * np.sin(2 * np.pi * hours / 24), 5, "press")
    context = MODELS.context_for(SECONDS)
    assert not choose_context(windows, windows, context, every=False)["relative"].any()
