"""A step must do in a container of its own what its nodes do in a run on one machine."""

import json
import re

import mlflow
import pytest
import yaml
from kedro.framework.project import pipelines

from kedro_cloud.jobs.steps import Steps
from stepping import execute, execute_all, make_project
from support import bootstrap, run_kedro

bootstrap()
QUICK = {"convnet_training": {"minimum_steps": 20, "epochs": 1}}
SMALL = """
regularisation_sweep: {strengths: [10, 30], tolerance: 0.01}
learning_rate_search: {learning_rates: [0.08]}
"""
"""Parameters for searches that are there only for form's sake."""
OWN_LINE = re.compile(
    r"\d\d:\d\d:\d\d INFO    (Kedro project|Running node:|\S+: registered version)"
)


def metrics(folder):
    (file,) = folder.rglob("mnist_training/metrics.json")
    found = json.loads(file.read_text())
    return {name: value for name, value in found.items() if "seconds" not in name}


def make_quick(folder):
    project = make_project(folder)
    (project / "conf/azureml/mnist_training/parameters.yml").write_text(SMALL)
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_quick(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """`mnist_training`, step by step: the project, the steps' folders, what the steps printed."""
    project = make_quick(tmp_path_factory.mktemp("job"))
    folders = project / "folders"
    printed = [
        result.stderr for result in execute_all(project, "mnist_training", folders, params=QUICK)
    ]
    return project, folders, printed


def test_a_job_comes_to_the_results_of_a_run_in_the_same_environment(job, project):
    params = "convnet_training.minimum_steps=20,convnet_training.epochs=1"
    command = ("run", "-e", "azureml", "--pipelines", "mnist_training", "--params", params)
    result = run_kedro(project, *command)
    assert result.returncode == 0, result.stderr
    assert metrics(job[0] / "blobs") == metrics(project / "blobs")


def test_all_reports_of_a_run_are_left_behind(job):
    reports = {path.name for path in (job[0] / "blobs/reporting/mnist_training").iterdir()}
    assert len(reports) == 19
    assert {"class_counts.png", "release.json", "metrics.json", "sweep_results.csv"} <= reports


def test_what_stays_within_a_step_does_not_leave_its_machine(job):
    project, folders, _ = job
    assert not (folders / "sweep_weights").exists()
    assert (project / "data/steps/mnist_training/sweep_weights.safetensors").exists()


def test_no_folder_between_steps_is_empty(job):
    """Azure ML keeps no empty folders, and a step that is to mount one would fail."""
    _, folders, _ = job
    for folder in folders.iterdir():
        (file,) = folder.iterdir()
        expected = f"{folder.name}.safetensors"
        if file.name != expected:
            assert file.name == "kept_elsewhere.txt"
            assert f"keeps {folder.name} at a place of its own" in file.read_text()
    assert (folders / "train_digits/train_digits.safetensors").exists()
    assert (folders / "sweep_results/kept_elsewhere.txt").exists()


def test_a_steps_log_has_nothing_but_its_own_lines(job):
    for printed in job[2]:
        assert other_lines(printed) == []


def other_lines(printed):
    return [line for line in printed.splitlines() if not OWN_LINE.match(line)]


def test_a_step_tells_what_its_start_cost(project, tmp_path):
    file = tmp_path / "report.json"
    environment = {"KEDRO_CLOUD_STEP_REPORT": str(file)}
    result = execute(
        project, "faq_ingestion", "ingest_dump", tmp_path, environment=environment, fresh=True
    )
    assert result.returncode == 0, result.stderr
    assert other_lines(result.stderr) == []
    report = json.loads(file.read_text())
    assert report.keys() == {"startup_s", "startup_mib", "work_s", "peak_mib"}
    assert all(value > 0 for value in report.values())
    assert report["startup_mib"] < 400 < 2 * report["peak_mib"]


def test_a_fault_in_data_ends_a_step_in_one_line_that_names_its_node(project, tmp_path):
    params = {"faq_dump": str(tmp_path)}
    (tmp_path / "Posts.xml").write_text("<posts>\n<row Id='1' />\n")
    (tmp_path / "PostLinks.xml").write_text("<postlinks></postlinks>\n")
    folders = tmp_path / "folders"
    result = execute(project, "faq_ingestion", "ingest_dump", folders, params=params)
    assert result.returncode == 1
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    assert "node 'ingest_dump' (faq_posts, faq_post_links)" in line
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An MLflow client of a tracking server that knows the experiment, as a workspace does."""
    folder = tmp_path_factory.mktemp("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    client.create_experiment("theirs", artifact_location=str(folder / "artifacts"))
    return client


@pytest.fixture
def given_run(store):
    """A run that the service has opened for a step, and the variables that it sets then."""
    experiment = store.get_experiment_by_name("theirs")
    run = store.create_run(experiment.experiment_id)
    return run.info, {
        "MLFLOW_TRACKING_URI": store.tracking_uri,
        "MLFLOW_EXPERIMENT_NAME": "theirs",
        "MLFLOW_EXPERIMENT_ID": experiment.experiment_id,
        "MLFLOW_RUN_ID": run.info.run_id,
    }


def runs_of(store, run):
    return [found.info.run_id for found in store.search_runs([run.experiment_id])]


def test_a_step_tracks_in_the_run_that_the_service_has_opened(project, store, given_run, tmp_path):
    run, environment = given_run
    before = runs_of(store, run)
    result = execute(project, "faq_ingestion", "ingest_dump", tmp_path, environment=environment)
    assert result.returncode == 0, result.stderr
    found = store.get_run(run.run_id)
    assert found.data.metrics["faq_ingestion/originals"] > 0
    assert "javascript" in found.data.params["faq_dump_reading"]
    figures = [each.path for each in store.list_artifacts(run.run_id, "figures")]
    assert figures == ["figures/ingested_duplicates_figure.png"]
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "ingest_dump"
    assert runs_of(store, run) == before
    assert [each.name for each in store.search_experiments()] == ["theirs", "Default"]


def test_ranks_share_one_run_and_the_first_writes(project, store, given_run, tmp_path):
    for pipeline, step in (
        ("sensor_ingestion", "ingest_readings"),
        ("anomaly_training", "select_windows"),
    ):
        result = execute(project, pipeline, step, tmp_path)
        assert result.returncode == 0, result.stderr
    run, environment = given_run
    before = runs_of(store, run)
    result = execute(
        project, "anomaly_training", "train_models", tmp_path, environment=environment, ranks=2
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("Running node: train_models") == 2
    assert runs_of(store, run) == before
    assert store.get_run(run.run_id).data.params
    (file,) = (tmp_path / "trained_models").iterdir()
    assert file.name == "trained_models.safetensors"
    (report,) = (project / "blobs/reporting/anomaly_training").glob("untrained_sensors.csv")
    assert report.read_text().count("device") == 1


CHECKS = """
from pathlib import Path


class Noting:
    def __init__(self, name):
        self.name = name

    def validate(self, data):
        with Path("checked.txt").open("a") as file:
            print(self.name, file=file)
        return data


class Refusing:
    def validate(self, data):
        raise ValueError("no tag of mine")
"""


def declare(project, name, validator):
    """Put a validator beside a dataset of the catalog, in both environments."""
    file = project / "conf/base/faq_ingestion/catalog.yml"
    entries = yaml.safe_load(file.read_text())
    entries[name]["validator"] = validator
    file.write_text(yaml.safe_dump(entries))


@pytest.fixture
def checked(tmp_path):
    """A project whose validators note what they are given."""
    project = make_project(tmp_path / "project")
    (project / "checks.py").write_text(CHECKS)
    for name in ("faq_posts", "faq_ingestion_metrics"):
        declare(project, name, {"class": "checks.Noting", "options": {"name": name}})
    return project


def test_validators_of_the_catalog_work_once_in_a_step_as_in_a_run(checked, tmp_path):
    environment = {"PYTHONPATH": str(checked)}
    both = ["faq_posts", "faq_ingestion_metrics"]
    result = execute(
        checked, "faq_ingestion", "ingest_dump", tmp_path / "f", environment=environment
    )
    assert result.returncode == 0, result.stderr
    assert (checked / "checked.txt").read_text().split() == both
    result = run_kedro(
        checked,
        *("run", "-e", "azureml", "--pipelines", "faq_ingestion"),
        environment=environment,
    )
    assert result.returncode == 0, result.stderr
    assert (checked / "checked.txt").read_text().split() == both * 2


def test_what_a_validator_refuses_is_not_saved(checked, tmp_path):
    declare(checked, "ingested_originals", "checks.Refusing")
    environment = {"PYTHONPATH": str(checked)}
    result = execute(
        checked, "faq_ingestion", "ingest_dump", tmp_path / "f", environment=environment
    )
    assert result.returncode == 1
    assert "no tag of mine" in result.stderr.splitlines()[-1]
    assert not list((checked / "blobs").rglob("orig-q.tsv.gz"))


def test_every_step_of_every_pipeline_can_be_named():
    for pipeline in pipelines.values():
        for node in Steps(pipeline).nodes:
            assert re.fullmatch(r"[a-z_]+", node.name)
