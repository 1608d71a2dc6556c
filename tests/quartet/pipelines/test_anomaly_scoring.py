"""The scheduled job scores each window exactly once, also if runs are killed or late."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import DatasetError
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import CSVDataset
from kedro_datasets.pickle import PickleDataset

from concurrent_runs import alter
from quartet.datasets.predictions import PartitionedPredictionsDataset
from quartet.datasets.registered_model import Champion
from quartet.datasets.sensor_store.jobs import ScoringCursorDataset, SensorAnomaliesDataset
from quartet.datasets.sensor_store.tables import Cursor, SensorTablesDataset
from quartet.pipelines.anomaly_scoring import create_pipeline, nodes
from quartet.pipelines.anomaly_training.nodes import select_windows
from quartet.sensors.batch import Batch
from quartet.sensors.devices import fit_thresholds
from quartet.sensors.drift import TOO_FEW, Span, measure_drift
from quartet.sensors.scoring import predict
from quartet.sensors.serving import SensorScorer
from quartet.sensors.settings import (
    BaselineComparison,
    DeviceAlarms,
    SensorSvm,
    TrainingWindows,
    WindowScoring,
)
from quartet.sensors.training import fit_model_set

KEYS = ["device", "sensor", "window_end"]
START = pd.Timestamp("2026-03-02")
TRAINED, SCORED = 200, 60
SETTINGS = SensorSvm(seed=1, features=("mean", "minimum", "maximum"), nu=0.02, workers=1)
NO_EVENTS = pd.DataFrame(
    {name: pd.Series(dtype=kind) for name, kind in
     {"device": str, "sensor": str, "start": "datetime64[s]", "end": "datetime64[s]",
      "kind": str}.items()}
)  # fmt: skip


def make_windows(device, first, last, shift=0.0):
    """Windows number `first` to `last` of a sensor with noise around 20."""
    number = np.arange(first, last)
    noise = np.random.default_rng([len(device), first]).normal(0, 1, len(number))
    mean = 20 + noise + shift
    return pd.DataFrame(
        {
            "device": device,
            "sensor": "temperature",
            "window_end": (START + pd.to_timedelta((number + 1) * 300, unit="s")).as_unit("s"),
            "readings": 5,
            "mean": mean,
            "standard_deviation": 1.0,
            "minimum": mean - 1,
            "maximum": mean + 1,
            "last_value": mean,
        }
    )


def batch(*windows, closed):
    """Return a batch of ingestion after which `closed` windows are closed."""
    return Batch(
        [],
        windows=pd.concat(windows, ignore_index=True),
        watermark=START + pd.Timedelta(seconds=300 * closed),
        window_seconds=300,
    )


@pytest.fixture(scope="module")
def champion():
    normal = pd.concat([make_windows(name, 0, TRAINED) for name in ("pump", "fan")])
    model_set = fit_model_set(normal, SETTINGS, 300, progress=False).model_set
    return Champion(1, {}, SensorScorer(model_set))


class Site:
    """A database and a folder of predictions, and the pipeline over them."""

    def __init__(self, folder, champion):
        self.url = f"sqlite:///{folder}/sensors.db"
        self.folder = folder / "predictions"
        self.reports = folder / "reports"
        self.champion = champion
        self.tables = SensorTablesDataset(url=self.url).load()

    def catalog(self):
        return DataCatalog(
            {
                "sensor_windows": SensorTablesDataset(url=self.url),
                "sensor_models": MemoryDataset(self.champion, copy_mode="assign"),
                "sensor_labels": MemoryDataset(NO_EVENTS),
                "params:window_scoring": MemoryDataset(WindowScoring()),
                "params:device_alarms": MemoryDataset(DeviceAlarms()),
                "params:baseline_comparison": MemoryDataset(BaselineComparison(seed=1, trees=10)),
                "sensor_predictions": PartitionedPredictionsDataset(
                    filepath=str(self.folder), keys=KEYS, time_column="window_end"
                ),
                "sensor_anomalies": SensorAnomaliesDataset(url=self.url),
                "scoring_cursor": ScoringCursorDataset(url=self.url),
                "anomaly_scoring_metrics": JSONDataset(filepath=str(self.reports / "metrics.json")),
                "unscored_sensors": CSVDataset(
                    filepath=str(self.reports / "unscored.csv"), save_args={"index": False}
                ),
                "sensor_drift": CSVDataset(
                    filepath=str(self.reports / "drift.csv"), save_args={"index": False}
                ),
            }
        )

    def run(self, kill_after=None):
        """Run the job; its metrics and the sensors it could not score."""
        catalog = self.catalog()
        if kill_after is not None:
            catalog[kill_after] = KillingDataset(
                catalog.get(kill_after) if kill_after in catalog else None
            )
        SequentialRunner().run(create_pipeline(), catalog)
        return catalog.load("anomaly_scoring_metrics"), catalog.load("unscored_sensors")

    def outcome(self):
        """Return predictions, anomalies and cursor."""
        predictions = self.catalog().get("sensor_predictions").load().read()
        return predictions, self.tables.anomalies(), self.tables.cursor("scoring")


class KillingDataset(MemoryDataset):
    """A dataset that interrupts the run after it is saved."""

    def __init__(self, dataset):
        super().__init__()
        self._dataset = dataset

    def save(self, data):
        if self._dataset is not None:
            self._dataset.save(data)
        raise KeyboardInterrupt("killed")


def make_site(folder, champion):
    """Return a site with closed windows of two sensors, the first of which are training data."""
    folder.mkdir()
    made = Site(folder, champion)
    until = TRAINED + SCORED
    made.tables.publish(
        batch(make_windows("pump", 0, until), make_windows("fan", 0, until), closed=until)
    )
    return made


@pytest.fixture
def site(tmp_path, champion):
    return make_site(tmp_path / "site", champion)


def assert_same_outcome(one, other):
    for left, right in zip(one[:2], other[:2], strict=True):
        pd.testing.assert_frame_equal(left, right)
    assert one[2] == other[2]


def test_the_first_run_starts_where_training_ended_and_the_next_is_empty(site):
    metrics, _ = site.run()
    assert metrics["windows_scored"] == 2 * SCORED
    before = site.outcome()
    assert len(before[0]) == 2 * SCORED
    assert before[0]["window_end"].min() > START + pd.Timedelta(seconds=300 * TRAINED)
    assert before[2] == site.tables.cursor("ingestion")
    metrics, _ = site.run()
    assert metrics["windows_scored"] == metrics["alarm_rate"] == 0
    assert_same_outcome(site.outcome(), before)


def test_models_with_a_context_score_normalised_windows(tmp_path):
    settings = SETTINGS.model_copy(update={"context_hours": 1.0, "context_spread_hours": 3.0})
    context, until = settings.context_for(0), TRAINED + SCORED
    end = until + 60
    changed = pd.concat(
        [make_windows("pump", 0, 230), make_windows("pump", 230, end, shift=40)], ignore_index=True
    )
    model_set = fit_model_set(
        context.apply(changed[:TRAINED]), settings, 300, progress=False
    ).model_set
    site = Site(tmp_path, Champion(1, {}, SensorScorer(model_set)))
    for first, last in ((0, until), (until, until + 8), (until + 8, end)):
        site.tables.publish(batch(changed[first:last], closed=last))
        site.run()
    found = site.outcome()[0]
    expected = predict(model_set, context.apply(changed))
    expected = expected[expected["window_end"] > changed["window_end"][TRAINED - 1]]
    pd.testing.assert_series_equal(
        found["score"], expected["score"], check_index=False, check_names=False
    )
    change = changed["window_end"][230]
    assert found.loc[found["window_end"] == change, "anomaly"].all()
    settled = change + pd.Timedelta(hours=context.hours + context.spread_hours)
    assert found.loc[found["window_end"] > settled, "anomaly"].mean() < 0.3


def test_training_normalises_windows_by_those_before(site):
    settings = SETTINGS.model_copy(update={"context_hours": 1.0})
    complete = TrainingWindows(share=1.0)
    absolute = SETTINGS.model_copy(update={"context_hours": 0.0})
    plain, _ = select_windows(site.tables, NO_EVENTS, complete, absolute)
    normalised, _ = select_windows(site.tables, NO_EVENTS, complete, settings)
    expected = settings.context_for(0).apply(plain)
    columns = plain.columns.drop("relative")
    pd.testing.assert_frame_equal(normalised[columns], expected[columns], check_dtype=False)
    assert abs(normalised["mean"].median()) < 1 < plain["mean"].median()


DAY = 288
"""Windows."""


def make_daily_cycle(first, last, shift=0.0):
    """Windows number `first` to `last` of the pump, which has a daily cycle."""
    windows = make_windows("pump", first, last)
    cycle = 5 * np.sin(2 * np.pi * np.arange(first, last) / DAY) + shift
    for name in ("mean", "minimum", "maximum", "last_value"):
        windows[name] += cycle
    return windows


def make_site_with_daily_cycle(folder, settings=SETTINGS, days=4):
    """A site whose models have been trained on days and nights of the pump."""
    normal = settings.context_for(0).apply(make_daily_cycle(0, days * DAY))
    model_set = fit_model_set(normal, settings, 300, progress=False).model_set
    return Site(folder, Champion(1, {}, SensorScorer(model_set)))


def publish(site, until, *windows):
    site.tables.publish(batch(*windows, closed=until))


def test_a_healthy_sensor_does_not_drift_in_hourly_runs(tmp_path):
    site = make_site_with_daily_cycle(tmp_path)
    for first in range(4 * DAY, 5 * DAY, 48):  # a run of four hours, six times
        publish(site, first + 48, make_daily_cycle(first - DAY * (first == 4 * DAY), first + 48))
        metrics, _ = site.run()
        assert metrics["windows_scored"] == 48
        assert metrics["sensors_drifted"] == metrics["sensors_drift_unknown"] == 0
        assert (site.catalog().load("sensor_drift")["windows"] == DAY).all()


def test_drift_is_reported_by_every_run_while_it_lasts(tmp_path):
    site, broken = make_site_with_daily_cycle(tmp_path), 5 * DAY
    publish(site, broken, make_daily_cycle(3 * DAY, broken))
    assert site.run()[0]["sensors_drifted"] == 0
    publish(site, broken + 144, make_daily_cycle(broken, broken + 144, shift=4))
    assert site.run()[0]["sensors_drifted"] == 1
    publish(site, broken + 145, make_daily_cycle(broken + 144, broken + 145))  # five minutes
    assert site.run()[0]["sensors_drifted"] == 1
    assert site.run()[0]["sensors_drifted"] == 1  # nothing new
    publish(site, broken + 2 * DAY, make_daily_cycle(broken + 145, broken + 2 * DAY))
    assert site.run()[0]["sensors_drifted"] == 0


def test_too_few_windows_for_drift_are_reported(tmp_path):
    site = make_site_with_daily_cycle(tmp_path)
    publish(site, 4 * DAY + 12, make_daily_cycle(4 * DAY, 4 * DAY + 12, shift=9))
    metrics, _ = site.run()
    assert (metrics["windows_scored"], metrics["sensors_drift_unknown"]) == (12, 1)
    assert metrics["sensors_drifted"] == 0
    table = site.catalog().load("sensor_drift")
    assert set(table["reason"]) == {TOO_FEW}
    assert table["stability_index"].isna().all()
    assert not table["drifted"].any()


def test_there_is_no_drift_before_the_first_closed_window(tmp_path):
    site = make_site_with_daily_cycle(tmp_path)
    site.tables.publish(replace(batch(make_daily_cycle(0, 1), closed=0), watermark=None))
    metrics, _ = site.run()
    assert metrics["sensors_drifted"] == metrics["sensors_drift_unknown"] == 0


def test_drift_is_measured_on_normalised_windows_of_models_with_a_context(tmp_path, monkeypatch):
    settings = SETTINGS.model_copy(update={"context_hours": 2.0})
    site, until = make_site_with_daily_cycle(tmp_path, settings), 6 * DAY
    others = [make_daily_cycle(3 * DAY, until).assign(device=name) for name in ("fan", "valve")]
    complete = pd.concat([make_daily_cycle(3 * DAY, until), *others], ignore_index=True)
    model_set = site.champion.raw_model
    further = [
        replace(model_set, pairs=((name, "temperature"),), versions=(name,))
        for name in ("fan", "valve")
    ]
    model_set = model_set.merge([model_set, *further])
    publish(site, until, complete)
    end = complete["window_end"].max()
    normalised = settings.context_for(0).apply(complete)
    span = Span(end - pd.Timedelta(hours=24), end)
    expected = measure_drift(model_set, [normalised[normalised["window_end"] > span.since]], span)
    monkeypatch.setattr(nodes, "_BLOCK_WINDOWS", 500)  # windows of a sensor
    claim = {"until": {"revision": 1, "watermark": end.isoformat()}}
    found, *_ = nodes.measure_drift(
        site.tables, Champion(1, {}, SensorScorer(model_set)), claim, WindowScoring()
    )
    assert set(found["windows"]) == {DAY}
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize(
    "step",
    [
        "scoring_claim",
        "sensor_predictions",
        "sensor_anomalies",
        "anomaly_scoring_metrics",
        "scoring_cursor",
    ],
)
def test_a_run_killed_after_any_step_neither_loses_nor_repeats_results(
    site, tmp_path, champion, step
):
    undisturbed = make_site(tmp_path / "undisturbed", champion)
    with pytest.raises(KeyboardInterrupt):
        site.run(kill_after=step)
    for each in (site, undisturbed):
        each.tables.publish(batch(make_windows("pump", 258, 270, shift=9), closed=268))
        each.run()
    assert_same_outcome(site.outcome(), undisturbed.outcome())
    assert len(site.outcome()[0]) == 2 * SCORED + 8


def test_a_window_is_scored_when_it_is_closed(site):
    site.run()
    site.tables.publish(batch(make_windows("fan", 260, 265), closed=262))
    assert site.run()[0]["windows_scored"] == 2
    site.tables.publish(batch(make_windows("pump", 262, 263), closed=264))
    assert site.run()[0]["windows_scored"] == 3
    predictions = site.outcome()[0]
    assert not predictions.duplicated(KEYS).any()


def test_windows_changed_by_late_readings_are_rescored(site):
    strange = make_windows("pump", 230, 231, shift=50)
    site.tables.publish(batch(strange, closed=260))
    site.run()
    assert strange["window_end"].iloc[0] in set(site.outcome()[1]["window_end"])
    revised = make_windows("pump", 230, 231).assign(mean=20.0, minimum=19.0, maximum=21.0)
    site.tables.publish(batch(revised, closed=260))
    assert site.run()[0]["windows_scored"] == 1
    predictions, anomalies, _ = site.outcome()
    assert strange["window_end"].iloc[0] not in set(anomalies["window_end"])
    assert len(predictions) == 2 * SCORED
    of_window = predictions[
        (predictions["device"] == "pump")
        & (predictions["window_end"] == strange["window_end"].iloc[0])
    ]
    assert of_window["anomaly"].tolist() == [False]


def test_sensors_without_a_model_and_models_without_windows_are_reported(site):
    site.run()
    site.tables.publish(
        batch(make_windows("pump", 260, 262), make_windows("valve", 260, 262), closed=262)
    )
    metrics, unscored = site.run()
    assert metrics["windows_scored"] == 2
    assert metrics["sensors_without_model"] == metrics["models_without_windows"] == 1
    assert dict(zip(unscored["device"], unscored["reason"], strict=True)) == {
        "valve": "no model",
        "fan": "no windows",
    }


def test_a_second_run_at_the_same_time_stops_and_changes_nothing(site):
    before = site.outcome()
    site.tables.claim("scoring", 60)
    alter(site.tables, claimed_by=f"elsewhere:77:{'f' * 32}")
    with pytest.raises(ValueError, match="claimed by another run, process 77 on elsewhere"):
        site.run()
    assert_same_outcome(site.outcome(), before)


@pytest.mark.parametrize(
    "step", ["score.publish_predictions", "score.publish_anomalies", "move_cursor"]
)
def test_a_run_that_lost_its_claim_cannot_write(site, step):
    catalog = site.catalog()
    passed_on = ("window_scores", "scoring_claim", "device_alarms")
    for name in (*passed_on, "predictions_published", "anomalies_published"):
        catalog[name] = PickleDataset(filepath=str(site.reports / name))
    pipeline = create_pipeline()
    before = [node.name for node in pipeline.nodes]
    before = before[: before.index(step)]
    SequentialRunner().run(pipeline.only_nodes(*before), catalog)
    left = site.outcome()
    site.tables.claim("scoring", 60, take_over=True)
    with pytest.raises((ValueError, DatasetError), match="has lost its claim"):
        SequentialRunner().run(pipeline.only_nodes(step), catalog)
    assert_same_outcome(site.outcome(), left)


def test_missing_models_or_windows_are_reported_with_the_pipeline_to_run(tmp_path, champion):
    empty = Site(tmp_path, champion)
    with pytest.raises(ValueError, match="kedro run --pipelines sensor_ingestion"):
        empty.run()
    with pytest.raises(ValueError, match="kedro run --pipelines anomaly_training"):
        Site(tmp_path, None).run()


def test_models_of_another_window_length_are_rejected(tmp_path, champion):
    site = Site(tmp_path, champion)
    of_a_minute = batch(make_windows("pump", 0, 10), closed=10)
    site.tables.publish(replace(of_a_minute, window_seconds=60))
    with pytest.raises(
        ValueError, match="contains 60 s windows, but the registered models were trained on 300"
    ):
        site.run()


def test_the_cursor_moves_to_the_ingestion_cursor_at_the_start_of_the_run(site):
    catalog = site.catalog()
    catalog["scoring_claim"] = JSONDataset(filepath=str(site.reports / "claim.json"))
    catalog["new_windows"] = PickleDataset(filepath=str(site.reports / "new"))
    pipeline = create_pipeline()
    SequentialRunner().run(pipeline.only_nodes("score.claim_windows"), catalog)
    site.tables.publish(batch(make_windows("fan", 260, 265), closed=265))
    SequentialRunner().run(pipeline - pipeline.only_nodes("score.claim_windows"), catalog)
    closed = START + pd.Timedelta(seconds=300 * (TRAINED + SCORED))
    assert site.tables.cursor("scoring") == Cursor(1, closed)
    assert site.run()[0]["windows_scored"] == 5


def test_models_of_other_sensors_are_rejected_before_scoring_is_claimed(tmp_path, champion):
    site = Site(tmp_path, champion)
    site.tables.publish(batch(make_windows("press", 0, 10), closed=10))
    with pytest.raises(
        ValueError, match=r"none of the 2 sensors .* such as \S+; name each data set"
    ):
        site.run()
    assert site.tables.claim("scoring", 60, take_over=False)  # by no run


def make_site_of_one_device(folder, settings=SETTINGS):
    """A device with three sensors, and their models with the threshold of the device."""
    normal = pd.concat(
        [make_windows("a" * size, 0, TRAINED).assign(device="pump", sensor=f"s{size}")
         for size in (1, 2, 3)]
    )  # fmt: skip
    trained = fit_model_set(settings.context_for(0).apply(normal), settings, 300, progress=False)
    model_set = fit_thresholds(trained.model_set, trained.device_scores, settings.nu)
    return Site(folder, Champion(1, {}, SensorScorer(model_set)))


def publish_sensors(site, first, last, shifts):
    windows = [
        make_windows("a" * size, first, last).assign(device="pump", sensor=f"s{size}")
        for size in (1, 2, 3)
    ]
    for number, shift in shifts.items():
        for name in ("mean", "minimum", "maximum", "last_value"):
            windows[1].loc[number - first, name] += shift
    site.tables.publish(batch(*windows, closed=last))


def test_a_device_raises_one_event_over_several_runs_and_names_its_sensor(tmp_path):
    site = make_site_of_one_device(tmp_path)
    publish_sensors(site, 0, 230, {228: 60})
    first, _ = site.run()
    publish_sensors(site, 230, 240, {231: 60, 236: 60})
    site.run()
    found = site.tables.device_alarms()
    found = found[found["score"] > 10]
    numbers = (found["window_end"] - START) // pd.Timedelta(seconds=300) - 1
    assert numbers.tolist() == [228, 231, 236]
    assert set(found["sensor"]) == {"s2"}
    assert len(set(found["event_start"])) == 1
    assert found["sensors"].str.startswith("s2").all()
    assert first["device_events"] >= 1
    assert 0 < first["device_alarm_rate"] < 0.3


def test_a_revised_window_removes_the_alarm_of_its_device(tmp_path):
    site = make_site_of_one_device(tmp_path)
    publish_sensors(site, 0, 230, {228: 60})
    site.run()
    end = START + pd.Timedelta(seconds=300 * 229)
    assert end in set(site.tables.device_alarms()["window_end"])
    revised = make_windows("aa", 228, 229).assign(device="pump", sensor="s2", mean=20.0)
    revised = revised.assign(minimum=19.0, maximum=21.0)
    site.tables.publish(batch(revised, closed=230))
    site.run()
    alarms = site.tables.device_alarms()
    assert not ((alarms["window_end"] == end) & (alarms["sensor"] == "s2")).any()


def run_with_label(site, first, last, **settings):
    """Run with a label of the device from window `first` to `last`; return the catalog."""
    catalog = site.catalog()
    start, end = (START + pd.Timedelta(seconds=300 * number) for number in (first, last))
    label = {"device": "pump", "sensor": "s2", "kind": "shift", "start": start, "end": end}
    catalog["sensor_labels"] = MemoryDataset(pd.DataFrame([label]))
    catalog["method_scores"] = PickleDataset(filepath=str(site.reports / "method_scores.pkl"))
    comparison = BaselineComparison(seed=1, trees=10, **settings)
    catalog["params:baseline_comparison"] = MemoryDataset(comparison)
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog


def test_baselines_are_evaluated_beside_the_models_on_labelled_events(tmp_path):
    site = make_site_of_one_device(tmp_path)
    publish_sensors(site, 0, 260, {228: 60, 229: 60})
    catalog = run_with_label(site, 228, 230)
    metrics, scores = catalog.load("anomaly_scoring_metrics"), catalog.load("method_scores")
    scores = scores.set_index("method")
    assert scores["level"].to_dict() == {
        "one_class_svm": "sensors",
        "robust_z_score": "sensors",
        "isolation_forest": "sensors",
        "device_alarms": "devices",
        "joint_residual": "devices",
    }
    assert scores.loc["one_class_svm", "f1"] == metrics["event_f1"]
    assert scores.loc["device_alarms", "f1"] == metrics["device_event_f1"]
    assert metrics["device_event_recall"] == 1  # a leap by sixty deviations
    assert (scores["recall"] == 1).all()
    assert (scores["false_alarm_rate"] < 0.2).all()
    for method in ("robust_z_score", "isolation_forest", "joint_residual"):
        assert metrics[f"{method}_event_f1"] == scores.loc[method, "f1"]


def test_labelled_windows_of_the_training_time_do_not_train_baselines(tmp_path):
    site = make_site_of_one_device(tmp_path)
    windows = site.champion.raw_model
    publish_sensors(site, 0, 260, {})
    labels = pd.DataFrame(
        [{"device": "pump", "sensor": "s2", "kind": "", "start": START,
          "end": START + pd.Timedelta(seconds=300 * 20)}]
    )  # fmt: skip
    normal = nodes._read_normal_windows(
        site.tables, windows, [("pump", "s1"), ("pump", "s2")], labels
    )
    counts = normal.groupby("sensor").size().to_dict()
    assert counts == {"s1": TRAINED, "s2": TRAINED - 20}


@pytest.mark.parametrize(("sensors", "expected"), [(0, 0), (2, 2)])
def test_large_fleets_are_compared_on_some_sensors(tmp_path, sensors, expected):
    site = make_site_of_one_device(tmp_path)
    publish_sensors(site, 0, 260, {228: 60})
    catalog = run_with_label(site, 228, 229, sensors=sensors)
    scores = catalog.load("method_scores")
    assert (len(scores) > 0) == (expected > 0)
    if not expected:
        metrics = catalog.load("anomaly_scoring_metrics")
        assert "event_f1" in metrics
        assert "isolation_forest_event_f1" not in metrics


def test_baselines_of_a_sensor_trained_long_before_others_have_its_windows(tmp_path):
    later = nodes._BASELINE_WINDOWS + 2 * TRAINED
    normal = [make_windows("pump", 0, TRAINED), make_windows("fan", later, later + TRAINED)]
    model_set = fit_model_set(pd.concat(normal), SETTINGS, 300, progress=False).model_set
    site = Site(tmp_path, Champion(1, {}, SensorScorer(model_set)))
    site.tables.publish(batch(*normal, closed=later + TRAINED))
    windows = nodes._read_normal_windows(site.tables, model_set, list(model_set.pairs), NO_EVENTS)
    assert windows.groupby("device").size().to_dict() == {"fan": TRAINED, "pump": TRAINED}


def test_baselines_need_windows_of_the_training_time(tmp_path):
    """They may have been deleted since; then the run ends without a comparison."""
    site = make_site_of_one_device(tmp_path)
    publish_sensors(site, TRAINED - 10, 260, {228: 60})
    catalog = run_with_label(site, 228, 229)
    assert catalog.load("method_scores").empty
    assert "event_f1" in catalog.load("anomaly_scoring_metrics")


@pytest.mark.parametrize("hours", [0.0, 1.0])
def test_an_event_may_need_windows_of_several_runs(tmp_path, hours):
    """Window 199 is of training, so it does not count; window 207 is revised late."""
    settings = SETTINGS.model_copy(update={"context_hours": hours})
    runs = [
        [(0, 201, {199: 60})],
        [(201, 202, {201: 60})],
        [(202, 203, {})],
        [(203, 204, {203: 60})],
        [(204, 208, {206: 200})],
        [(208, 212, {211: 400})],
        [(207, 208, {207: 200}), (212, 213, {212: 400})],
    ]
    found = {}
    for name in ("runs", "at once"):
        site = make_site_of_one_device(tmp_path / name, settings)
        for run in runs:
            for first, last, shifts in run:
                publish_sensors(site, first, last, shifts)
            if name == "runs" or run is runs[-1]:
                catalog = site.catalog()
                catalog["params:device_alarms"] = MemoryDataset(
                    DeviceAlarms(required_windows=2, within_windows=3, cool_down_windows=0)
                )
                SequentialRunner().run(create_pipeline(), catalog)
        found[name] = site.tables.device_alarms()
    of_s2 = found["at once"][found["at once"]["sensor"] == "s2"]
    numbers = (of_s2["window_end"] - START) // pd.Timedelta(seconds=300) - 1
    assert {203, 207, 212} <= set(numbers)
    assert 201 not in set(numbers)
    pd.testing.assert_frame_equal(found["runs"], found["at once"])
