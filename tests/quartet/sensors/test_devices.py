"""Devices raise one alarm for all of their sensors, at the rate that was asked for."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.sensors.devices import (
    ALARM_COLUMNS,
    fit_thresholds,
    raise_alarms,
    score_devices,
)
from quartet.sensors.model_set import SensorModels
from quartet.sensors.models import compute_p_values
from quartet.sensors.scoring import predict
from quartet.sensors.settings import DeviceAlarms, SensorSvm
from quartet.sensors.training import fit_model_set
from sensors.simulated_windows import HOUR, simulate_windows

MODELS = SensorSvm(seed=1, workers=1, nu=0.02, gamma=0.1)
SETTINGS = DeviceAlarms()
NONE = pd.DataFrame(columns=list(ALARM_COLUMNS))
TRAINED = 400


@pytest.fixture(scope="module")
def model_set():
    """Models of two devices with four sensors each, and the thresholds of the devices."""
    windows = simulate_windows(8, TRAINED)
    trained = fit_model_set(windows, MODELS, HOUR)
    return fit_thresholds(trained.model_set, trained.device_scores, MODELS.nu)


def score(model_set, windows):
    return score_devices(model_set, predict(model_set, windows))


def test_p_values_of_later_normal_windows_are_uniform(model_set):
    scores = predict(model_set, simulate_windows(8, 600, start=TRAINED))
    values = compute_p_values(
        model_set.calibration[model_set.locate(scores)], scores["score"].to_numpy()
    )
    for level in (0.01, 0.02, 0.05):
        assert (values < level).mean() == pytest.approx(1.25 * level, rel=0.6)


def test_p_values_of_equal_calibration_scores_are_the_largest():
    calibration = np.array([[0.0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
    values = compute_p_values(calibration, np.array([-1.0, 0.0, 1.0, 9.0, 10.0]))
    np.testing.assert_allclose(values, [1e-4, 1e-4, 3e-4, 1, 1])


def test_devices_raise_false_alarms_at_the_requested_rate(model_set):
    later = score(model_set, simulate_windows(8, 1000, start=TRAINED))
    alarms = raise_alarms(model_set, later, NONE, SETTINGS)
    assert 0.5 <= len(alarms) / len(later) / MODELS.nu <= 2


def test_an_alarm_names_the_unusual_sensors_of_its_device(model_set):
    windows = simulate_windows(8, 50, start=TRAINED)
    odd = windows["device"].eq("d1") & windows["window_end"].eq(windows["window_end"][20])
    first, second = odd & windows["sensor"].eq("s2"), odd & windows["sensor"].eq("s1")
    for name in ("mean", "minimum", "maximum"):
        windows.loc[first, name] += 1e6
        windows.loc[second, name] += 1.5 * windows.loc[second, "standard_deviation"]
    alarms = raise_alarms(model_set, score(model_set, windows), NONE, SETTINGS)
    alarm = alarms[alarms["window_end"].eq(windows["window_end"][20])]
    assert alarm["device"].tolist() == ["d1"]
    assert alarm["sensor"].tolist() == ["s2"]
    assert alarm["sensors"].item().startswith("s2")
    assert (alarm["score"] > alarm["threshold"]).all()


def test_runs_of_any_length_raise_the_same_alarms(model_set):
    later = score(model_set, simulate_windows(8, 300, start=TRAINED))
    at_once = raise_alarms(model_set, later, NONE, SETTINGS)
    history = NONE
    for _, part in later.groupby(later["window_end"].rank(method="dense") // 7):
        found = raise_alarms(model_set, part, history, SETTINGS)
        history = pd.concat([table for table in (history, found) if len(table)] or [NONE])
    keys = ["device", "window_end"]
    assert len(at_once) > 5
    pd.testing.assert_frame_equal(
        history.sort_values(keys, ignore_index=True), at_once.sort_values(keys, ignore_index=True)
    )


def make_device(trained=60, nu=0.02, rate=0.01, threshold=1.0):
    """Return the models of a device of one sensor: its threshold and expected events per window."""
    models = fit_model_set(simulate_windows(1, 60), MODELS, HOUR).model_set
    return replace(
        models,
        device_threshold=np.full(1, threshold),
        device_event_rate=np.full(1, rate),
        nu=np.full(1, nu),
        windows=np.full(1, trained),
    )


def make_scores(values):
    """Return scores of a device, one an hour, long after training."""
    ends = ((np.arange(len(values)) + 1_000) * HOUR).astype("datetime64[s]")
    table = pd.DataFrame({"device": "d0", "window_end": ends, "score": np.asarray(values, float)})
    return table.assign(sensor="s0", sensors="s0", revision=0)


def follow(values, device=None, **options):
    """Return the alarms of a device with these scores."""
    device = device or make_device()
    return raise_alarms(device, make_scores(values), NONE, DeviceAlarms(**options))


def hours(times):
    """Return the indices of the scores at these times."""
    return ((times - pd.Timestamp(1_000 * HOUR, unit="s")) // pd.Timedelta(hours=1)).tolist()


FEW = {"trained": 250, "nu": 0.002, "rate": 0.002}
"""A device whose threshold is an extrapolation."""


def test_windows_above_the_threshold_soon_after_each_other_are_one_event():
    values = np.zeros(40)
    values[[5, 7, 10, 30]] = 2
    assert hours(follow(values, cool_down_windows=3)["event_start"]) == [5, 5, 5, 30]


def test_an_event_may_need_several_windows():
    values = np.zeros(40)
    values[[5, 20, 22, 23]] = 2
    found = follow(values, required_windows=2, within_windows=3, cool_down_windows=0)
    assert hours(found["window_end"]) == [22, 23]
    assert len(follow(values, required_windows=2, within_windows=2)) == 1


def test_a_machine_that_becomes_restless_keeps_few_alarms():
    """Its scores grow threefold: a fixed threshold would be exceeded by a fifth of them."""
    values = np.random.default_rng(0).exponential(0.6, 4000)
    fixed = follow(values, adaptation=0.0, cool_down_windows=0)
    adapted = follow(values, adaptation=0.1, cool_down_windows=0)
    assert len(fixed) / len(values) > 0.15
    assert len(adapted) < len(fixed) / 4


def test_ranks_that_train_some_sensors_of_a_device_fit_the_same_thresholds(model_set):
    windows = simulate_windows(8, TRAINED)
    pairs = list(model_set.pairs)
    parts = [fit_model_set(windows, MODELS, HOUR, sensors=pairs[rank::2]) for rank in range(2)]
    merged = fit_thresholds(
        SensorModels.merge([part.model_set for part in parts]),
        pd.concat([part.device_scores for part in parts]),
        MODELS.nu,
    )
    np.testing.assert_allclose(merged.device_threshold, model_set.device_threshold)


def test_a_device_without_a_threshold_raises_no_alarm():
    assert follow(np.full(50, 1e6), make_device(threshold=np.nan)).empty


def test_a_threshold_from_few_windows_follows_a_machine_that_drifts():
    """Its scores grow for good after training: a fixed threshold would be exceeded by a third."""
    values = np.random.default_rng(1).exponential(0.9, 2000)
    fixed = follow(values, make_device(**FEW), adaptation=0.0)
    followed = follow(values, make_device(**FEW), cool_down_windows=0)
    assert len(fixed) / len(values) > 0.3
    assert len(followed) / len(values) < 0.03
    late = followed["window_end"] > followed["window_end"].iloc[0] + pd.Timedelta(hours=500)
    assert late.sum() / 1500 < 2 * 0.002 * 2


def test_a_threshold_from_enough_windows_stays():
    values = np.zeros(100)
    values[[5, 50]] = 1.05
    assert len(follow(values, make_device(**FEW))) == 1
    assert len(follow(values, make_device(**{**FEW, "trained": 500}))) == 2


def test_a_long_anomaly_does_not_hide_the_next_one():
    values = np.zeros(100)
    values[5:30], values[60] = 3, 1.2
    starts = follow(values, make_device(**FEW))["event_start"]
    assert starts.value_counts(sort=False).tolist() == [25, 1]


def test_a_raised_threshold_falls_again():
    values = np.zeros(800)
    values[[5, 100, 700]] = 1.05
    assert hours(follow(values, make_device(**FEW))["window_end"]) == [5, 700]


def test_a_retrained_device_starts_from_its_new_threshold():
    models, scores = make_device(**FEW), make_scores(np.full(5, 1.05))
    alarms = raise_alarms(models, scores, NONE, SETTINGS)
    retrained = replace(models, trained_until=np.full(1, 1_100 * HOUR * 10**6))
    later = scores.assign(window_end=scores["window_end"] + pd.Timedelta(hours=150))
    assert len(alarms) == 1
    assert len(raise_alarms(retrained, later, alarms, SETTINGS)) == 1
    assert raise_alarms(models, later, alarms, SETTINGS).empty


def test_a_threshold_of_zero_stays_and_raises_alarms():
    """All scores of training are 0, as of a sensor with two values, and so is the threshold."""
    values = np.zeros(100)
    values[[5, 60]] = 3
    device = make_device(**{**FEW, "trained": 15}, threshold=0.0)
    assert follow(values, device)["threshold"].tolist() == [0, 0]


@pytest.fixture(scope="module")
def device():
    """Return a device with threshold 1, which 11 events in 50 windows raise."""
    return make_device(rate=0.1)


@given(
    runs=st.lists(st.lists(st.sampled_from([0.0, 0.9, 1.05, 2.0]), min_size=1, max_size=5)),
    few=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "required_windows": st.integers(1, 3),
            "within_windows": st.integers(1, 5),
            "cool_down_windows": st.integers(0, 3),
            "adaptation": st.sampled_from([0.0, 0.1, 0.5]),
        }
    ),
)
def test_required_windows_count_whichever_run_scored_them(device, runs, few, options):
    models = replace(device, nu=np.full(1, 0.01), windows=np.full(1, 50 if few else 200))
    settings = DeviceAlarms(**options)
    values = np.array([value for run in runs for value in run], float)
    table = make_scores(values)
    at_once = raise_alarms(models, table, NONE, settings)
    history, last = NONE, 0
    for run in runs:
        first, last = last, last + len(run)
        earlier = table[max(0, first - settings.within_windows + 1) : first]
        found = raise_alarms(models, table[first:last], history, settings, earlier)
        history = pd.concat([part for part in (history, found) if len(part)] or [NONE])
    pd.testing.assert_frame_equal(
        history.reset_index(drop=True), at_once.reset_index(drop=True), check_dtype=False
    )
