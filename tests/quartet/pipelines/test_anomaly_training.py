"""A release identifies the windows that its models were fitted to."""

import pandas as pd
import pytest

from pipelines.test_anomaly_scoring import SETTINGS, batch, make_windows
from quartet.datasets.registered_model import Champion
from quartet.datasets.sensor_store.tables import SensorTablesDataset
from quartet.pipelines.anomaly_training.nodes import merge_models, select_windows
from quartet.pipelines.anomaly_training.release import make_release
from quartet.sensors.model_set import SensorModels
from quartet.sensors.settings import SensorRelease, TrainingWindows
from quartet.sensors.training import fit_model_set


@pytest.fixture(scope="module")
def windows():
    return make_windows("d1", 0, 120).assign(revision=0)


@pytest.fixture(scope="module")
def release(windows):
    """Makes the release of a model set that was fitted to some windows."""
    model_set = fit_model_set(
        windows.drop(columns="revision"), SETTINGS, 300, progress=False
    ).model_set

    def make(windows, rate=0.02, svm=SETTINGS, **options):
        metrics = {"models": 1, "sensors_without_model": 0, "training_windows": len(windows)}
        metrics |= {"false_alarm_rate": rate, "nu": 0.02}
        settings = SensorRelease(**options)
        return make_release(model_set.to_arrays(), metrics, None, windows, svm, settings)

    return make


def test_the_release_names_its_data_by_their_content(release, windows):
    digest = release(windows).tags["train_data_sha256"]
    assert len(digest) == 64
    assert release(windows.reset_index(drop=True).copy()).tags["train_data_sha256"] == digest
    changed = windows.assign(mean=windows["mean"].where(windows.index > 0, 0.0))
    assert release(changed).tags["train_data_sha256"] != digest


def test_labels_that_leave_no_normal_windows_are_reported(windows, tmp_path):
    """Not by an IndexError two nodes later, where no sensor got a model."""
    tables = SensorTablesDataset(url=f"sqlite:///{tmp_path}/sensors.db").load()
    tables.publish(batch(windows.drop(columns="revision"), closed=120))
    span = {"start": pd.Timestamp("2026-03-01"), "end": pd.Timestamp("2026-03-09")}
    labels = pd.DataFrame([{"device": "d1", "sensor": "", "kind": "stuck", **span}])
    with pytest.raises(ValueError, match=r"sensor_labels: all 72 windows .* training_windows"):
        select_windows(tables, labels, TrainingWindows(), SETTINGS)


class Registered:
    """The model that MLflow loads, of sensors with these names."""

    def __init__(self, *devices):
        normal = pd.concat([make_windows(name, 0, 120) for name in devices])
        self.model_set = fit_model_set(normal, SETTINGS, 300, progress=False).model_set

    def get_raw_model(self):
        return self.model_set


class OfOtherCode:
    """A model whose loader module is not one of this project."""

    def get_raw_model(self):
        raise NotImplementedError


def test_models_of_another_fleet_do_not_replace_the_registered_ones():
    champion = Champion(3, {}, Registered("pump", "fan"))
    press = Registered("press").model_set.to_arrays()
    with pytest.raises(ValueError, match=r"version 3 has models of 2 other sensors, such as fan/"):
        merge_models(press, champion, TrainingWindows())
    for others in (None, Champion(3, {}, OfOtherCode()), Champion(3, {}, Registered("press"))):
        assert merge_models(press, others, TrainingWindows()).keys() == press.keys()


def test_one_new_sensor_is_added_to_the_registered_models():
    champion = Champion(3, {}, Registered("pump", "fan"))
    press = Registered("press").model_set.to_arrays()
    one = TrainingWindows(sensors=("press/temperature",))
    merged = merge_models(press, champion, one)
    devices = {device for device, _ in SensorModels.from_arrays(merged).pairs}
    assert devices == {"press", "pump", "fan"}


def test_refusal_says_what_to_do(release, windows):
    refused = release(windows, rate=0.0874)
    assert not refused.approved
    assert refused.reason == (
        "1 models, false-alarm rate 8.74 % (target 2.00 %): more than 4 times the target; train "
        "again with --params to compare windows with the hours before "
        "(sensor_svm.context_hours=2), set a higher target (sensor_svm.nu=0.09), or register the "
        "models as they are (sensor_release.accept=true)"
    )
    in_context = SETTINGS.model_copy(update={"context_hours": 2.0})
    assert "context_hours" not in release(windows, rate=0.0874, svm=in_context).reason


def test_high_rate_can_be_accepted(release, windows):
    accepted = release(windows, rate=0.0874, accept=True)
    assert accepted.approved
    assert accepted.reason.endswith(
        "more than 4 times the target, accepted by sensor_release.accept"
    )
    assert release(windows, rate=0.0874, max_false_alarm_ratio=5).approved


def test_card_has_the_false_alarm_rate_with_an_interval(release, windows):
    card = release(windows, rate=0.001).card
    rate = card.results["false-alarm rate"]
    assert rate.low < rate.value == 0.001 < rate.high
    assert card.data["from"] == str(windows["window_end"].min())
