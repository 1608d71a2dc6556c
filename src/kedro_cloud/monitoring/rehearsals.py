"""Read the status of rehearsals on this machine from their journals."""

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
    """Return the last rehearsal of each pipeline, latest first.

    Args:
        directory: Folder of the rehearsals.
        metrics: Name of the primary metric by pipeline.
    """
    files = directory.run("any").parent.glob(f"*/{_JOURNAL}")
    latest = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
    return [_status(directory, file.parent.name, metrics) for file in latest]


def rehearsal(directory: RehearsalDir, pipeline: str, metrics: Mapping[str, str]) -> Status:
    """Return the last rehearsal of a pipeline.

    Args:
        directory: Folder of the rehearsals.
        pipeline: Name of the pipeline.
        metrics: Name of the primary metric by pipeline.

    Raises:
        ValueError: The pipeline has no rehearsal.
    """
    if not (directory.run(pipeline) / _JOURNAL).exists():
        names = ", ".join(status.name for status in rehearsed(directory, metrics)) or "none"
        raise ValueError(
            f"pipeline '{pipeline}' has no rehearsal (found: {names}); start one: "
            f"kedro cloud rehearse -p {pipeline}"
        )
    return _status(directory, pipeline, metrics)


def _status(directory: RehearsalDir, pipeline: str, metrics: Mapping[str, str]) -> Status:
    file = directory.run(pipeline) / _JOURNAL
    is_running = _is_running(directory)
    steps = tuple(_step(record, is_running) for record in Journal.read(file).steps.values())
    state = _job_state(steps)
    return Status(
        name=pipeline,
        pipeline=pipeline,
        state=state,
        created=datetime.fromtimestamp(file.stat().st_mtime, UTC),
        seconds=sum(step.seconds or 0.0 for step in steps),
        metric=primary_metric(_read_metrics(directory, pipeline), pipeline, metrics),
        steps=steps,
        again=f"kedro cloud rehearse -p {pipeline} --resume",
    )


def _step(record: StepRecord, is_running: bool) -> StepStatus:
    """Return the status of a step; if the rehearsal ended, an unfinished step is stopped."""
    state = record.state
    if not state.is_end and not is_running:
        state = StepState.STOPPED
    failed = state is StepState.FAILED
    seconds = record.seconds if record.seconds or state.is_done else None
    fault = record.fault if failed else ""
    return StepStatus(
        record.name, state, seconds, fault, tuple(record.log_tail()) if failed else ()
    )


def _job_state(steps: tuple[StepStatus, ...]) -> StepState:
    """Return the state of a job from those of its steps."""
    states = {step.state for step in steps}
    if not all(state.is_end for state in states):
        return StepState.RUNNING
    for state in (StepState.FAILED, StepState.STOPPED):
        if state in states:
            return state
    return StepState.FINISHED if states else StepState.UNKNOWN


def _is_running(directory: RehearsalDir) -> bool:
    """Return whether the process whose ID is in the lock file is running."""
    try:
        return is_alive(int((directory.folder / ".lock").read_text(encoding="utf-8")))
    except (OSError, ValueError):  # no lock file, or no process ID in it
        return False


def _read_metrics(directory: RehearsalDir, pipeline: str) -> dict[str, float]:
    """Return the metrics of a rehearsal's reports, by their names in MLflow."""
    metrics: dict[str, float] = {}
    for file in Path(directory.reports(pipeline)).rglob("metrics.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        metrics |= {f"{pipeline}/{name}": value for name, value in content.items()}
    return metrics
