"""Jobs of Azure ML that process a file."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from kedro_cloud.trigger.locations import ArrivedFile
from kedro_cloud.trigger.protocol import Marker, Outcome
from kedro_cloud.trigger.runs import Run, Starter, check_parameters
from kedro_cloud.trigger.settings import FileTrigger
from kedro_cloud.workspace.changes import get_or_none, hide_warnings

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_REJECTED = (400, 422)
"""Status codes if the service rejects the file; all others are faults of the service."""
_OUTCOMES: Mapping[str, Any] = {
    "Completed": "done",
    "Canceled": "stopped",
    "Failed": "failed",
    "NotResponding": "failed",
    "Deleted": "failed",
}
"""State of the outcome, by status of a job that has ended, or does not exist any more."""
Submit = Callable[[ArrivedFile, str], Any]
"""Starts a job of this name for a file, and returns it."""


@dataclass
class JobRun(Run):
    """A job of Azure ML; it continues when its watcher ends.

    Attributes:
        client: Client of the workspace.
        job: Name of the job; None if Azure ML did not accept the file.
        every: Seconds between two queries of its status.
        rejection: Why Azure ML did not accept the file.
        clock: Module `time`, or a replacement for tests.
    """

    client: MLClient
    job: str | None
    every: float
    rejection: str = ""
    clock: Any = time
    _status: str = field(default="", init=False)
    _next_query: float = field(default=float("-inf"), init=False)

    def outcome(self) -> Outcome | None:
        """Return how it ended; None while it runs."""
        if self.job is None:
            return Outcome("failed", self.rejection)
        now = self.clock.monotonic()
        if self._status not in _OUTCOMES and now >= self._next_query:
            self._next_query = now + self.every
            try:
                status = self.client.jobs.get(self.job).status
                self._status = str(getattr(status, "value", status))  # some jobs have an enum
            except ResourceNotFoundError:
                self._status = "Deleted"
        if self._status not in _OUTCOMES:
            return None
        state = _OUTCOMES[self._status]
        reason = "" if state == "done" else f" ended as {self._status}"
        return Outcome(state, f"job {self.job}{reason}")

    def progress(self) -> str:
        """Return name and status of the job."""
        return f"job {self.job} {self._status.lower()}".strip() if self.job else ""


def start_job(
    client: MLClient, every: float, submit: Submit, file: ArrivedFile, claim: Marker
) -> JobRun:
    """Start an Azure ML job, or follow the one that was started for this attempt.

    Raises:
        AzureError: Azure ML does not answer, or the endpoint does not exist.
    """
    # All watchers that start this attempt use the same name; `--again` changes it.
    content = f"{file.address}\n{file.version}\n{claim.series}"
    key = hashlib.sha256(content.encode()).hexdigest()[:24]
    name = f"watch-{key}-{claim.attempts + 1}"
    # A watcher may have died between the start of a job and the update of the marker.
    if claim.job is not None or get_or_none(client.jobs.get, name) is not None:
        return JobRun(client, claim.job or name, every)
    try:
        with hide_warnings():
            return JobRun(client, str(submit(file, name).name), every)
    except HttpResponseError as error:
        if error.status_code not in _REJECTED:
            raise
        from kedro_cloud.workspace import faults

        return JobRun(client, None, every, f"Azure ML rejected the file: {faults.summarize(error)}")


def endpoint_starter(
    trigger: FileTrigger, params: Mapping[str, Any], client: MLClient, every: float
) -> Starter:
    """Return a starter that invokes the trigger's endpoint.

    `params` are inputs that are the same for all files; a job's status is queried at most every
    `every` seconds.

    Raises:
        ValueError: The endpoint does not have an input, or it differs from file to file.
    """
    endpoint, declared = trigger.trigger.endpoint, trigger.endpoint.inputs
    check_parameters(params, [trigger.trigger.file_input])
    if unknown := [each for each in params if each not in declared]:
        raise ValueError(
            f"--params: endpoint '{endpoint}' has no input '{unknown[0]}'; expected one of "
            f"{', '.join(declared)}"
        )

    def submit(file: ArrivedFile, name: str) -> Any:
        from azure.ai.ml import Input

        given = {**trigger.trigger.inputs, **params, trigger.trigger.file_input: file.address}
        inputs = {each: Input(type=declared[each].type, default=given[each]) for each in given}
        return client.batch_endpoints.invoke(endpoint, inputs=inputs, job_name=name)

    return Starter(lambda file, claim: start_job(client, every, submit, file, claim))


def job_starter(
    trigger: FileTrigger,
    params: Mapping[str, Any],
    client: MLClient,
    every: float,
    compile_job: Callable[[Mapping[str, Any]], Any],
) -> Starter:
    """Return a starter that submits the job that `compile_job` returns for nested parameters.

    `params` are the same for all files; a job's status is queried at most every `every` seconds.

    Raises:
        ValueError: A parameter differs from file to file.
    """
    check_parameters(params, [trigger.file_parameter])

    def submit(file: ArrivedFile, name: str) -> Any:
        job = compile_job(trigger.run_parameters(params, {trigger.file_parameter: file.address}))
        job.name = name
        return client.jobs.create_or_update(job)

    return Starter(lambda file, claim: start_job(client, every, submit, file, claim))
