"""Provide an active MLflow run."""

import shutil

import mlflow
import pytest


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, empty_database):
    folder = tmp_path_factory.mktemp("tracking")
    shutil.copy(empty_database, folder)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    return mlflow.create_experiment("test", artifact_location=f"{folder}/artifacts")


@pytest.fixture
def run(experiment):
    with mlflow.start_run(experiment_id=experiment) as active:
        yield active
