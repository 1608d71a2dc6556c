"""The status of jobs in the workspace: from its jobs, its run history and its MLflow tracking."""

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
"""Of a step's logs the one that its command printed to; further ones in case it got no further."""
_TAIL = 20
_LOOKED_THROUGH = 500
"""Jobs of the workspace, latest first, among which those of this project are looked for."""
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class WorkspaceJobs:
    """What a workspace tells of this project's jobs."""

    def __init__(
        self, client: MLClient, experiments: Mapping[str, str], metrics: Mapping[str, str]
    ) -> None:
        """Ask nothing yet.

        Args:
            client: Of the workspace.
            experiments: Whose jobs are listed, each with the pipeline that its jobs run, as
                those of an endpoint do; empty where the job's own name says it.
            metrics: By pipeline: its primary metric.
        """
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        self._client = client
        self._experiments = experiments
        self._wanted = metrics
        self._tracked: Any = None
        self._faults: dict[str, tuple[str, tuple[str, ...]]] = {}

    def last(self, most: int) -> list[Status]:
        """The last jobs, the latest first."""
        every = islice(self._client.jobs.list(), _LOOKED_THROUGH)
        mine = (job for job in every if job and job.experiment_name in self._experiments)
        jobs = list(islice(mine, most))
        runs, note = self._runs({str(job.experiment_name) for job in jobs}, "")
        return [self._listed(job, runs, note) for job in jobs]

    def one(self, name: str) -> Status:
        """A job with its steps.

        Raises:
            ValueError: There is no such job.
        """
        from azure.core.exceptions import ResourceNotFoundError

        from kedro_cloud.workspace import answers

        try:
            job: Any = self._client.jobs.get(name)
        except ResourceNotFoundError as error:
            if answers.is_workspace_missing(error):
                raise
            raise ValueError(
                f"workspace '{self._client.workspace_name}' has no job '{name}'; "
                "kedro cloud status lists the last ones"
            ) from error
        runs, note = self._runs({str(job.experiment_name)}, name)
        children = [child for child in self._client.jobs.list(parent_job_name=name) if child]
        steps = tuple(self._steps(job, children, runs))
        listed = self._listed(job, runs, note)
        broken = listed.state in (StepState.FAILED, StepState.STOPPED)
        return replace(listed, steps=steps, again=self._again(job) if broken else "")

    def _listed(self, job: Any, runs: Iterable[Any], note: str) -> Status:
        own = [run for run in runs if run.info.run_id == job.name]
        below = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == job.name]
        of_endpoint = self._experiments.get(str(job.experiment_name))
        pipeline = of_endpoint or str(job.display_name or job.name)
        metrics = {key: value for run in (*below, *own) for key, value in run.data.metrics.items()}
        context = job.creation_context
        return Status(
            name=str(job.name),
            pipeline=pipeline,
            state=_state(job),
            created=context.created_at if context else None,
            seconds=_seconds(own[0]) if own else None,
            metric=primary_metric(metrics, pipeline, self._wanted),
            link=str(job.studio_url or ""),
            note=note,
        )

    def _steps(self, job: Any, children: list[Any], runs: Iterable[Any]) -> Iterator[StepStatus]:
        """Steps in the job's order, then children that it does not speak of."""
        by_name = {_plain(str(child.display_name)): child for child in children}
        known = {run.info.run_id: run for run in runs}
        ended = _state(job).is_end
        for name in dict.fromkeys([*(getattr(job, "jobs", None) or {}), *by_name]):
            child = by_name.get(_plain(name))
            if child is None:  # Azure ML makes a run when what the step needs is done
                yield StepStatus(name, StepState.SKIPPED if ended else StepState.WAITING)
                continue
            run_id = str(child.name)
            run = known.get(run_id)
            state = _state(child)
            failed = state is StepState.FAILED
            if failed and run_id not in self._faults:
                self._faults[run_id] = self._why(run_id)
            fault, log = self._faults[run_id] if failed else ("", ())
            yield StepStatus(name, state, _seconds(run) if run else None, fault, log)

    def _why(self, run: str) -> tuple[str, tuple[str, ...]]:
        """Why a step failed, and the end of its log."""
        from azure.core.exceptions import AzureError

        try:
            details = compat.run_details(self._client, run)
        except AzureError as lost:
            return f"its details cannot be had ({type(lost).__name__})", ()
        error = details.error.error if details.error else None
        told = _one_line(str(error.message or "")) if error else ""
        logs = details.log_files or {}
        matching = (name for kind in _LOGS for name in sorted(logs) if re.fullmatch(kind, name))
        chosen = next(matching, None)
        try:
            return told, _tail(logs[chosen]) if chosen else ()
        except (AzureError, OSError) as lost:
            return told, (f"(the log cannot be had: {type(lost).__name__})",)

    def _again(self, job: Any) -> str:
        """The command that submits the job again, with the parameters that it had."""
        from azure.core.exceptions import AzureError

        for step in (getattr(job, "jobs", None) or {}).values():
            name, _, version = str(step.component).removeprefix("azureml:").rpartition(":")
            try:
                command = str(self._client.components.get(name, version).command)
            except (AzureError, AttributeError):
                continue
            if found := again(command, job.inputs or {}):
                return found
        return ""

    def _runs(self, experiments: Collection[str], below: str) -> tuple[list[Any], str]:
        """MLflow runs, the latest first, and why there are none if they cannot be had.

        Args:
            experiments: Which.
            below: Only this run and those below it; all, if empty.
        """
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            if self._tracked is None:
                found: Any = self._client.workspaces.get(self._client.workspace_name)
                self._tracked = MlflowClient(tracking_uri=found.mlflow_tracking_uri)
            named = (self._tracked.get_experiment_by_name(name) for name in experiments)
            ids = [experiment.experiment_id for experiment in named if experiment]
            if not ids:
                return [], ""
            order = ["attributes.start_time DESC"]
            where = f"tags.mlflow.parentRunId = '{below}'" if below else ""
            runs = list(self._tracked.search_runs(ids, where, max_results=200, order_by=order))
            return runs + ([self._tracked.get_run(below)] if below else []), ""
        except (MlflowException, RequestException) as error:
            return [], f"times and metrics cannot be had: {_one_line(str(error))}"


def again(command: str, inputs: Mapping[str, Any]) -> str:
    """The command line that submits a job again; empty if the step is none of kedro-azureml's.

    Args:
        command: Of one of its steps.
        inputs: Of the job, which a published pipeline has.
    """
    asked = re.search(r"kedro azureml -e (\S+) execute --pipeline=(\S+) ", command)
    if asked is None:
        return ""
    line = f"kedro azureml -e {asked[1]} run -p {asked[2]}"
    given = re.search(r"--params='(.*)'", command)
    if given is None:
        return line
    params = re.sub(
        r"\$\{\{inputs\.(\w+)\}\}", lambda hole: str(inputs.get(hole[1], hole[0])), given[1]
    )
    return f"{line} --params {shlex.quote(params)}"


def _state(job: Any) -> StepState:
    if str((job.properties or {}).get(_REUSED, "")).lower() == "true":
        return StepState.KEPT
    told = getattr(job.status, "value", job.status)  # a text, or one of an enumeration
    return _STATES.get(str(told), StepState.UNKNOWN)


def _plain(name: str) -> str:
    """A node's name as the plugin makes it that of a step."""
    return re.sub(r"\W", "_", name).lower()


def _seconds(run: Any) -> float | None:
    """How long an MLflow run has been going, or went."""
    if not run.info.start_time:
        return None
    until = run.info.end_time or datetime.now(UTC).timestamp() * 1000
    return max(0.0, (until - run.info.start_time) / 1000)


def _tail(address: str) -> tuple[str, ...]:
    """The last lines at an address that carries its own signature."""
    from azure.core import PipelineClient
    from azure.core.rest import HttpRequest, HttpResponse

    service: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(address)
    with service.send_request(HttpRequest("GET", address), stream=True) as answer:
        answer.raise_for_status()
        parts = deque(answer.iter_bytes(), maxlen=8)  # of 4 KiB or more each
    return tuple(b"".join(parts).decode(errors="replace").splitlines()[-_TAIL:])


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
