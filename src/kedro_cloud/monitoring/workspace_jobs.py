"""Read the status of jobs in the workspace: from jobs, run history and MLflow tracking."""

from __future__ import annotations

import os
import re
import shlex
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from kedro_cloud import compat
from kedro_cloud.jobs.progress import Status, StepState, StepStatus, primary_metric
from kedro_cloud.workspace.changes import get_or_none

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_STATES = {
    "NotStarted": StepState.WAITING,
    "Paused": StepState.WAITING,
    "Queued": StepState.QUEUED,
    "Provisioning": StepState.PREPARING,
    "Preparing": StepState.PREPARING,
    "Starting": StepState.PREPARING,
    "Running": StepState.RUNNING,
    "NotResponding": StepState.RUNNING,
    "CancelRequested": StepState.ENDING,
    "Finalizing": StepState.ENDING,
    "Completed": StepState.FINISHED,
    "Failed": StepState.FAILED,
    "Canceled": StepState.STOPPED,
}
_REUSED = "azureml.isreused"
_LOGS = (r"user_logs/std_log(_process_0+)?\.txt", r"user_logs/.*", r"logs/azureml/.*", r".*")
"""Patterns of a step's logs: the output of its command, or logs of an earlier phase."""
_TAIL = 20
"""Lines at the end of a log that are shown."""
_MAX_LISTED = 500
"""Number of the workspace's latest jobs that are searched for those of this project."""
_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class WorkspaceJobs:
    """Jobs of this project in a workspace."""

    def __init__(
        self, client: MLClient, experiments: Mapping[str, str], metrics: Mapping[str, str]
    ) -> None:
        """Store the arguments; no request is sent yet.

        Args:
            client: Client of the workspace.
            experiments: Experiments of the project; for that of an endpoint, the pipeline of its
                jobs, else an empty string, as the display name of a job is its pipeline.
            metrics: Name of the primary metric by pipeline.
        """
        for name, value in _RETRIES.items():
            os.environ.setdefault(name, value)
        self._client = client
        self._experiments = experiments
        self._metrics = metrics
        self._tracking: Any = None
        self._faults: dict[str, tuple[str, tuple[str, ...]]] = {}

    def list_last(self, most: int) -> list[Status]:
        """Return the last jobs, at most `most`, latest first."""
        every = islice(self._client.jobs.list(), _MAX_LISTED)
        own = (job for job in every if job and job.experiment_name in self._experiments)
        jobs = list(islice(own, most))
        runs, note = self._runs({str(job.experiment_name) for job in jobs}, "")
        return [self._summary(job, runs, note) for job in jobs]

    def read(self, name: str) -> Status:
        """Return a job with its steps.

        Raises:
            ValueError: The job does not exist.
        """
        job = get_or_none(self._client.jobs.get, name)
        if job is None:
            raise ValueError(
                f"workspace '{self._client.workspace_name}' has no job '{name}'; "
                "kedro cloud status lists the last ones"
            )
        runs, note = self._runs({str(job.experiment_name)}, name)
        children = [child for child in self._client.jobs.list(parent_job_name=name) if child]
        steps = tuple(self._steps(job, children, runs))
        summary = self._summary(job, runs, note)
        can_resume = summary.state in (StepState.FAILED, StepState.STOPPED)
        return replace(summary, steps=steps, again=self._resume_command(job) if can_resume else "")

    def _summary(self, job: Any, runs: Iterable[Any], note: str) -> Status:
        own = [run for run in runs if run.info.run_id == job.name]
        children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == job.name]
        endpoint_pipeline = self._experiments.get(str(job.experiment_name))
        pipeline = endpoint_pipeline or str(job.display_name or job.name)
        metrics = {
            key: value for run in (*children, *own) for key, value in run.data.metrics.items()
        }
        context = job.creation_context
        return Status(
            name=str(job.name),
            pipeline=pipeline,
            state=_state(job),
            created=context.created_at if context else None,
            seconds=_seconds(own[0]) if own else None,
            metric=primary_metric(metrics, pipeline, self._metrics),
            link=str(job.studio_url or ""),
            note=note,
        )

    def _steps(self, job: Any, children: list[Any], runs: Iterable[Any]) -> Iterator[StepStatus]:
        """Yield the steps in the job's order, then other child jobs."""
        by_name = {_step_name(str(child.display_name)): child for child in children}
        by_id = {run.info.run_id: run for run in runs}
        ended = _state(job).is_end
        for name in dict.fromkeys([*(getattr(job, "jobs", None) or {}), *by_name]):
            child = by_name.get(_step_name(name))
            if child is None:  # Azure ML creates it when the steps before have finished
                yield StepStatus(name, StepState.SKIPPED if ended else StepState.WAITING)
                continue
            run_id = str(child.name)
            run = by_id.get(run_id)
            state = _state(child)
            failed = state is StepState.FAILED
            if failed and run_id not in self._faults:
                self._faults[run_id] = self._read_fault(run_id)
            fault, log = self._faults[run_id] if failed else ("", ())
            yield StepStatus(name, state, _seconds(run) if run else None, fault, log)

    def _read_fault(self, run: str) -> tuple[str, tuple[str, ...]]:
        """Return why a step failed, and the end of its log."""
        from azure.core.exceptions import AzureError

        try:
            details = compat.run_details(self._client, run)
        except AzureError as error:
            return f"its details are not available ({type(error).__name__})", ()
        cause = details.error.error if details.error else None
        fault = _one_line(str(cause.message or "")) if cause else ""
        logs = details.log_files or {}
        names = (name for kind in _LOGS for name in sorted(logs) if re.fullmatch(kind, name))
        log = next(names, None)
        try:
            return fault, _read_tail(logs[log]) if log else ()
        except (AzureError, OSError) as error:
            return fault, (f"(the log is not available: {type(error).__name__})",)

    def _resume_command(self, job: Any) -> str:
        """Return the command that submits the job again, with the same parameters."""
        from azure.core.exceptions import AzureError

        for step in (getattr(job, "jobs", None) or {}).values():
            name, _, version = str(step.component).removeprefix("azureml:").rpartition(":")
            try:
                command = str(self._client.components.get(name, version).command)
            except (AzureError, AttributeError):
                continue
            if resume := resume_command(command, job.inputs or {}):
                return resume
        return ""

    def _runs(self, experiments: Collection[str], parent: str) -> tuple[list[Any], str]:
        """Return the MLflow runs, latest first, and a note if they are not available.

        Args:
            experiments: Names of the experiments.
            parent: ID of a run, to return only it and its child runs; all if empty.
        """
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            if self._tracking is None:
                workspace: Any = self._client.workspaces.get(self._client.workspace_name)
                self._tracking = MlflowClient(tracking_uri=workspace.mlflow_tracking_uri)
            named = (self._tracking.get_experiment_by_name(name) for name in experiments)
            ids = [experiment.experiment_id for experiment in named if experiment]
            if not ids:
                return [], ""
            order = ["attributes.start_time DESC"]
            where = f"tags.mlflow.parentRunId = '{parent}'" if parent else ""
            runs = list(self._tracking.search_runs(ids, where, max_results=200, order_by=order))
            return runs + ([self._tracking.get_run(parent)] if parent else []), ""
        except (MlflowException, RequestException) as error:
            return [], f"times and metrics are not available: {_one_line(str(error))}"


def resume_command(command: str, inputs: Mapping[str, Any]) -> str:
    """Return the command that submits a job again; empty if kedro-azureml did not create it.

    Args:
        command: Command of one of its steps.
        inputs: Inputs of the job, which published pipelines have.
    """
    execute = re.search(r"kedro azureml -e (\S+) execute --pipeline=(\S+) ", command)
    if execute is None:
        return ""
    line = f"kedro azureml -e {execute[1]} run -p {execute[2]}"
    given = re.search(r"--params='(.*)'", command)
    if given is None:
        return line
    params = re.sub(
        r"\$\{\{inputs\.(\w+)\}\}", lambda name: str(inputs.get(name[1], name[0])), given[1]
    )
    return f"{line} --params {shlex.quote(params)}"


def _state(job: Any) -> StepState:
    if str((job.properties or {}).get(_REUSED, "")).lower() == "true":
        return StepState.KEPT
    status = getattr(job.status, "value", job.status)  # a string, or a member of an enum
    return _STATES.get(str(status), StepState.UNKNOWN)


def _step_name(name: str) -> str:
    """Return the name that kedro-azureml gives to the step of a node."""
    return re.sub(r"\W", "_", name).lower()


def _seconds(run: Any) -> float | None:
    """Return the duration of an MLflow run, until now if it is running."""
    if not run.info.start_time:
        return None
    end = run.info.end_time or datetime.now(UTC).timestamp() * 1000
    return max(0.0, (end - run.info.start_time) / 1000)


def _read_tail(url: str) -> tuple[str, ...]:
    """Return the last lines of a log with a signed URL."""
    from azure.core import PipelineClient
    from azure.core.rest import HttpRequest, HttpResponse

    service: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(url)
    with service.send_request(HttpRequest("GET", url), stream=True) as response:
        response.raise_for_status()
        parts = deque(response.iter_bytes(), maxlen=8)  # of 4 KiB or more each
    return tuple(b"".join(parts).decode(errors="replace").splitlines()[-_TAIL:])


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
