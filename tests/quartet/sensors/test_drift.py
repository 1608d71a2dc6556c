"""Drift is reported, and random variation is not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quartet.sensors.drift import TOO_FEW, Span, measure_drift
from quartet.sensors.model_set import SensorModels
from quartet.sensors.models import QUANTILES, SensorModel

TRAINED = 2000
LENGTH = 300
START = pd.Timestamp("2026-03-09")
DAY = 288
"""Windows per day."""


def make_model_set(**training):
    """Return models with the mean as only feature; training values by sensor."""
    models = {}
    for sensor, values in training.items():
        one, none = np.ones(1), np.zeros((1, 1))
        models["d", sensor] = SensorModel(
            lowest=np.array([-np.inf]),
            center=none[0],
            scale=one,
            vectors=none,
            coefficients=one,
            intercept=-1.0,
            gamma=1.0,
            threshold=0.0,
            nu=0.01,
            windows=len(values),
            false_alarm_rate=0.0,
            trained_until=0,
            quantiles=np.quantile(np.asarray(values, float), QUANTILES)[None],
        )
    return SensorModels.from_models(models, ("mean",), LENGTH)


def make_windows(**new):
    """Return consecutive windows of each sensor from the start on."""
    tables = [pd.DataFrame({"device": "d", "sensor": name, "mean": new[name]}) for name in new]
    for table in tables:
        seconds = LENGTH * (np.arange(len(table)) + 1)
        table["window_end"] = START.to_datetime64() + seconds.astype("timedelta64[s]")
    return pd.concat(tables)


def full_span(windows):
    """Return the span from the start to the last window."""
    return Span(START, windows["window_end"].max())


def measured(model_set, windows):
    return measure_drift(model_set, [windows], full_span(windows))


def index_of(training, new):
    table = measured(make_model_set(s=training), make_windows(s=np.asarray(new, float)))
    return table["stability_index"].item()


def days(number):
    """Return the means of some days: a daily cycle with noise."""
    phase = 2 * np.pi * np.arange(DAY * number) / DAY
    return np.sin(phase) + np.random.default_rng(number).normal(0, 0.1, len(phase))


def test_the_index_is_computed_from_deciles():
    generator = np.random.default_rng(0)
    training, new = generator.normal(size=TRAINED), generator.normal(0.7, 1.5, size=500)
    edges = np.quantile(training, QUANTILES)[1:-1]
    shares = np.bincount(np.searchsorted(edges, new), minlength=10) / len(new)
    expected = ((shares - 0.1) * np.log(shares / 0.1)).sum()
    assert expected > 0.25
    assert index_of(training, new) == pytest.approx(expected)


@pytest.mark.parametrize("windows", [12, 100, 1000])
def test_few_windows_rarely_exceed_the_chance_limit(windows):
    generator = np.random.default_rng(windows)
    sensors = {f"s{number}": generator.normal(size=TRAINED) for number in range(400)}
    table = measured(
        make_model_set(**sensors),
        make_windows(**{name: generator.normal(size=windows) for name in sensors}),
    )
    assert (table["stability_index"] > table["chance_limit"]).mean() < 0.03
    assert table["drifted"].mean() < 0.03
    assert (table["windows"] == windows).all()


@pytest.mark.parametrize("new", [3.9, 4.1, 1000.0])
def test_a_constant_value_that_changes_has_drifted(new):
    assert index_of(np.full(TRAINED, 4.0), np.full(50, 4.0)) == pytest.approx(0, abs=1e-9)
    assert index_of(np.full(TRAINED, 4.0), np.full(50, new)) > 1


def test_repeated_values_are_not_reported_as_drift():
    generator = np.random.default_rng(2)
    for values in ([0, 0, 0, 1], [0, 1, 1, 1], [3, 4, 5]):
        training, new = generator.choice(values, TRAINED), generator.choice(values, 500)
        assert index_of(training, new) < 0.1  # quantiles know shares to a tenth


def test_each_sensor_is_compared_with_its_own_training():
    generator = np.random.default_rng(3)
    model_set = make_model_set(a=generator.normal(size=TRAINED), b=generator.normal(9, 1, TRAINED))
    windows = make_windows(
        b=generator.normal(9, 1, 300), stranger=[1.0], a=generator.normal(9, 1, 300)
    )
    table = measured(model_set, windows.sample(frac=1, random_state=1))
    assert table["sensor"].tolist() == ["a", "b"]
    assert table["drifted"].tolist() == [True, False]
    assert table["feature"].tolist() == ["mean", "mean"]


def test_values_below_the_lower_bound_of_the_model_are_clipped():
    """The logarithm of a zero deviation is clipped to the model's lower bound, as in training."""
    model_set = make_model_set(s=np.linspace(-3, 3, TRAINED))
    floored = replace(model_set, lowest=np.full((1, 1), -3.0))
    new = np.concatenate([np.linspace(-3, 3, 500), np.full(30, -691.0)])
    shown = measured(floored, make_windows(s=new))["stability_index"].item()
    assert shown == pytest.approx(index_of(np.linspace(-3, 3, TRAINED), np.maximum(new, -3)))


def test_without_windows_the_table_is_empty():
    windows = make_windows(s=[1.0])
    for blocks in ([], [windows.head(0)]):
        table = measure_drift(make_model_set(s=np.arange(100.0)), blocks, full_span(windows))
        assert table.empty
        assert "drifted" in table


@pytest.mark.parametrize("hours", [1, 12, 21])
def test_drift_is_not_measured_on_a_part_of_a_day(hours):
    model_set, windows = make_model_set(s=days(8)), make_windows(s=days(1)[: 12 * hours])
    table = measure_drift(model_set, [windows], Span(START, START + pd.Timedelta(hours=24)))
    assert table["windows"].tolist() == [12 * hours]
    assert table["drifted"].tolist() == [False]
    assert table["reason"].tolist() == [TOO_FEW]
    assert table[["stability_index", "chance_limit"]].isna().all(axis=None)


@pytest.mark.parametrize(("missing", "expected"), [(0, True), (2, True), (3, False)])
def test_the_index_of_a_day_with_a_short_gap_is_computed(missing, expected):
    windows = make_windows(s=days(1))
    first = START + pd.Timedelta(hours=6 - missing / 2)  # around the highest values
    gap = windows["window_end"].between(first, first + pd.Timedelta(hours=missing), "right")
    shown = measure_drift(make_model_set(s=days(8)), [windows[~gap]], full_span(windows))
    assert shown["stability_index"].notna().tolist() == [expected]
    assert shown["drifted"].tolist() == [False]


@pytest.mark.parametrize("seconds", [1800, 3600, 7200, 86_400])
def test_drift_is_measured_on_days_of_long_windows(seconds):
    model_set = replace(make_model_set(s=np.arange(100.0)), window_seconds=seconds)
    windows = make_windows(s=np.linspace(0, 99, 86_400 // seconds))
    windows["window_end"] = START + np.arange(1, len(windows) + 1) * pd.Timedelta(seconds=seconds)
    assert measure_drift(model_set, [windows], full_span(windows))["reason"].tolist() == [""]
    if len(windows) > 3:
        late = windows[len(windows) // 4 :]
        assert measure_drift(model_set, [late], full_span(windows))["reason"].tolist() == [TOO_FEW]


def test_the_division_into_blocks_does_not_matter():
    model_set, windows = (
        make_model_set(a=days(3), b=days(4)),
        make_windows(a=days(1), b=days(1) + 1),
    )
    order = np.random.default_rng(4).permutation(len(windows))
    blocks = [windows.iloc[rows] for rows in np.array_split(order, 7)]
    pd.testing.assert_frame_equal(
        measure_drift(model_set, blocks, full_span(windows)),
        measure_drift(model_set, [windows], full_span(windows)),
    )
