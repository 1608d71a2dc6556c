"""Status of jobs and their steps, on Azure ML or in a rehearsal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class StepState(StrEnum):
    """State of a job or a step."""

    WAITING = "waiting"
    """Waits for the steps that it needs."""
    QUEUED = "queued"
    """Waits for a node."""
    PREPARING = "preparing"
    """Its node pulls the image and loads code and data."""
    RUNNING = "running"
    ENDING = "ending"
    FINISHED = "finished"
    KEPT = "kept"
    """Finished in an earlier job that this one resumes."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Depends on a step that failed."""
    STOPPED = "stopped"
    """Stopped by a user."""
    UNKNOWN = "unknown"

    @property
    def is_done(self) -> bool:
        """Return whether it succeeded."""
        return self in (StepState.FINISHED, StepState.KEPT)

    @property
    def is_end(self) -> bool:
        """Return whether the state is final."""
        return self.is_done or self in (StepState.FAILED, StepState.SKIPPED, StepState.STOPPED)


_MAX_FAILURES = 10
"""Failed requests in a row after which `follow` raises the error."""


@dataclass(frozen=True)
class StepStatus:
    """Status of a step.

    Attributes:
        name: Name of the step.
        state: Its state.
        seconds: Duration from its start to its end, or until now; None before its start.
        fault: Reason of a failure.
        log: Last lines of the log, if it failed.
    """

    name: str
    state: StepState
    seconds: float | None = None
    fault: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """Status of a job.

    Attributes:
        name: Name of the job.
        pipeline: Pipeline that it runs.
        state: Its state.
        created: Time of submission; None if unknown.
        seconds: Duration from its start to its end, or until now; None before its start.
        metric: Name and value of the pipeline's primary metric; None until it is logged.
        steps: Steps in the job's order; empty in a list of jobs.
        link: URL of the job in Azure ML studio.
        again: Command that resumes the job after a failure.
        note: Information that is missing, and why.
    """

    name: str
    pipeline: str
    state: StepState
    created: datetime | None = None
    seconds: float | None = None
    metric: tuple[str, float] | None = None
    steps: tuple[StepStatus, ...] = ()
    link: str = ""
    again: str = ""
    note: str = ""

    @property
    def done(self) -> int:
        """Return the number of successful steps."""
        return sum(step.state.is_done for step in self.steps)

    @property
    def exit_code(self) -> int:
        """Return 0 for a finished job, 1 for failed, 3 for stopped, 4 for running."""
        if self.state.is_done:
            return 0
        if self.state is StepState.STOPPED:
            return 3
        return 1 if self.state.is_end else 4


def primary_metric(
    metrics: Mapping[str, float], pipeline: str, names: Mapping[str, str]
) -> tuple[str, float] | None:
    """Return name and value of a pipeline's primary metric; None if it is not logged yet.

    Args:
        metrics: Values by name in MLflow, `pipeline/metric`.
        pipeline: Name of the pipeline.
        names: Name of the primary metric by pipeline.
    """
    name = names.get(pipeline, "")
    value = metrics.get(f"{pipeline}/{name}")
    return None if value is None else (name, value)


def follow(
    ask: Callable[[], Status],
    show: Callable[[Status], None],
    wait: Callable[[], None],
    is_transient: Callable[[Exception], bool] = lambda error: False,
) -> Status:
    """Poll and show the status of a job until it ends; return the last one.

    Args:
        ask: Returns the current status.
        show: Shows a status.
        wait: Waits before the next request.
        is_transient: Whether `ask` may succeed the next time after this error. Errors of the first
            request, and after several failures in a row, are always raised.
    """
    status, failures = ask(), 0
    show(status)
    while not status.state.is_end:
        wait()
        try:
            status, failures = ask(), 0
        except Exception as error:
            failures += 1
            if failures > _MAX_FAILURES or not is_transient(error):
                raise
            continue
        show(status)
    return status
