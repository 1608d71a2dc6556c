"""A step must compute in its container what its nodes compute in a local run."""

import json
import re
import shutil
from types import SimpleNamespace

import mlflow
import pytest
import yaml

from plain import PIPELINE, write_files
from stepping import execute, make_project
from support import bootstrap, drop_times, run_kedro

bootstrap()
pytestmark = pytest.mark.integration
PIPELINES = {
    "ingest_readings": "sensor_ingestion",
    "select_windows": "anomaly_training",
    "train_models": "anomaly_training",
    "release_models": "anomaly_training",
}
"""Pipeline by step, in order of execution."""
PARAMS = {"sensor_svm": {"workers": 1}}
OWN_LINE = re.compile(r"\d\d:\d\d:\d\d INFO    ")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def store(tmp_path_factory, empty_tracking):
    """Return the client of a tracking server that has the experiment, as a workspace does."""
    folder = tmp_path_factory.mktemp("mlflow")
    shutil.copy(empty_tracking, folder)
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    client.create_experiment("theirs", artifact_location=str(folder / "artifacts"))
    return client


@pytest.fixture(scope="module")
def job(project, store):
    """Run two pipelines step by step, each step in the run that the service created for it.

    The first step runs in a new process, as on a cluster; two ranks run the third.
    """
    experiment = store.get_experiment_by_name("theirs").experiment_id
    found = SimpleNamespace(folders=project / "folders", printed={}, runs={})
    for step, pipeline in PIPELINES.items():
        found.runs[step] = store.create_run(experiment).info.run_id
        environment = {
            "MLFLOW_TRACKING_URI": store.tracking_uri,
            "MLFLOW_EXPERIMENT_NAME": "theirs",
            "MLFLOW_EXPERIMENT_ID": experiment,
            "MLFLOW_RUN_ID": found.runs[step],
            "KEDRO_CLOUD_STEP_REPORT": str(project / f"{step}.json"),
        }
        options = {"ranks": 2 if step == "train_models" else 1, "fresh": step == "ingest_readings"}
        result = execute(
            project, pipeline, step, found.folders, PARAMS, environment=environment, **options
        )
        assert result.returncode == 0, result.stderr
        found.printed[step] = result.stderr
    return found


def test_a_job_has_the_results_of_a_run_in_the_same_environment(job, project, tmp_path):
    local = make_project(tmp_path)
    names = ",".join(dict.fromkeys(PIPELINES.values()))
    command = ("run", "-e", "azureml", "--pipelines", names, "--params", "sensor_svm.workers=1")
    result = run_kedro(local, *command)
    assert result.returncode == 0, result.stderr
    for pipeline in set(PIPELINES.values()):
        executed, expected = (each / "blobs/reporting" / pipeline for each in (project, local))
        assert metrics(executed) == metrics(expected)
        assert {path.name for path in executed.iterdir()} == {
            path.name for path in expected.iterdir()
        }


def metrics(folder):
    return drop_times(json.loads((folder / "metrics.json").read_text()))


def test_no_folder_between_steps_is_empty(job):
    """Azure ML drops empty folders, and a step could not mount a missing one."""
    for folder in job.folders.iterdir():
        (file,) = folder.iterdir()
        if file.stem != folder.name:
            assert file.name == "kept_elsewhere.txt"
            assert f"stores {folder.name} elsewhere" in file.read_text()
    assert (job.folders / "trained_models/trained_models.safetensors").exists()


def test_the_log_has_only_lines_of_the_step_and_the_report_has_its_start_up(job, project):
    for step, printed in job.printed.items():
        others = [line for line in printed.splitlines() if not OWN_LINE.match(line)]
        assert [
            line for line in others if "WARNING sensor_readings_source: rejected" not in line
        ] == []
        report = json.loads((project / f"{step}.json").read_text())
        assert report.keys() == {"startup_s", "startup_mib", "work_s", "peak_mib"}
        assert all(value > 0 for value in report.values())
    report = json.loads((project / "ingest_readings.json").read_text())
    assert report["startup_mib"] < 400 < 2 * report["peak_mib"]


def test_each_step_logs_to_the_run_that_the_service_created(job, store):
    for step, run in job.runs.items():
        found = store.get_run(run)
        assert (found.info.status, found.info.run_name) == ("FINISHED", step)
    ingested = store.get_run(job.runs["ingest_readings"]).data
    assert ingested.metrics["sensor_ingestion/readings"] > 0
    assert store.get_run(job.runs["train_models"]).data.params
    assert store.list_artifacts(job.runs["release_models"], "figures")
    assert {each.name for each in store.search_experiments()} == {"Default", "tests", "theirs"}
    experiment = store.get_experiment_by_name("theirs")
    tracked = {run.info.run_id for run in store.search_runs([experiment.experiment_id])}
    assert tracked == set(job.runs.values())  # two ranks share one


def test_only_rank_0_writes(job, project):
    assert job.printed["train_models"].count("Running node: anomaly_training.train_models") == 2
    (report,) = (project / "blobs/reporting/anomaly_training").glob("untrained_sensors.csv")
    assert report.read_text().count("device") == 1


def test_invalid_data_is_reported_in_one_line_with_the_node(project, tmp_path):
    params = {"faq_dump": str(tmp_path)}
    (tmp_path / "Posts.xml").write_text("<posts>\n<row Id='1' />\n")
    (tmp_path / "PostLinks.xml").write_text("<postlinks></postlinks>\n")
    folders = tmp_path / "folders"
    result = execute(project, "faq_ingestion", "ingest_dump", folders, params)
    assert result.returncode == 1
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    assert "node 'ingest_dump' (faq_posts, faq_post_links)" in line
    assert "Traceback" not in result.stderr
    assert "Repeat the previous command" not in result.stderr  # what failed, fails again


CHECKS = """
from pathlib import Path


class Recording:
    def validate(self, data):
        with Path("checked.txt").open("a") as file:
            file.write("companies ")
        return data


class Rejecting:
    def validate(self, data):
        raise ValueError("not a valid table")
"""


@pytest.fixture
def local_project(plain_project, tmp_path):
    """Copy the plain project; its environment `azureml` stores its data on this machine."""
    project = shutil.copytree(plain_project, tmp_path / "plain")
    for name in ("globals.yml", "catalog.yml", "mlflow.yml"):
        shutil.copy(project / "conf/base" / name, project / "conf/azureml")
    return project


def test_validators_run_once_in_a_step_and_rejected_data_is_not_saved(
    local_project,
):
    file = local_project / "conf/azureml/catalog.yml"
    entries = yaml.safe_load(file.read_text())
    entries["companies"]["validator"] = {"class": "checks.Recording"}
    entries["clean_companies"]["validator"] = {"class": "checks.Rejecting"}
    entries = {name: entry for name, entry in entries.items() if name != "_table"}
    write_files(
        local_project,
        {"conf/azureml/catalog.yml": yaml.safe_dump(entries), "checks.py": CHECKS},
    )
    result = run_kedro(
        local_project,
        *("azureml", "-e", "azureml", "execute", f"--pipeline={PIPELINE}", "--node=prepare"),
        environment={"KEDRO_AZURE_RUNNER_CONFIG": "", "PYTHONPATH": str(local_project)},
    )
    assert result.returncode == 1, result.stderr
    assert "not a valid table" in result.stderr.splitlines()[-1], result.stderr
    assert (local_project / "checked.txt").read_text() == "companies "
    assert not (local_project / "data/02_intermediate/companies.csv").exists()


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (("run", "-e", "local"), "kedro run -e local --pipelines titles"),
        (
            ("azureml", "-e", "azureml", "execute", f"--pipeline={PIPELINE}", "--node=prepare"),
            "kedro azureml -e azureml run -p titles",
        ),
    ],
)
def test_a_node_advises_the_command_that_was_given(local_project, command, advice):
    params = "title=missing" if command[0] == "run" else '{"title": "missing"}'
    environment = {"KEDRO_AZURE_RUNNER_CONFIG": ""}
    result = run_kedro(local_project, *command, "--params", params, environment=environment)
    assert result.returncode == 1
    assert f"no title; run `{advice}` first" in result.stderr
