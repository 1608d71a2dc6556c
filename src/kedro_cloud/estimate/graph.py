"""Read the work of each step from the job's last rehearsal, and find the critical path."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from kedro_cloud.estimate.simulation import StepRun, StepWork
from kedro_cloud.jobs.job import Job, Step
from kedro_cloud.rehearsal import RehearsalDir, StepRecord
from kedro_cloud.rehearsal.records import Journal, fingerprint


def read_steps(
    job: Job, directory: RehearsalDir, seconds: Mapping[str, float], scale: Mapping[str, float]
) -> tuple[StepWork, ...]:
    """Read the work of each step from the journal of the job's rehearsal.

    Args:
        job: Job that kedro-azureml compiles from the pipeline.
        directory: Folder of the rehearsals.
        seconds: Seconds of work on one rank by step; overrides the rehearsal.
        scale: Factor on the work by step.

    Raises:
        ValueError: A step has neither a finished rehearsal nor seconds, or does not exist.
    """
    known = [step.name for step in job.steps]
    for option, names in (("--seconds", seconds), ("--scale", scale)):
        if unknown := [name for name in names if name not in known]:
            raise ValueError(
                f"{option} {unknown[0]}=…: '{job.name}' has no such step; expected one of "
                f"{', '.join(known)}"
            )
    journal = Journal.read(directory.run(job.name) / "job.json").steps
    records = {name: record for name, record in journal.items() if record.state.is_done}
    missing = [f"--seconds {name}=…" for name in known if name not in {*records, *seconds}]
    if missing:
        raise ValueError(
            f"'{job.name}' has no finished rehearsal to take seconds from; run `kedro cloud "
            f"rehearse -p {job.name}`, or give them: {' '.join(missing)}"
        )
    needs = job.needs()
    steps = []
    for step in job.steps:
        record = records.get(step.name)
        work, source = seconds.get(step.name), "given"
        if record and work is None:
            work, source = _work_s(step, record), "rehearsed"
            if record.fingerprint != fingerprint(step):
                source = "rehearsed with other parameters: rehearse again"
        assert work is not None
        steps.append(
            StepWork(
                step.name,
                step.compute,
                tuple(sorted(needs[step.name])),
                work * scale.get(step.name, 1.0),
                (record.startup_s or 0.0) if record else 0.0,
                step.mpi,
                step.processes_per_instance if step.mpi else 1,
                f"{source} × {scale[step.name]:g}" if step.name in scale else source,
            )
        )
    return tuple(steps)


def critical_path(runs: Sequence[StepRun]) -> tuple[StepRun, ...]:
    """Return the runs whose times, from ready to end, add up to the makespan of their job.

    Args:
        runs: Runs of all steps of one job. A step is ready when its last dependency ends.
    """
    by_name = {run.step.name: run for run in runs}
    path = [max(runs, key=lambda run: run.end_s)]
    while needed := [by_name[name] for name in path[0].step.needs]:
        path.insert(0, max(needed, key=lambda run: run.end_s))
    return tuple(path)


def _work_s(step: Step, record: StepRecord) -> float:
    """Return the seconds on one rank, from a run on at most as many ranks as there are cores."""
    at_once = min(step.ranks, os.cpu_count() or 1)
    return max(0.0, record.seconds - (record.startup_s or 0.0)) * at_once
