"""*.api.azureml.ms: discovery of services, run history, logs, MLflow."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from control_plane.messages import Answer, Request
from control_plane.resources import EPOCH

HOST = "westeurope.api.azureml.ms"
DISCOVERY = f"https://{HOST}/discovery"
LOG = "logs/azureml/executionlogs.txt"
STEP_LOG = "user_logs/std_log.txt"
_MLFLOW = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED", "Running": "RUNNING"}


@dataclass(frozen=True)
class Stage:
    """State and log of a run at the time of a request."""

    status: str
    log: str = ""
    error: str | None = None


FINE = (Stage("Running", "Step one has begun\n"), Stage("Completed", "Step one has begun\nDone\n"))


@dataclass(frozen=True)
class StepRun(Stage):
    """State of a step's run; times in seconds since the start of 2026."""

    step: str = ""
    began: float | None = None
    ended: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment(Stage):
    """State of a job, and of those steps that have a run."""

    steps: tuple[StepRun, ...] = ()
    began: float | None = None
    ended: float | None = None


class Runs:
    """Run history, and the same runs in MLflow.

    Each request for a run's details advances it to the next stage. Each request for the children of
    a job in `moments` advances it to the next moment.
    """

    def __init__(self) -> None:
        self.stages: tuple[Stage, ...] = FINE
        self.moments: dict[str, tuple[Moment, ...]] = {}
        self.experiments: dict[str, str] = {}
        """Experiment by job in `moments`, if it is not `quartet`."""
        self._asked: dict[str, int] = {}
        self._listed: dict[str, int] = {}
        self._services: dict[str, Callable[[Request], Answer]] = {
            "experiments/get-by-name": self._experiment,
            "runs/search": self._search,
            "runs/get": self._tracked,
        }

    def __call__(self, request: Request) -> Answer:
        if request.path == "/discovery":
            services = ("api", "history", "modelmanagement", "experimentation", "pipelines")
            return Answer.of(dict.fromkeys(services, f"https://{HOST}"))
        if found := re.search(r"/api/2\.0/mlflow/(\S+)$", request.path):
            service = self._services.get(found[1])
            return service(request) if service else Answer.error(404, "NotFound", "no such service")
        if found := re.search(r"/history/v1\.0/.*/runs/([^/]+)/children$", request.path):
            return self._children(found[1])
        *_, runs, run, last = request.path.split("/")
        if runs == "runs" and last == "details":
            self._asked[run] = self._asked.get(run, -1) + 1
            return self._details(run)
        if request.path == f"/logs/{last}":
            return Answer(200, self.stage(last).log.encode(), {"Content-Type": "text/plain"})
        return Answer.error(404, "NotFound", f"no service at {request.path}")

    def stage(self, run: str) -> Stage:
        """Return the current stage of a run."""
        if run in self.moments:
            return self.moment(run)
        for job in self.moments:
            for step in self.moment(job).steps:
                if _run_id(job, step) == run:
                    return step
        return self.stages[min(self._asked.get(run, 0), len(self.stages) - 1)]

    def moment(self, job: str) -> Moment:
        """Return the current moment of a job in `moments`."""
        moments = self.moments[job]
        return moments[min(self._listed.get(job, 0), len(moments) - 1)]

    def _children(self, job: str) -> Answer:
        self._listed[job] = self._listed.get(job, -1) + 1
        moment = self.moment(job)
        return Answer.of({"value": [_history(job, step) for step in moment.steps]})

    def _details(self, run: str) -> Answer:
        stage = self.stage(run)
        log = STEP_LOG if isinstance(stage, StepRun) else LOG
        details: dict[str, Any] = {
            "runId": run,
            "status": stage.status,
            "logFiles": {log: f"https://{HOST}/logs/{run}"} if stage.log else {},
        }
        if stage.error:
            details["error"] = {"error": {"code": "UserError", "message": stage.error}}
        return Answer.of(details)

    def _experiment(self, request: Request) -> Answer:
        name = request.query["experiment_name"]
        if name not in map(self._experiment_of, self.moments):
            code = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no experiment {name}"}
            return Answer.of(code, 404)
        found = {"experiment_id": f"id-of-{name}", "name": name, "lifecycle_stage": "active"}
        return Answer.of({"experiment": found})

    def _search(self, request: Request) -> Answer:
        asked = request.document
        below = re.search(r"mlflow\.parentRunId = '([^']+)'", asked.get("filter", ""))
        jobs = [
            job
            for job in self.moments
            if f"id-of-{self._experiment_of(job)}" in asked["experiment_ids"]
        ]
        found = [
            run
            for job in jobs
            for run in self._runs_of(job)
            if below is None or (job == below[1] and run["info"]["run_id"] != job)
        ]
        return Answer.of({"runs": found[: asked.get("max_results", 1000)]})

    def _tracked(self, request: Request) -> Answer:
        wanted = request.query["run_id"]
        for job in self.moments:
            for run in self._runs_of(job):
                if run["info"]["run_id"] == wanted:
                    return Answer.of({"run": run})
        code = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no run {wanted}"}
        return Answer.of(code, 404)

    def _runs_of(self, job: str) -> list[dict[str, Any]]:
        """Return a job's run and those of its steps, as in MLflow."""
        moment, experiment = self.moment(job), self._experiment_of(job)
        own = _tracked_run(job, experiment, moment, moment.began, moment.ended, {}, "")
        return [own] + [
            _tracked_run(
                _run_id(job, step), experiment, step, step.began, step.ended, step.metrics, job
            )
            for step in moment.steps
        ]

    def _experiment_of(self, job: str) -> str:
        return self.experiments.get(job, "quartet")


def _run_id(job: str, step: StepRun) -> str:
    return f"{job}-{step.step}"


def _history(job: str, step: StepRun) -> dict[str, Any]:
    """Return a run as in the run history."""
    return {
        "runId": _run_id(job, step),
        "parentRunId": job,
        "rootRunId": job,
        "displayName": step.step,
        "status": step.status,
        "createdUtc": (EPOCH + timedelta(seconds=step.began or 0)).isoformat(),
        "runType": "azureml.StepRun",
        "properties": dict(step.properties),
        "tags": {},
        "compute": {"target": "cpu-cluster"},
    }


def _tracked_run(
    run: str,
    experiment: str,
    stage: Stage,
    began: float | None,
    ended: float | None,
    metrics: Mapping[str, float],
    parent: str,
) -> dict[str, Any]:
    info = {
        "run_id": run,
        "run_uuid": run,
        "run_name": run,
        "experiment_id": f"id-of-{experiment}",
        "status": _MLFLOW.get(stage.status, "SCHEDULED"),
        "lifecycle_stage": "active",
        **({} if began is None else {"start_time": _milliseconds(began)}),
        **({} if ended is None else {"end_time": _milliseconds(ended)}),
    }
    logged = [
        {"key": name, "value": value, "timestamp": 0, "step": 0} for name, value in metrics.items()
    ]
    tags = [{"key": "mlflow.parentRunId", "value": parent}] if parent else []
    return {"info": info, "data": {"metrics": logged, "tags": tags, "params": []}}


def _milliseconds(seconds: float) -> int:
    return int((EPOCH.timestamp() + seconds) * 1000)
