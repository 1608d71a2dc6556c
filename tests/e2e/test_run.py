"""`kedro run` on a fresh clone ends in results, a tracked run and a registered model."""

import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from urllib.request import Request, urlopen

import mlflow
import pandas as pd
import pytest
from safetensors import safe_open

from support import (
    GUARD_S,
    QUICK,
    clean_environment,
    make_workspace,
    read_metrics,
    run_kedro,
    run_program,
    running_server,
)

REPORTS = "data/08_reporting/mnist_training"
TRAIN = ("run", "--pipelines", "mnist_training", "--params")


@pytest.fixture(scope="module")
def client(trained_workspace):
    return mlflow.MlflowClient(f"sqlite:///{trained_workspace}/mlflow.db")


metrics = partial(read_metrics, pipeline="mnist_training")


def tracked(metrics):
    """Return the metrics of this scenario from a run of all scenarios."""
    prefix = "mnist_training/"
    return {
        name.removeprefix(prefix): value
        for name, value in metrics.items()
        if name.startswith(prefix)
    }


def test_the_sample_is_classified_accurately(trained_workspace):
    found = metrics(trained_workspace)
    assert found["logistic_test_accuracy"] > 0.94
    assert found["convnet_test_accuracy"] > 0.98
    for family in ("logistic", "convnet"):
        low, value, high = (
            found[f"{family}_test_accuracy{end}"] for end in ("_low_95", "", "_high_95")
        )
        assert low < value <= high


def test_hyperparameters_are_chosen_on_the_validation_set(trained_workspace):
    folder = trained_workspace / REPORTS
    found = metrics(trained_workspace)
    sweep = pd.read_csv(folder / "sweep_results.csv")
    assert len(sweep) >= 8
    best = sweep[sweep["validation_accuracy"] == sweep["validation_accuracy"].max()]
    assert found["best_regularisation_strength"] == best["regularisation_strength"].max()
    trials = pd.read_csv(folder / "convnet_trials.csv")
    assert found["best_learning_rate"] in set(trials["learning_rate"])


def list_runs(client, experiment):
    """Return the runs of an experiment without the child runs of trials."""
    runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def test_the_run_is_tracked_with_parameters_metrics_and_figures(trained_workspace, client):
    (run,) = list_runs(client, "quartet")
    assert run.info.status == "FINISHED"
    assert tracked(run.data.metrics) == metrics(trained_workspace)
    assert run.data.params["convnet_training.epochs"] == "12"
    assert run.data.params["regularisation_sweep.strengths"].startswith("[1.0, 3.0")
    filter_string = "params.`convnet_training.epochs` = '12'"
    found = client.search_runs([run.info.experiment_id], filter_string)
    assert [each.info.run_id for each in found] == [run.info.run_id]
    figures = {entry.path for entry in client.list_artifacts(run.info.run_id, "figures")}
    names = {
        f"figures/{path.stem}_figure.png" for path in (trained_workspace / REPORTS).glob("*.png")
    }
    assert len(names) == 10
    assert names <= figures
    assert "figures/convnet_confusion_figure.png" in figures


def test_the_better_classifier_is_registered_with_its_tags(trained_workspace, client):
    (version,) = client.search_model_versions("name='mnist_classifier'")
    assert version.tags["family"] == "convnet"
    assert (
        float(version.tags["test_accuracy"]) == metrics(trained_workspace)["convnet_test_accuracy"]
    )
    assert len(version.tags["train_data_sha256"]) == 64
    assert version.tags["library.torch"].startswith("2.")
    assert version.tags["parameter.epochs"] == "12"


@pytest.mark.integration
def test_mlflow_ui_shows_the_run(trained_workspace):
    command = ["mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1"]
    with running_server(trained_workspace, command, "/health") as url:
        assert b"<title>MLflow</title>" in urlopen(url, timeout=GUARD_S).read()
        query = f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=quartet"
        experiment = json.load(urlopen(query, timeout=GUARD_S))["experiment"]["experiment_id"]
        search = Request(
            f"{url}/api/2.0/mlflow/runs/search",
            json.dumps({"experiment_ids": [experiment]}).encode(),
            {"Content-Type": "application/json"},
        )
        runs = json.load(urlopen(search, timeout=GUARD_S))["runs"]
    (run,) = (run for run in runs if run["info"]["run_name"] == "__default__")
    shown = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert tracked(shown) == metrics(trained_workspace)


def test_an_interrupted_run_is_tracked_as_killed_and_resumes(workspace):
    checkpoint = workspace / "data/06_models/mnist/convnet_checkpoint.safetensors"
    train = (*TRAIN, "convnet_training.minimum_steps=100")
    with subprocess.Popen(
        [sys.executable, "-m", "kedro", *train],
        cwd=workspace,
        env=clean_environment(),
        stderr=subprocess.DEVNULL,
    ) as process:
        while not checkpoint.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
    assert process.returncode == 1
    with safe_open(checkpoint, framework="numpy") as file:
        kept = json.loads(file.metadata()["state"])["history"]
    registry = mlflow.MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    (run,) = list_runs(registry, "quartet-digits")
    assert run.info.status == "KILLED"
    result = run_kedro(workspace, *train)
    assert result.returncode == 0, result.stderr
    assert not checkpoint.exists()
    history = pd.read_csv(workspace / REPORTS / "convnet_history.csv", float_precision="round_trip")
    assert len(history) == 20
    assert history["seconds"][: len(kept)].tolist() == [epoch["seconds"] for epoch in kept]


READ_ALL = """
import sys, mlflow, numpy as np
sys.path.insert(0, {source!r})
from quartet.datasets.idx import IDXDataset
mlflow.set_tracking_uri("sqlite:///mlflow.db")
images = IDXDataset(filepath="data/01_raw/mnist/t10k-images-idx3-ubyte.gz").load()
labels = IDXDataset(filepath="data/01_raw/mnist/t10k-labels-idx1-ubyte.gz").load()
table = mlflow.pyfunc.load_model("models:/mnist_classifier/1").predict(images)
sums = table.filter(like="probability").sum(axis=1)
print(np.mean(table["label"] == labels), sums.round(4).unique())
"""


def test_a_registered_model_predicts_in_a_new_process(trained_workspace):
    code = READ_ALL.format(source=str(trained_workspace / "src"))
    result = run_program(sys.executable, "-c", code, folder=trained_workspace)
    assert result.returncode == 0, result.stderr
    accuracy, sums = result.stdout.strip().split(" ", 1)
    assert float(accuracy) == pytest.approx(metrics(trained_workspace)["convnet_test_accuracy"])
    assert sums == "[1.]"


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project in which mnist_training has run briefly."""
    folder = make_workspace(tmp_path_factory.mktemp("first") / "project")
    result = run_kedro(folder, *TRAIN, QUICK)
    assert result.returncode == 0, result.stderr
    return folder


def test_the_same_seed_gives_the_same_artefacts_and_no_second_version(tmp_path, first):
    again = shutil.copytree(first, tmp_path / "again")
    result = run_kedro(again, *TRAIN, QUICK)
    assert result.returncode == 0, result.stderr
    before, after = metrics(first), metrics(again)
    for name in before:
        if not name.endswith("_seconds"):
            assert before[name] == after[name], name
    for name in ("logistic_weights", "convnet_weights"):
        weights = f"data/06_models/mnist/{name}.safetensors"
        assert (again / weights).read_bytes() == (first / weights).read_bytes()
    release = json.loads((again / REPORTS / "release.json").read_text())
    assert not release["approved"]
    assert "not better, version 1 stays" in release["reason"]
    registry = mlflow.MlflowClient(f"sqlite:///{again}/mlflow.db")
    assert len(registry.search_model_versions("name='mnist_classifier'")) == 1


@pytest.fixture(scope="module")
def real_metrics(tmp_path_factory, real_mnist):
    folder = make_workspace(tmp_path_factory.mktemp("real"))
    result = run_kedro(folder, *TRAIN, f"mnist_data={real_mnist}")
    assert result.returncode == 0, result.stderr
    return metrics(folder)


def test_the_logistic_regression_beats_the_tutorial_on_mnist(real_metrics):
    assert real_metrics["logistic_test_accuracy"] >= 0.925


def test_the_network_reaches_99_5_percent_on_mnist(real_metrics):
    assert real_metrics["convnet_test_accuracy"] >= 0.995
