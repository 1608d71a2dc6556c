"""Features follow their definitions, and unusual windows are far from normal on their scale."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import StandardScaler

from quartet.sensors.features import FEATURES, fit_scale, window_features
from quartet.sensors.settings import FeatureName, SensorSvm
from sensors.simulated_windows import make_table, simulate_windows

NAMES = SensorSvm(seed=1).features


def test_features_of_one_window():
    six_in_the_morning = [6 * 3600]
    windows = make_table(np.array([[1.0, 3.0, 8.0]]), "d", "s", six_in_the_morning)
    found = dict(zip(FEATURES, window_features(windows, FEATURES)[0], strict=True))
    assert found == pytest.approx(
        {
            "mean": 4,
            "log_standard_deviation": np.log(np.sqrt(26 / 3)),
            "minimum": 1,
            "maximum": 8,
            "last_value": 1,
            "range": 7,
            "log_readings": np.log(3),
            "sine_of_day": 1,
            "cosine_of_day": 0,
        }
    )


def test_every_configurable_feature_can_be_computed():
    assert set(FeatureName.__args__) == set(FEATURES)
    assert window_features(simulate_windows(1, 5)[:0], FEATURES).shape == (0, len(FEATURES))


def test_features_have_the_requested_order_and_windows_are_unchanged():
    windows = simulate_windows(2, 5)
    before = windows.copy()
    ahead, back = (window_features(windows, names) for names in (NAMES, NAMES[::-1]))
    np.testing.assert_array_equal(ahead, back[:, ::-1])
    pd.testing.assert_frame_equal(windows, before)


@pytest.mark.parametrize("column", ["mean", "maximum"])
def test_a_window_with_a_missing_value_is_named(column):
    windows = simulate_windows(2, 5)
    windows.loc[7, column] = np.nan
    expected = rf"window 7 \(device d0, sensor s1, window_end 1970-01-01 03:00:00\) has no {column}"
    with pytest.raises(ValueError, match=expected):
        window_features(windows, NAMES)


def test_huge_readings_have_finite_features():
    windows = simulate_windows(2, 5)
    windows.loc[7, ["mean", "maximum", "standard_deviation"]] = [1e200, 1e200, np.inf]
    features = window_features(windows, NAMES)
    assert np.isfinite(features).all()
    assert (features[7] > features[8]).sum() >= 3


def test_a_table_without_window_columns_is_rejected():
    with pytest.raises(
        ValueError, match="windows: column 'mean' is missing, which feature mean needs"
    ):
        window_features(simulate_windows(1, 5).drop(columns="mean"), NAMES)


@given(arrays(np.float64, (20, 3), elements=st.floats(-1e6, 1e6)))
def test_the_scale_equals_that_of_scikit_learn_where_values_vary(features):
    spread = features.std(axis=0)
    if (spread < 1e-6 * (1 + np.abs(features).max(axis=0))).any():
        return
    scale = fit_scale(features, ["mean", "minimum", "last_value"])
    theirs = StandardScaler().fit(features)
    np.testing.assert_allclose(scale.center, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(scale.scale, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(scale.apply(features), theirs.transform(features), atol=1e-9)


def fit_deviations(values):
    """Fit a scale and return a function of the deviations of other windows."""
    windows = make_table(values, "d", "s", np.arange(len(values)))
    scale = fit_scale(window_features(windows, NAMES), NAMES)

    def off(others):
        table = make_table(others, "d", "s", np.arange(len(others)))
        deviations = np.abs(scale.apply(window_features(table, NAMES)))
        return dict(zip(NAMES, deviations.max(axis=0), strict=True))

    return off


@pytest.fixture
def noise():
    return np.random.default_rng(5).normal(size=(300, 12))


def test_a_stuck_value_has_an_unusual_deviation(noise):
    off = fit_deviations(20 + noise)
    assert off(np.full((1, 12), 20.3))["log_standard_deviation"] > 5


def test_constant_windows_of_a_rounding_sensor_are_normal(noise):
    rounded = np.round(0.6 * noise[:, :3])
    still = (rounded.std(axis=1) == 0).mean()
    assert 0.1 < still < 0.9
    off = fit_deviations(rounded)
    assert max(off(rounded).values()) < 4
    assert off(10 * rounded)["log_standard_deviation"] > 4


def test_deviations_are_ignored_if_all_are_zero(noise):
    alone = np.cumsum(noise[:, :1], axis=0)  # one reading a window
    assert fit_deviations(alone)(np.array([[0.0, 0.1]]))["log_standard_deviation"] == 0


def test_many_missing_readings_are_unusual_and_one_is_not(noise):
    off = fit_deviations(np.repeat(noise, 5, axis=1))  # 60 readings in every window
    half = np.where(np.arange(60) < 30, 1.0, np.nan)[None, :]
    assert off(half)["log_readings"] > 10
    assert off(np.where(np.arange(60) < 59, 1.0, np.nan)[None, :])["log_readings"] < 1


def test_constant_values_get_the_scale_of_varying_ones():
    """The minimum of each window is exactly 0, so that its deviation is 0."""
    generator = np.random.default_rng(1)
    values = 1000 * np.maximum(generator.normal(size=(300, 12)), 0)
    assert (values.min(axis=1) == 0).all()
    off = fit_deviations(values)
    least = off(np.full((1, 12), 10.0))["minimum"]
    assert 0 < least < 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((60, 4), 7.3), "its values never change"),
        (np.random.default_rng(0).normal(size=(60, 1)) * 1e200, "values too large to be squared"),
    ],
)
def test_a_sensor_that_cannot_be_scaled_is_reported(values, reason):
    with pytest.raises(ValueError, match=reason):
        fit_deviations(values)
