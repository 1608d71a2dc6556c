"""The sensor pipelines turn a stream of readings into predictions and anomalies."""

import shutil

import mlflow
import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from quartet.datasets.predictions import PartitionedPredictionsDataset
from support import ROOT, on_ranks, read_metrics, run_kedro, run_program

KEYS = ["device", "sensor", "window_end"]
PIPELINES = ("sensor_ingestion", "anomaly_training", "anomaly_scoring")


def predictions(folder):
    dataset = PartitionedPredictionsDataset(
        filepath=str(folder / "data/07_model_output/sensors/predictions"),
        keys=KEYS,
        time_column="window_end",
    )
    return dataset.load().read()


def rows(folder, query):
    with create_engine(f"sqlite:///{folder}/data/03_primary/sensors/sensors.db").connect() as sql:
        return sql.execute(text(query)).all()


def test_metrics_have_all_documented_keys(trained_workspace):
    expected = {"readings_scored", "windows_per_s", "sensors_without_model", "event_precision"}
    assert read_metrics(trained_workspace, "anomaly_scoring").keys() >= expected


def test_faults_and_duplicates_of_the_simulator_are_counted(trained_workspace):
    found = read_metrics(trained_workspace, "sensor_ingestion")
    assert found["readings_quarantined"] == 12
    assert found["readings_duplicated"] == 157
    assert found["sensors"] == 12
    parameters = (ROOT / "conf/base/sample_data/parameters.yml").read_text()
    assert f"{found['readings']:,} readings" in parameters
    ((stored,),) = rows(trained_workspace, "SELECT SUM(readings) FROM sensor_windows")
    assert stored == found["readings"] - found["readings_duplicated"]


def test_the_labelled_anomalies_of_the_sample_are_found(trained_workspace):
    found = read_metrics(trained_workspace, "anomaly_scoring")
    assert found["event_recall"] >= 0.8
    assert found["event_f1"] >= 0.5
    nu = read_metrics(trained_workspace, "anomaly_training")["nu"]
    assert found["false_alarm_rate"] <= 2 * nu


def test_predictions_in_blob_storage_and_anomalies_in_sql_agree(trained_workspace):
    stored = predictions(trained_workspace)
    found = read_metrics(trained_workspace, "anomaly_scoring")
    assert len(stored) == found["windows_scored"]
    assert stored["anomaly"].tolist() == (stored["score"] < stored["threshold"]).tolist()
    ((count,),) = rows(trained_workspace, "SELECT COUNT(*) FROM sensor_anomalies")
    assert count == found["anomalies"] == stored["anomaly"].sum()


def test_the_model_set_is_registered_with_its_tags(trained_workspace):
    client = mlflow.MlflowClient(f"sqlite:///{trained_workspace}/mlflow.db")
    (version,) = client.search_model_versions("name='sensor_models'")
    assert version.tags["metric.models"] == "12"
    assert len(version.tags["model_set_version"]) == 12
    assert version.tags["library.safetensors"]


@pytest.fixture
def project(trained_workspace, tmp_path):
    """A copy of the project in which everything has run."""
    return shutil.copytree(trained_workspace, tmp_path / "project")


def test_repeated_runs_without_new_data_change_nothing(project, trained_workspace):
    result = run_kedro(project, "run", "--pipelines", ",".join(PIPELINES))
    assert result.returncode == 0, result.stderr
    assert read_metrics(project, "anomaly_scoring")["windows_scored"] == 0
    assert read_metrics(project, "sensor_ingestion") == read_metrics(
        trained_workspace, "sensor_ingestion"
    )
    pd.testing.assert_frame_equal(predictions(project), predictions(trained_workspace))
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert len(client.search_model_versions("name='sensor_models'")) == 1


def test_two_ranks_give_the_same_models_and_predictions_as_one(project, trained_workspace):
    model_set = "data/06_models/sensors/merged_models.safetensors"
    shutil.rmtree(project / "data/07_model_output/sensors")
    url = f"sqlite:///{project}/data/03_primary/sensors/ranks.db"
    parameters = f"sensor_database={url}"
    result = run_kedro(project, "run", "--pipelines", "sensor_ingestion", "--params", parameters)
    assert result.returncode == 0, result.stderr
    command = on_ranks(2, "-m", "kedro", "run", "--params", parameters)
    command += ["--pipelines", "anomaly_training,anomaly_scoring"]
    both = run_program(*command, folder=project)
    assert both.returncode == 0, both.stderr
    assert (project / model_set).read_bytes() == (trained_workspace / model_set).read_bytes()
    pd.testing.assert_frame_equal(predictions(project), predictions(trained_workspace))


def test_the_readings_of_the_reference_system_are_scored(project, real_sensors):
    table = real_sensors / "uniform_15_sensors.csv"
    result = run_kedro(
        project,
        "run",
        "--pipelines",
        ",".join(PIPELINES),
        "--params",
        f"dataset_name=uniform,sensor_table={table}",
    )
    assert result.returncode == 0, result.stderr
    assert read_metrics(project, "sensor_ingestion", "data/uniform")["readings"] == 17_768
    assert read_metrics(project, "anomaly_training", "data/uniform")["models"] == 15
    found = read_metrics(project, "anomaly_scoring", "data/uniform")
    assert found["sensors_scored"] == 15
    assert found["alarm_rate"] <= 0.02  # the reference's own models: 0.38
    assert "event_f1" not in found  # nothing is known of anomalies there
