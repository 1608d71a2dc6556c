"""Names of sensors come from outside: none may break a figure, or become a formula or markup."""

import csv

import pandas as pd
import pytest
import yaml

from quartet.datasets.report import ReportDataset
from quartet.datasets.sensor_store.jobs import ScoredWindows, SensorAnomaliesDataset
from quartet.sensors.figures import (
    compute_fleet_shares,
    pivot_drift,
    plot_drift,
    plot_fleet_heat_map,
    plot_timelines,
)
from sensors.simulated_windows import simulate_windows
from support import ROOT
from window_batches import batch, tables

NAMES = ["$x^$", r"\frac{$", "$$", "=HYPERLINK(1)", "<script>alert(1)</script>", "a&b", "%s {0}"]


@pytest.fixture
def scores():
    """Return scored windows of a sensor with each of the names."""
    found = simulate_windows(sensors=len(NAMES), windows=24).assign(anomaly=True)
    sensors = (found["device"] + found["sensor"]).unique().tolist()
    names = (found["device"] + found["sensor"]).map(dict(zip(sensors, NAMES, strict=True)))
    return found.assign(device=names, sensor=names)


def draw(figure, file):
    figure.savefig(file, dpi=30)
    return file.stat().st_size


def test_figures_show_any_name_as_it_is(scores, tmp_path):
    pairs = [(name, name) for name in NAMES]
    events = pd.DataFrame(columns=["device", "sensor", "start", "end", "kind"])
    drift = scores.groupby(["device", "sensor"]).size().reset_index(name="stability_index")
    drift = drift.assign(feature="mean", stability_index=0.1, drifted=False)
    timelines = plot_timelines(scores, pairs, events)
    fleet = plot_fleet_heat_map(compute_fleet_shares(scores))
    for number, figure in enumerate((timelines, fleet, plot_drift(pivot_drift(drift)))):
        assert draw(figure, tmp_path / f"{number}.png")
    titles = [axis.get_title(loc="left") for axis in timelines.axes]
    assert [title.partition(":")[0] for title in titles] == [f"{name} {name}" for name in NAMES]


@pytest.mark.parametrize("pipeline", ["sensor_ingestion", "anomaly_training", "anomaly_scoring"])
def test_reports_of_names_are_safe_in_a_spreadsheet(pipeline, tmp_path):
    catalog = yaml.safe_load((ROOT / f"conf/base/{pipeline}/catalog.yml").read_text("utf-8"))
    reports = {name: entry for name, entry in catalog.items() if ".csv" in entry.get("filepath", "")
               and "reporting" in entry["filepath"]}  # fmt: skip
    assert reports
    assert {entry["type"] for entry in reports.values()} == {
        "quartet.datasets.report.ReportDataset"
    }
    dataset = ReportDataset(filepath=str(tmp_path / "r.csv"), save_args={"index": False})
    dataset.save(pd.DataFrame({"sensor": NAMES, "alarm_rate": -0.5}))
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows if row[0] != "'=HYPERLINK(1)"] == [
        name for name in NAMES if not name.startswith("=")
    ]
    assert {row[1] for row in rows} == {"-0.5"}


def test_previews_are_data_not_markup(scores, tmp_path):
    url = f"sqlite:///{tmp_path}/sensors.db"
    store = tables(url)
    windows = scores.drop(columns="anomaly")
    store.publish(batch(windows))
    found = windows.assign(score=-1.0, threshold=0.0, model_version="v", revision=1)
    keys = ["device", "sensor", "window_end"]
    token = store.claim("scoring", 5)
    dataset = SensorAnomaliesDataset(url=url)
    dataset.save(ScoredWindows(windows[keys], found, token))
    preview = dataset.preview(len(windows))
    column = preview["columns"].index("sensor")
    assert {row[column] for row in preview["data"]} == set(NAMES)  # the page escapes them
