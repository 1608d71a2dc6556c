"""How far a job and its steps are, wherever they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class StepState(StrEnum):
    """How far a job or a step is."""

    WAITING = "waiting"
    """For steps that it needs."""
    QUEUED = "queued"
    """For a machine."""
    PREPARING = "preparing"
    """Its machine gets image, code and data."""
    RUNNING = "running"
    ENDING = "ending"
    FINISHED = "finished"
    KEPT = "kept"
    """Finished in an earlier job that this one goes on with."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It needs a step that failed."""
    STOPPED = "stopped"
    """By somebody."""
    UNKNOWN = "unknown"

    @property
    def is_done(self) -> bool:
        """Whether it ended well."""
        return self in (StepState.FINISHED, StepState.KEPT)

    @property
    def is_end(self) -> bool:
        """Whether it stays as it is."""
        return self.is_done or self in (StepState.FAILED, StepState.SKIPPED, StepState.STOPPED)


EXIT_CODES: Mapping[StepState, int] = {
    StepState.FINISHED: 0,
    StepState.KEPT: 0,
    StepState.FAILED: 1,
    StepState.SKIPPED: 1,
    StepState.STOPPED: 3,
}
"""Of the command, by the state of the job; 4 for all others, as the job goes on."""
GOES_ON = 4
_PATIENCE = 10
"""Answers in a row that `follow` does without."""


@dataclass(frozen=True)
class StepStatus:
    """What is known of a step.

    Attributes:
        name: The step.
        state: How far it is.
        seconds: From its start until its end, or until now; None before its start.
        fault: Why it failed.
        log: The last lines that it printed, if it failed.
    """

    name: str
    state: StepState
    seconds: float | None = None
    fault: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """What is known of a job.

    Attributes:
        name: The job.
        pipeline: What it runs.
        state: How far it is.
        created: When it was submitted; None if nobody knows.
        seconds: From its start until its end, or until now; None before its start.
        metric: Name and value of the pipeline's primary metric; None until there is one.
        steps: In the job's order; empty where a job is only listed.
        link: Its page in the studio.
        again: The command that goes on after a failure.
        note: What could not be found out, and why.
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
        """How many steps ended well."""
        return sum(step.state.is_done for step in self.steps)

    @property
    def exit_code(self) -> int:
        """0 for a job that finished, 1 failed, 3 stopped, 4 that goes on."""
        return EXIT_CODES.get(self.state, GOES_ON)


def primary_metric(
    metrics: Mapping[str, float], pipeline: str, wanted: Mapping[str, str]
) -> tuple[str, float] | None:
    """The metric that says most of a pipeline, and its value; None if there is none yet.

    Args:
        metrics: By name as MLflow has it, `pipeline/metric`.
        pipeline: Whose.
        wanted: By pipeline: its primary metric.
    """
    name = wanted.get(pipeline, "")
    value = metrics.get(f"{pipeline}/{name}")
    return None if value is None else (name, value)


def follow(
    ask: Callable[[], Status],
    show: Callable[[Status], None],
    wait: Callable[[], None],
    passes: Callable[[Exception], bool] = lambda error: False,
) -> Status:
    """The status at the end of the job; each one on the way there is shown.

    Args:
        ask: For the present status.
        show: It.
        wait: Before it is asked for again.
        passes: Whether an error of `ask` may be over the next time. After some in a row it is
            raised nonetheless, and so is the very first answer's.
    """
    status, lost = ask(), 0
    show(status)
    while not status.state.is_end:
        wait()
        try:
            status, lost = ask(), 0
        except Exception as error:
            lost += 1
            if lost > _PATIENCE or not passes(error):
                raise
            continue
        show(status)
    return status
