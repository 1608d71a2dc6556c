"""Manage the MLflow runs of a rehearsal: one for the job, with a child run for each step."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import Any

from kedro_cloud.core.tracking_database import create_database
from kedro_cloud.core.variables import JOB
from kedro_cloud.jobs.progress import StepState
from kedro_cloud.rehearsal.place import RehearsalDir

_STATUS = {
    StepState.FINISHED: "FINISHED",
    StepState.FAILED: "FAILED",
    StepState.STOPPED: "KILLED",
}


class Tracking:
    """Create and end runs in the MLflow database of the rehearsals."""

    def __init__(self, directory: RehearsalDir, experiment: str) -> None:
        """Create the database and the experiment, unless they exist."""
        from mlflow import MlflowClient

        self._experiment, self._uri = experiment, directory.tracking
        create_database(directory.folder / "mlflow.db")
        self._client: Any = MlflowClient(tracking_uri=self._uri)
        found = self._client.get_experiment_by_name(experiment)
        self._experiment_id = (
            found.experiment_id
            if found is not None
            else self._client.create_experiment(experiment, directory.artifacts.as_uri())
        )
        # Steps write at the same time; with a write-ahead log they rarely block each other.
        with closing(sqlite3.connect(directory.folder / "mlflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")

    def open_job(self, name: str, run_id: str = "") -> str:
        """Create or resume the job's run; return its ID."""
        from mlflow import MlflowException

        with suppress(MlflowException):  # the database may have been deleted since
            if run_id:
                self._client.update_run(run_id, status="RUNNING")
                return run_id
        return self._create(name, {})

    def open_step(self, name: str, job_run_id: str) -> str:
        """Create a run for a step; return its ID."""
        return self._create(name, {"mlflow.parentRunId": job_run_id})

    def end(self, run_id: str, state: StepState) -> None:
        """Set the final status of a run, even if the step itself could not."""
        self._client.set_terminated(run_id, _STATUS.get(state, "FINISHED"))

    def _create(self, name: str, tags: dict[str, str]) -> str:
        run = self._client.create_run(self._experiment_id, run_name=name, tags=tags)
        run_id: str = run.info.run_id
        return run_id

    def environment(self, run_id: str, job_run_id: str) -> dict[str, str]:
        """Return the variables that Azure ML sets to connect a step to its run."""
        return {
            "AZUREML_RUN_ID": run_id,
            JOB: job_run_id,
            "AZUREML_EXPERIMENT_NAME": self._experiment,
            "MLFLOW_TRACKING_URI": self._uri,
            "MLFLOW_RUN_ID": run_id,
            "MLFLOW_EXPERIMENT_NAME": self._experiment,
        }
