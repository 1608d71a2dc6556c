"""Record the steps of a rehearsal in a journal, so that it can be resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from kedro_cloud.jobs.job import Job, Source, Step
from kedro_cloud.jobs.progress import StepState


@dataclass(frozen=True)
class StepRecord:
    """Record of a step.

    Attributes:
        name: Name of the step.
        state: Its state.
        folder: Its folder, with code, inputs, outputs and `log.txt`.
        fingerprint: Hash of its command, inputs and settings.
        snapshot: Fingerprint of its code.
        seconds: Duration from its start to its end, or until now.
        startup_s: Duration from its start to its first node; None if not reported.
        startup_mib: Memory at the start of its first node; None if not reported.
        peak_mib: Peak memory of its largest process.
        output_bytes: Size of its output folders.
        fault: Reason why it failed or was skipped.
        run_id: ID of its MLflow run.
    """

    name: str
    state: StepState
    folder: Path
    fingerprint: str = ""
    snapshot: str = ""
    seconds: float = 0.0
    startup_s: float | None = None
    startup_mib: float | None = None
    peak_mib: float = 0.0
    output_bytes: int = 0
    fault: str = ""
    run_id: str = ""

    @property
    def log(self) -> Path:
        """Return the log file of the step."""
        return self.folder / "log.txt"

    def log_tail(self, lines: int = 20) -> list[str]:
        """Return the last lines of the log."""
        if not self.log.exists():
            return []
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]


@dataclass(frozen=True)
class Journal:
    """Journal of a rehearsal, written after every change, from which it can be resumed.

    Attributes:
        run_id: ID of the job's MLflow run, and its `AZUREML_ROOT_RUN_ID`.
        steps: Records by name of the step.
    """

    run_id: str = ""
    steps: Mapping[str, StepRecord] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Replace the file atomically."""
        beside = path.with_suffix(".new")
        beside.write_bytes(TypeAdapter(Journal).dump_json(self, indent=2))
        beside.replace(path)

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Read a journal; return an empty one if the file is missing or invalid."""
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return cls()


def fingerprint(step: Step) -> str:
    """Return a hash of all that determines a step's result, except the code."""
    inputs = {
        name: f"{given.step}.{given.output}" if isinstance(given, Source) else given
        for name, given in step.inputs.items()
    }
    mpi = [step.mpi, step.instances, step.processes_per_instance]
    content = [step.command, inputs, step.outputs, dict(step.environment_variables), mpi]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def kept_steps(job: Job, earlier: Mapping[str, StepRecord]) -> frozenset[str]:
    """Return the steps that a resumed rehearsal keeps.

    They and all steps that they depend on have finished, with the same fingerprint, and their
    folders exist. Changes to the code are ignored.
    """
    valid = {
        step.name
        for step in job.steps
        if (record := earlier.get(step.name)) is not None
        and record.state.is_done
        and record.fingerprint == fingerprint(step)
        and record.folder.is_dir()
    }
    outdated = (job.dependants(step.name) for step in job.steps if step.name not in valid)
    return frozenset(valid.difference(*outdated))
