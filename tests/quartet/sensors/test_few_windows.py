"""Short data sets get windows that suit them, and sensors with few windows a model all the same."""

import numpy as np
import pyarrow as pa
import pytest

from quartet.sensors.model_set import SensorModels
from quartet.sensors.scoring import predict
from quartet.sensors.settings import SensorSvm
from quartet.sensors.training import fit_model_set
from quartet.sensors.window_length import choose_window_length
from sensors.simulated_windows import HOUR, simulate_windows

MODELS = SensorSvm(seed=1, workers=1, nu=0.02)


def make_readings(interval, hours, sensors=3):
    """Readings of sensors whose clocks differ by a second."""
    count = round(hours * 3600 / interval)
    times = np.arange(count) * interval
    return pa.table(
        {
            "device": pa.array(["d"] * count * sensors).dictionary_encode(),
            "sensor": pa.array(np.repeat([f"s{n}" for n in range(sensors)], count).tolist())
            .dictionary_encode(),
            "timestamp": (np.concatenate([times + n for n in range(sensors)]) * 1e6).astype(int),
            "value": np.zeros(count * sensors),
            "sequence": np.arange(count * sensors),
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("interval", "hours", "seconds"),
    [
        (10, 4.2, 30),  # 504 windows of three readings
        (1, 4.2, 30),
        (60, 24 * 8, 300),
        (60, 4, 300),  # no shorter than three readings
        (300, 24 * 30, 900),
        (3600, 24 * 90, 10_800),
        (0.1, 1, 5),
        (86_400 * 7, 24 * 365, 86_400),
    ],
)
def test_windows_of_a_complete_table_fit_its_interval_and_span(interval, hours, seconds):
    length = choose_window_length(make_readings(interval, hours), is_complete=True)
    assert length.seconds == seconds


@pytest.mark.parametrize(("interval", "seconds"), [(1, 300), (99, 300), (600, 1800)])
def test_windows_of_a_stream_do_not_depend_on_the_length_of_its_first_files(interval, seconds):
    readings = make_readings(interval, 0.5)
    assert choose_window_length(readings, is_complete=False).seconds == seconds


def test_one_reading_gets_the_usual_windows_and_none_decides_nothing():
    one = make_readings(10, 1 / 360, sensors=1)
    length = choose_window_length(one, is_complete=True)
    assert length.seconds == 300
    assert "300 s: no sensor has two readings; " in length.describe()
    assert choose_window_length(one[:0], is_complete=True) is None


def test_few_windows_get_a_robust_z_score_that_says_so():
    windows = simulate_windows(6, 40)
    trained = fit_model_set(windows, MODELS, HOUR)
    assert trained.untrained.empty
    model_set = SensorModels.from_bytes(trained.model_set.to_bytes())
    assert model_set.summary()["method"].tolist() == ["robust_z_score"] * 6
    assert predict(model_set, windows.assign(mean=1e6))["anomaly"].all()
    later = simulate_windows(6, 400, start=40)
    assert predict(model_set, later)["anomaly"].mean() < 0.06


def test_enough_windows_get_a_machine():
    both = simulate_windows(2, 60).drop(index=range(30))
    model_set = fit_model_set(both, MODELS, HOUR).model_set
    assert model_set.methods == ("robust_z_score", "one_class_svm")
    assert SensorModels.merge([model_set, model_set]).methods == model_set.methods
    assert model_set.take(np.array([1])).methods == ("one_class_svm",)


def test_a_stuck_value_and_a_spike_are_far_from_the_few_windows():
    windows = simulate_windows(1, 45, readings=60)
    model_set = fit_model_set(windows, MODELS, HOUR).model_set
    stuck = windows.assign(standard_deviation=0.0, minimum=windows["mean"], maximum=windows["mean"])
    spike = windows.assign(maximum=windows["maximum"] + 30 * windows["standard_deviation"].max())
    assert predict(model_set, stuck)["anomaly"].all()
    assert predict(model_set, spike)["anomaly"].all()
    assert predict(model_set, windows)["anomaly"].mean() < 0.1


@pytest.mark.filterwarnings("error")
def test_sensors_of_one_reading_have_no_say_in_the_span():
    series, single = make_readings(1, 1.5, sensors=1), make_readings(1, 1 / 3600, sensors=100)
    readings = pa.concat_tables([series, single]).unify_dictionaries()
    assert choose_window_length(readings, is_complete=True) == choose_window_length(
        series, is_complete=True
    )
    assert choose_window_length(single, is_complete=True).span == 0
