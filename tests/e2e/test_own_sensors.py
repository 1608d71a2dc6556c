"""A file of readings as a person has it reaches scored sensors with one parameter at most."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from quartet.datasets.sensor_store.tables import SensorTablesDataset
from support import make_workspace, read_metrics, run_kedro

PIPELINES = "sensor_ingestion,anomaly_training,anomaly_scoring"
DEVICES, SENSORS = ("Q-10", "007"), ("temperature", "vibration")
START, MINUTES = "2026-03-14T00:00:00Z", 2 * 1440
NAMES = ["TS", "Device", "Sensor", "Value"]


def make_readings(start: str = START) -> pd.DataFrame:
    """Two days of readings by the minute, without anomalies."""
    generator = np.random.default_rng(1)
    times = pd.date_range(start, periods=MINUTES, freq="min") + pd.Timedelta(seconds=30)
    frames = [
        pd.DataFrame(
            {
                "TS": times,
                "Device": device,
                "Sensor": sensor,
                "Value": (level + level * generator.uniform(-0.05, 0.05, MINUTES)).round(4),
            }
        )
        for device in DEVICES
        for sensor, level in zip(SENSORS, (60.0, 0.25), strict=True)
    ]
    return pd.concat(frames).sort_values("TS", kind="stable", ignore_index=True)


READINGS = make_readings()


def widen(readings: pd.DataFrame) -> pd.DataFrame:
    """A row for each time and device, with a column for each sensor."""
    wide = readings.pivot_table("Value", ["TS", "Device"], "Sensor")
    return wide.reset_index().rename_axis(columns=None)


def of_one_device(readings: pd.DataFrame) -> pd.DataFrame:
    return readings[readings["Device"] == "007"]


def format_times(readings: pd.DataFrame, pattern: str, zone: str = "UTC") -> pd.DataFrame:
    times = readings["TS"].dt.tz_convert(zone).dt.strftime(pattern)
    return readings.assign(TS=times)


def in_units(readings: pd.DataFrame, per_second: int) -> pd.DataFrame:
    times = readings["TS"].dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    return readings.assign(TS=times.astype(np.int64) * per_second)


class Case(NamedTuple):
    """A file, what is set for it, and the readings that it contains."""

    file: str
    write: Callable[[Path], None]
    parameters: str = ""
    readings: pd.DataFrame = READINGS


def csv(frame: pd.DataFrame, **options: object) -> Callable[[Path], None]:
    return lambda path: frame.to_csv(path, **{"index": False, **options})


def parquet(frame: pd.DataFrame) -> Callable[[Path], None]:
    return frame.to_parquet


ONE, WIDE = of_one_device(READINGS), widen(READINGS)
ONE_WIDE = widen(ONE).drop(columns="Device")
EARLY = make_readings("2026-03-04T00:00:00Z")
COMMA = {"sep": ";", "decimal": ","}

CASES = {
    "other_case": Case(
        "r.csv", csv(READINGS.rename(columns={"TS": "ts", "Device": "DEVICE", "Value": "value"}))
    ),
    "other_names": Case(
        "r.csv",
        csv(READINGS.set_axis(["Time (UTC)", "machine", "Sensor", "Value"], axis=1)),
        "sensor_columns.time=Time (UTC),sensor_columns.device=machine",
    ),
    "index_column": Case("r.csv", csv(READINGS, index=True)),
    "german": Case("r.csv", csv(format_times(READINGS, "%d.%m.%Y %H:%M:%S"), **COMMA)),
    "american": Case("r.csv.gz", csv(format_times(READINGS, "%m/%d/%Y %I:%M:%S %p"))),
    "ambiguous_days": Case(
        "r.csv",
        csv(format_times(EARLY, "%m/%d/%Y %H:%M:%S")),
        "sensor_columns.time_format=MM/DD/YYYY",
        EARLY,
    ),
    "local_times": Case(
        "r.tsv",
        csv(format_times(READINGS, "%Y-%m-%d %H:%M:%S", "Asia/Tokyo"), sep="\t"),
        "sensor_ingestion.table_zone=Asia/Tokyo",
    ),
    "offsets": Case("r.txt", csv(format_times(READINGS, "%Y-%m-%dT%H:%M:%S%z", "Asia/Tokyo"))),
    "bigquery": Case("r.csv.gz", csv(format_times(READINGS, "%Y-%m-%d %H:%M:%S UTC"))),
    "excel": Case(
        "r.csv",
        lambda path: path.write_text(
            "\ufeffsep=;\n"
            + format_times(READINGS, "%Y/%m/%d %H:%M:%S").to_csv(index=False, **COMMA),
            newline="\r\n",
        ),
    ),
    "milliseconds": Case("r.csv", csv(in_units(READINGS, 1000))),
    "seconds_in_parquet": Case("r.parquet", parquet(in_units(READINGS, 1))),
    "types_of_parquet": Case(
        "r.parquet",
        parquet(READINGS.astype({"Device": "category", "Sensor": "category", "Value": "float32"})),
    ),
    "no_device": Case(
        "007.csv", csv(ONE.drop(columns="Device")), "sensor_columns.device=file_name", ONE
    ),
    "wide": Case(
        "007.csv",
        csv(ONE_WIDE.rename(columns={"TS": "timestamp"})),
        "sensor_columns.layout=wide,sensor_columns.time=timestamp",
        ONE,
    ),
    "wide_german": Case(
        "r.csv",
        csv(format_times(WIDE, "%d.%m.%Y %H:%M:%S").assign(note="ok"), **COMMA),
        "sensor_columns.layout=wide",
    ),
    "wide_parquet": Case(
        "007.parquet", parquet(ONE_WIDE.set_index("TS")), "sensor_columns.layout=wide", ONE
    ),
}

SCORED = {"german", "wide_parquet"}
"""Cases that all three pipelines run."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("own_sensors") / "quartet")


def expect_windows(readings: pd.DataFrame) -> pd.DataFrame:
    end = readings["TS"].dt.tz_localize(None).dt.ceil("300s").rename("window_end")
    return readings.groupby(["Device", "Sensor", end])["Value"].agg(["count", "mean"]).reset_index()


@pytest.mark.integration
@pytest.mark.parametrize("name", CASES)
def test_sensors_of_a_file_are_scored(name: str, project: Path) -> None:
    """Models and scores follow from the windows, so that few cases go on to them."""
    case = CASES[name]
    path = project / name / case.file
    path.parent.mkdir()
    case.write(path)
    parameters = [f"dataset_name={name}", f"sensor_table={path}", case.parameters]
    given = ",".join(filter(None, parameters))
    pipelines = PIPELINES if name in SCORED else "sensor_ingestion"
    result = run_kedro(project, "run", "--pipelines", pipelines, "--params", given)
    assert result.returncode == 0, result.stderr
    data = f"data/{name}"
    ingested = read_metrics(project, "sensor_ingestion", data)
    assert (ingested["readings"], ingested["readings_quarantined"]) == (len(case.readings), 0)
    url = f"sqlite:///{project}/{data}/03_primary/sensors/sensors.db"
    windows = SensorTablesDataset(url=url).load().read_windows()
    found = windows.sort_values(["device", "sensor", "window_end"], ignore_index=True)
    expected = expect_windows(case.readings)
    assert found["device"].tolist() == expected["Device"].tolist()
    assert found["sensor"].tolist() == expected["Sensor"].tolist()
    assert found["window_end"].tolist() == expected["window_end"].tolist()
    assert found["readings"].tolist() == expected["count"].tolist()
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-6)
    sensors = len(case.readings[["Device", "Sensor"]].drop_duplicates())
    assert ingested["sensors"] == sensors
    if name in SCORED:
        scored = read_metrics(project, "anomaly_scoring", data)
        assert scored["sensors_scored"] == sensors
        assert scored["windows_scored"] > 0


@pytest.mark.integration
def test_refused_models_are_explained_and_can_be_accepted(project: Path) -> None:
    """Without context, a machine whose values wander has more false alarms than asked for."""
    walk = np.random.default_rng(2).normal(size=MINUTES).cumsum()
    path = project / "wandering.csv"
    ONE.iloc[:MINUTES].assign(Sensor="flow", TS=ONE["TS"].unique(), Value=walk).to_csv(
        path, index=False
    )
    given = f"dataset_name=wandering,sensor_table={path},sensor_svm.context_hours=0"
    refused = run_kedro(project, "run", "--pipelines", PIPELINES, "--params", given)
    assert refused.returncode == 1
    assert "sensor_models_wandering: no version is registered" in refused.stderr
    assert "refused the last one: 1 models, false-alarm rate" in refused.stderr
    for advice in ("context_hours=2", "sensor_svm.nu=", "sensor_release.accept=true"):
        assert advice in refused.stderr
    given += ",sensor_release.accept=true"
    accepted = run_kedro(project, "run", "--pipelines", PIPELINES, "--params", given)
    assert accepted.returncode == 0, accepted.stderr
    assert read_metrics(project, "anomaly_scoring", "data/wandering")["windows_scored"] > 0
