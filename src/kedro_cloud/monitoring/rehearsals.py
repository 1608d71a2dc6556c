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


def list_rehearsals(directory: RehearsalDir, metrics: Mapping[str, str]) -> list[Status]:
    """Return the last rehearsal of each pipeline, latest first.

    Args:
        directory: Folder of the rehearsals.
        metrics: Name of the primary metric by pipeline.
    """
    files = directory.run("any").parent.glob(f"*/{_JOURNAL}")
    latest = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
    return [read_rehearsal(directory, file.parent.name, metrics) for file in latest]


def read_rehearsal(directory: RehearsalDir, pipeline: str, metrics: Mapping[str, str]) -> Status:
    """Return the last rehearsal of a pipeline; `metrics` as in `list_rehearsals`.

    The journal does not record the start: `created` is the time of its last change.

    Raises:
        ValueError: The pipeline has no rehearsal.
    """
    file = directory.run(pipeline) / _JOURNAL
    if not file.exists():
        names = ", ".join(each.name for each in list_rehearsals(directory, metrics)) or "none"
        raise ValueError(
            f"pipeline '{pipeline}' has no rehearsal (found: {names}); start one: "
            f"kedro cloud rehearse -p {pipeline}"
        )
    is_running = _is_running(directory)
    steps = tuple(_step(record, is_running) for record in Journal.read(file).steps.values())
    return Status(
        name=pipeline,
        pipeline=pipeline,
        state=_job_state(steps),
        created=datetime.fromtimestamp(file.stat().st_mtime, UTC),
        seconds=sum(step.seconds or 0.0 for step in steps),
        metric=primary_metric(_read_metrics(directory, pipeline), pipeline, metrics),
        steps=steps,
        again=f"kedro cloud rehearse -p {pipeline} --resume",
    )


def _step(record: StepRecord, is_running: bool) -> StepStatus:
    """Return the status of a step.

    An unfinished step is stopped unless `is_running`: whether any rehearsal runs in the folder.
    """
    state = record.state if record.state.is_end or is_running else StepState.STOPPED
    seconds = record.seconds if record.seconds or state.is_done else None
    if state is not StepState.FAILED:
        return StepStatus(record.name, state, seconds)
    return StepStatus(record.name, state, seconds, record.fault, tuple(record.log_tail()))


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
