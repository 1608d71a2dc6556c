"""Windows are normalised by the hours before, so that a lasting change becomes normal again."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.sensors.context import normalise_windows
from quartet.sensors.model_set import SensorModels
from quartet.sensors.scoring import predict
from quartet.sensors.selection import choose_context
from quartet.sensors.settings import SensorSvm
from quartet.sensors.training import fit_model_set
from sensors.simulated_windows import make_table

MINUTES = 30
COLUMNS = ["mean", "standard_deviation", "minimum", "maximum", "last_value"]


def make_windows(means, device="d", sensor="s", ends=None):
    """Windows of half an hour, with a reading 1 below and one 1 above the mean."""
    means = np.asarray(means, float)
    ends = np.arange(1, len(means) + 1) if ends is None else np.asarray(ends)
    return pd.DataFrame(
        {
            "device": device,
            "sensor": sensor,
            "window_end": (ends * MINUTES * 60).astype("datetime64[s]"),
            "readings": 2,
            "mean": means,
            "standard_deviation": 1.0,
            "minimum": means - 1,
            "maximum": means + 1,
            "last_value": means + 1,
        }
    )


def normalise_naively(windows, hours, spread_hours):
    """Normalise window by window."""
    times = windows["window_end"].to_numpy()
    means = windows["mean"].to_numpy()
    centers = np.full(len(means), np.nan)
    rows = []
    for row, time in enumerate(times):
        near = (times < time) & (times >= time - np.timedelta64(int(hours * 3600), "s"))
        if near.any():
            centers[row] = np.median(means[near])
    distances = np.abs(means - centers)
    for row, time in enumerate(times):
        if np.isnan(centers[row]):
            continue
        near = (times < time) & (times >= time - np.timedelta64(int(spread_hours * 3600), "s"))
        known = distances[near & ~np.isnan(distances)]
        if len(known):
            rows.append((means[row] - centers[row]) / (known.mean() or 1.0))
    return rows


def test_windows_are_normalised_by_the_hours_before():
    means = np.random.default_rng(0).normal(50, 3, size=120)
    windows = make_windows(means)
    found = normalise_windows(windows, hours=2, spread_hours=24)
    assert len(found) == 118
    np.testing.assert_allclose(found["mean"], normalise_naively(windows, 2, 24))


def test_all_readings_of_a_window_have_the_same_centre_and_scale():
    found = normalise_windows(make_windows(np.random.default_rng(1).normal(50, 3, size=60)))
    spread = found["standard_deviation"]
    for name in ("minimum", "maximum", "last_value"):
        sign = -1 if name == "minimum" else 1
        np.testing.assert_allclose(found[name], found["mean"] + sign * spread)
    assert (found["readings"] == 2).all()


@given(st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_unit_and_level_of_a_sensor_do_not_matter(level, unit):
    windows = make_windows(np.random.default_rng(2).normal(size=80))
    other = windows.copy()
    for name in COLUMNS:
        other[name] *= unit
        if name != "standard_deviation":
            other[name] += level
    np.testing.assert_allclose(
        normalise_windows(other)[COLUMNS], normalise_windows(windows)[COLUMNS], rtol=1e-5, atol=1e-6
    )


def test_a_lasting_change_is_unusual_at_first_and_normal_later():
    means = np.random.default_rng(3).normal(size=200)
    means[100:] += 40
    found = normalise_windows(make_windows(means), hours=2)["mean"].to_numpy()
    assert found[98] > 10  # two windows are left out at the start
    assert np.abs(found[110:]).mean() < 3 * np.abs(found[:90]).mean()


def test_an_almost_constant_value_has_finite_results():
    found = normalise_windows(make_windows([5.0] * 30 + [7.0] + [5.0] * 10))["mean"].to_numpy()
    assert found[28] == 2.0
    assert (found[:28] == 0).all()
    assert np.isfinite(found).all()


def test_sensors_are_normalised_independently_in_any_order():
    generator = np.random.default_rng(4)
    first = make_windows(generator.normal(size=50))
    second = make_windows(generator.normal(100, 9, size=50), sensor="t")
    both = pd.concat([second, first]).sample(frac=1, random_state=0)
    found = normalise_windows(both)
    expected = pd.concat([normalise_windows(first), normalise_windows(second)], ignore_index=True)
    pd.testing.assert_frame_equal(found, expected)
    assert list(found) == list(first)


def test_new_windows_need_only_the_day_before():
    means = np.random.default_rng(5).normal(size=300)
    windows = make_windows(means)
    complete = normalise_windows(windows).tail(20).reset_index(drop=True)
    # The first of the day that are compared are compared with less.
    late = normalise_windows(windows.tail(20 + 48 + 4)).tail(20).reset_index(drop=True)
    pd.testing.assert_frame_equal(complete, late)


def test_windows_after_a_long_gap_are_left_out():
    ends = [1, 2, 3, 100, 101]
    found = normalise_windows(make_windows([1.0, 2.0, 3.0, 4.0, 5.0], ends=ends), hours=2)
    assert found["window_end"].astype("int64").floordiv(MINUTES * 60).tolist() == [3]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_windows_without_earlier_ones_are_dropped(count):
    found = normalise_windows(make_windows([1.0] * count))
    assert found.empty
    assert list(found) == list(make_windows([]))


def test_names_may_be_categories_of_which_some_do_not_occur():
    windows = make_windows(np.random.default_rng(6).normal(size=20))
    named = windows.assign(
        device=pd.Categorical(windows["device"], ["c", "d"]),
        sensor=pd.Categorical(windows["sensor"], ["s", "t"]),
    )
    expected = normalise_windows(windows)
    np.testing.assert_array_equal(normalise_windows(named)["mean"], expected["mean"])


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
    other = steady(6).assign(device="changing", sensor="temperature")
    windows = pd.concat([steady(6), changing(6), other], ignore_index=True)
    return choose_context(windows, windows, MODELS.context_for(SECONDS), every=False)


def test_all_sensors_of_devices_that_keep_changing_are_normalised_and_no_others(chosen):
    by_device = chosen.groupby("device")["relative"].agg(["min", "max"])
    assert by_device.loc["changing"].all()
    assert not by_device.loc["steady"].any()
    expected = normalise_windows(changing(6))
    found = chosen[chosen["relative"] & (chosen["sensor"] == "speed")].reset_index(drop=True)
    pd.testing.assert_frame_equal(found[expected.columns], expected)


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
    assert model_set.relative.tolist() == [1, 1, 0]
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
