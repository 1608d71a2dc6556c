"""The residual of all sensors of a device finds what none of its sensors shows alone."""

import numpy as np
import pandas as pd
import pytest

from quartet.sensors.baselines import (
    BASELINES,
    compare,
    detect_alarms,
    detect_device_alarms,
    fit_residual,
    fit_threshold,
    sample_sensors,
)
from quartet.sensors.settings import Baselines
from sensors.simulated_windows import HOUR, make_table

SETTINGS = Baselines(seed=1, nu=0.02)


def make_device(count, seed, broken=()):
    """Two sensors that rise and fall together; in broken windows they do the opposite."""
    generator = np.random.default_rng(seed)
    common = generator.normal(size=count)
    ends = (np.arange(count) + 1) * HOUR
    other = common.copy()
    other[list(broken)] *= -1
    return pd.concat(
        [
            make_table(level[:, None] + 0.05 * generator.normal(size=(count, 5)), "d", name, ends)
            for name, level in (("inlet", common), ("outlet", other))
        ],
        ignore_index=True,
    )


def test_sensors_that_no_longer_agree_are_an_alarm_of_the_device():
    training = make_device(300, 1)
    common = np.random.default_rng(2).normal(size=100)
    broken = np.flatnonzero(np.abs(common) > 0.5).tolist()
    windows = make_device(100, 2, broken)
    table, alarms = detect_device_alarms(training, windows, SETTINGS)
    assert len(table) == 100
    assert set(table["sensor"]) == {""}
    is_broken = np.isin(np.arange(100), broken)
    assert alarms[is_broken].all()
    assert alarms[~is_broken].mean() < 0.1
    alone = detect_alarms("robust_z_score", training, windows, SETTINGS)
    assert alone.mean() < 0.1


def test_the_residual_keeps_the_false_alarm_rate():
    _, alarms = detect_device_alarms(make_device(500, 3), make_device(2000, 4), SETTINGS)
    assert alarms.mean() == pytest.approx(SETTINGS.nu, rel=0.6)


def test_a_sensor_without_a_reading_is_taken_as_usual():
    windows = make_device(50, 6)
    windows = windows.drop(index=windows.index[windows["sensor"].eq("outlet")][:10])
    table, alarms = detect_device_alarms(make_device(300, 5), windows, SETTINGS)
    assert len(table) == 50
    assert not alarms[10:].any()


def test_unrelated_sensors_have_a_residual_that_is_not_a_rounding_error():
    generator = np.random.default_rng(7)
    training = generator.normal(size=(300, 3))
    score = fit_residual(training)
    far = np.full((1, 3), 50.0)
    assert score(far)[0] > 100 * score(training).max()


def test_a_device_of_one_sensor_is_scored_by_its_distance():
    score = fit_residual(np.random.default_rng(8).normal(5, 2, size=(400, 1)))
    np.testing.assert_allclose(score(np.array([[5.0], [9.0]])), [0, 4], atol=0.6)


def test_sensors_of_devices_with_labels_are_compared_first():
    windows = pd.DataFrame({"device": list("abbc"), "sensor": ["x", "x", "y", "x"]})
    labels = pd.DataFrame({"device": ["b"], "sensor": [""]})
    assert sample_sensors(windows, labels, 3) == [("b", "x"), ("b", "y"), ("a", "x")]


@pytest.mark.parametrize("trained", [0, 1, 14])
def test_a_device_with_too_few_normal_windows_raises_no_alarm(trained):
    windows = make_device(50, 9)
    label = {"device": "d", "sensor": "", "start": windows["window_end"][20], "kind": ""}
    labels = pd.DataFrame([{**label, "end": label["start"]}])
    scores = compare(make_device(trained, 10), windows, labels, HOUR, SETTINGS)
    assert scores["method"].tolist() == list(BASELINES)
    assert scores["events"].tolist() == [1, 1, 1]
    assert scores["found"].tolist() == scores["false_alarms"].tolist() == [0, 0, 0]


def test_a_threshold_needs_no_more_windows_than_blocks():
    training = np.random.default_rng(11).normal(size=(15, 2))
    each = fit_threshold(fit_residual, training, SETTINGS.model_copy(update={"blocks": 15}))
    more = fit_threshold(fit_residual, training, SETTINGS.model_copy(update={"blocks": 100}))
    assert more == each
