"""Sensors are compared with themselves at the same hour, if their values depend on it."""

import numpy as np
import pandas as pd
import pytest

from quartet.sensors.model_set import SensorModels, _checksum
from quartet.sensors.scoring import predict
from quartet.sensors.seasonality import fit_season, interpolate
from quartet.sensors.settings import SensorSvm
from quartet.sensors.training import fit_model_set
from sensors.simulated_windows import HOUR, make_table

MODELS = SensorSvm(seed=1, workers=1, nu=0.02, gamma=0.1)
SECOND = 1_000_000
WEEK = 168


def make_series(cycle, sensor="s", seed=1, first=0):
    """Hourly windows of 12 readings around a cycle."""
    generator = np.random.default_rng(seed)
    values = cycle[:, None] + generator.normal(size=(len(cycle), 12))
    return make_table(values, "d", sensor, (first + np.arange(len(cycle)) + 1) * HOUR)


def daily(hours):
    return 20 * np.sin(2 * np.pi * hours / 24)


def weekly(hours):
    return np.where(hours // 24 % 7 < 5, daily(hours), -25.0)


def fit(values, seasonality="auto", window_seconds=HOUR):
    ends = (np.arange(len(values)) + 1) * window_seconds * SECOND
    return fit_season(values, ends, window_seconds, seasonality)


def noise(count, seed=2):
    return np.random.default_rng(seed).normal(size=count)


@pytest.mark.parametrize(("cycle", "hours"), [(daily, 24), (weekly, WEEK)])
def test_the_season_is_that_of_the_values(cycle, hours):
    values = cycle(np.arange(5 * WEEK)) + noise(5 * WEEK)
    season = fit(values)
    assert len(season.profile) == hours
    assert (values - season.offsets).std() < 1.4


def test_values_without_a_cycle_have_no_season():
    for seed in range(5):
        season = fit(noise(10 * 24, seed))
        assert not len(season.profile)
        assert not season.offsets.any()


def test_a_trend_is_no_season():
    assert not len(fit(np.arange(10 * 24.0) + noise(10 * 24)).profile)


@pytest.mark.parametrize(("days", "expected"), [(2, 0), (3, 24)])
def test_a_season_must_repeat_at_least_three_times(days, expected):
    for seasonality in ("auto", "day"):
        assert len(fit(daily(np.arange(days * 24)), seasonality).profile) == expected


def test_offsets_of_training_windows_are_of_other_days():
    values = daily(np.arange(10 * 24))
    changed = values.copy()
    changed[:24] += 1000.0
    np.testing.assert_array_equal(fit(values).offsets[:24], fit(changed, "day").offsets[:24])


def test_the_profile_is_linear_between_the_middles_of_hours():
    profiles = np.array([5.0, *range(24)])
    middles = np.array([0.5, 1.0, 23.5, 24.0, 24.25]) * HOUR * SECOND
    found = interpolate(profiles, 1, 25, middles.astype(np.int64))
    np.testing.assert_allclose(found, [0, 0.5, 23, 11.5, 5.75])


def train(windows, **update):
    return fit_model_set(windows, MODELS.model_copy(update=update), HOUR).model_set


def test_a_value_that_is_usual_at_another_hour_is_an_anomaly():
    hours = np.arange(20 * 24)
    windows = make_series(daily(hours))
    later = make_series(daily(hours), seed=3, first=len(hours))
    model_set, absolute = train(windows), train(windows, seasonality="none")
    assert model_set.seasons.tolist() == ["day"]
    assert predict(model_set, later)["anomaly"].mean() <= 2 * MODELS.nu
    night = later[later["window_end"].dt.hour == 7].copy()
    night[["mean", "minimum", "maximum"]] -= 20.0
    assert predict(model_set, night)["anomaly"].all()
    assert not predict(absolute, night)["anomaly"].any()


def test_models_with_and_without_season_share_a_model_set():
    hours = np.arange(5 * WEEK)
    cycles = {"flow": daily, "load": weekly, "speed": np.zeros_like}
    tables = [make_series(cycle(hours.astype(float)), name) for name, cycle in cycles.items()]
    windows = pd.concat(tables, ignore_index=True)
    model_set = train(windows)
    assert model_set.seasons.tolist() == ["day", "week", "none"]
    assert model_set.summary()["season"].tolist() == ["day", "week", "none"]
    parts = [model_set.take(np.array([index])) for index in range(3)]
    expected = predict(model_set, windows)
    for same in (SensorModels.from_bytes(model_set.to_bytes()), SensorModels.merge(parts[::-1])):
        assert same.version == model_set.version
        pd.testing.assert_frame_equal(predict(same, windows), expected)
    shuffled = windows.sample(frac=1, random_state=1)
    pd.testing.assert_series_equal(
        predict(model_set, shuffled).set_index(["sensor", "window_end"])["score"].sort_index(),
        expected.set_index(["sensor", "window_end"])["score"].sort_index(),
    )


def test_too_few_windows_have_no_season():
    windows = make_series(daily(np.arange(10 * 24)))
    assert train(windows, nu=0.004).seasons.tolist() == ["none"]
    assert train(windows, nu=0.005).seasons.tolist() == ["day"]
    assert train(windows, nu=0.004, seasonality="day").seasons.tolist() == ["day"]


def test_files_without_seasons_can_be_read():
    model_set = train(make_series(np.zeros(200)))
    arrays = model_set.to_arrays()
    old = {k: v for k, v in arrays.items() if k not in ("profiles", "profile_start", "checksum")}
    found = SensorModels.from_arrays({**old, "checksum": _checksum(old)})
    assert found.seasons.tolist() == ["none"]
    windows = make_series(np.zeros(50), seed=5)
    pd.testing.assert_frame_equal(predict(found, windows), predict(model_set, windows))
