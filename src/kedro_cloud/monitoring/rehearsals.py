"""The status of rehearsals on this machine, from what they have written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from kedro_cloud.core.processes import is_alive
from kedro_cloud.jobs.progress import Status, StepState, StepStatus, primary_metric
from kedro_cloud.rehearsal.place import RehearsalDir
from kedro_cloud.rehearsal.records import Journal, StepRecord

_JOURNAL = "job.json"


def rehearsed(directory: RehearsalDir, metrics: Mapping[str, str]) -> list[Status]:
    """The last rehearsal of each pipeline, the latest first.

    Args:
        directory: Where they were.
        metrics: By pipeline: its primary metric.
    """
    files = directory.run("any").parent.glob(f"*/{_JOURNAL}")
    latest = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
    return [_status(directory, file.parent.name, metrics) for file in latest]


def rehearsal(directory: RehearsalDir, pipeline: str, metrics: Mapping[str, str]) -> Status:
    """The last rehearsal of a pipeline.

    Raises:
        ValueError: It was never rehearsed here.
    """
    if not (directory.run(pipeline) / _JOURNAL).exists():
        known = ", ".join(status.name for status in rehearsed(directory, metrics)) or "none yet"
        raise ValueError(
            f"pipeline '{pipeline}' was not rehearsed here ({known}): kedro cloud rehearse "
            f"-p {pipeline}"
        )
    return _status(directory, pipeline, metrics)


def _status(directory: RehearsalDir, pipeline: str, metrics: Mapping[str, str]) -> Status:
    file = directory.run(pipeline) / _JOURNAL
    going = _is_at_work(directory)
    steps = tuple(_step(record, going) for record in Journal.read(file).steps.values())
    state = _whole(steps)
    return Status(
        name=pipeline,
        pipeline=pipeline,
        state=state,
        created=datetime.fromtimestamp(file.stat().st_mtime, UTC),
        seconds=sum(step.seconds or 0.0 for step in steps),
        metric=primary_metric(_reported(directory, pipeline), pipeline, metrics),
        steps=steps,
        again=f"kedro cloud rehearse -p {pipeline} --resume",
    )


def _step(record: StepRecord, going: bool) -> StepStatus:
    """A step; what was at work when its rehearsal died is stopped, and so is what waited."""
    state = record.state
    if not state.is_end and not going:
        state = StepState.STOPPED
    failed = state is StepState.FAILED
    seconds = record.seconds if record.seconds or state.is_done else None
    fault = record.fault if failed else ""
    return StepStatus(
        record.name, state, seconds, fault, tuple(record.log_tail()) if failed else ()
    )


def _whole(steps: tuple[StepStatus, ...]) -> StepState:
    """How far a job is whose steps are as far as that."""
    states = {step.state for step in steps}
    if not all(state.is_end for state in states):
        return StepState.RUNNING
    for state in (StepState.FAILED, StepState.STOPPED):
        if state in states:
            return state
    return StepState.FINISHED if states else StepState.UNKNOWN


def _is_at_work(directory: RehearsalDir) -> bool:
    """Whether the process that wrote its number into the lock is still there."""
    try:
        return is_alive(int((directory.folder / ".lock").read_text(encoding="utf-8")))
    except (OSError, ValueError):  # no lock, or no number in it
        return False


def _reported(directory: RehearsalDir, pipeline: str) -> dict[str, float]:
    """Metrics that the rehearsal has fetched, by their names in MLflow."""
    found: dict[str, float] = {}
    for file in Path(directory.reports(pipeline)).rglob("metrics.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        found |= {f"{pipeline}/{name}": value for name, value in content.items()}
    return found
