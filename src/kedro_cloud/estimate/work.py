"""Read the work of each step from the job's last rehearsal."""

from __future__ import annotations

import os
from collections.abc import Mapping

from kedro_cloud.estimate.simulation import StepWork
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
    names = [step.name for step in job.steps]
    for option, given in (("--seconds", seconds), ("--scale", scale)):
        if unknown := [name for name in given if name not in names]:
            raise ValueError(
                f"{option} {unknown[0]}=…: '{job.name}' has no such step; expected one of "
                f"{', '.join(names)}"
            )
    journal = Journal.read(directory.run(job.name) / "job.json").steps
    records = {name: record for name, record in journal.items() if record.state.is_done}
    missing = [f"--seconds {name}=…" for name in names if name not in {*records, *seconds}]
    if missing:
        raise ValueError(
            f"'{job.name}' has no finished rehearsal to take seconds from; run `kedro cloud "
            f"rehearse -p {job.name}`, or give them: {' '.join(missing)}"
        )
    needs = job.needs()
    steps = []
    for step in job.steps:
        record = records.get(step.name)
        if step.name in seconds:
            work, source = seconds[step.name], "given"
        else:
            work, source = _work_s(step, records[step.name]), "rehearsed"
            if records[step.name].fingerprint != fingerprint(step):
                source = "rehearsed with other parameters: rehearse again"
        steps.append(
            StepWork(
                step.name,
                step.compute,
                needs=tuple(sorted(needs[step.name])),
                seconds=work * scale.get(step.name, 1.0),
                startup_s=(record.startup_s or 0.0) if record else 0.0,
                is_shared=step.mpi,
                ranks=step.processes_per_instance if step.mpi else 1,
                source=f"{source} × {scale[step.name]:g}" if step.name in scale else source,
            )
        )
    return tuple(steps)


def _work_s(step: Step, record: StepRecord) -> float:
    """Return the seconds that the rehearsed step would take on one rank."""
    parallel = min(step.ranks, os.cpu_count() or 1)  # the other ranks only shared these cores
    return max(0.0, record.seconds - (record.startup_s or 0.0)) * parallel
