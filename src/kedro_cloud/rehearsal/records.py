"""What is known of each step of a rehearsal, and kept so that it can go on later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kedro_cloud.jobs.job import Job, Source, Step
from kedro_cloud.jobs.progress import StepState


@dataclass(frozen=True)
class StepRecord:
    """What is known of a step.

    Attributes:
        name: The step.
        state: How far it is.
        folder: Its own folder: code, inputs, outputs, `log.txt`.
        fingerprint: Stands for all that it is told.
        snapshot: Fingerprint of the code that it ran.
        seconds: From its start until its end, or until now.
        startup_s: From its start until its work began; None if it did not tell.
        startup_mib: Memory it held then.
        peak_mib: The most memory that one of its processes held.
        output_bytes: Size of its output folders.
        fault: Why it failed, or was skipped.
        run_id: Its MLflow run.
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
        """What the step printed."""
        return self.folder / "log.txt"

    def log_tail(self, lines: int = 20) -> list[str]:
        """The last lines that the step printed."""
        if not self.log.exists():
            return []
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]


@dataclass(frozen=True)
class Journal:
    """What a rehearsal writes down after every change, so that another can go on from there.

    Attributes:
        run_id: The job's MLflow run, which is its `AZUREML_ROOT_RUN_ID` too.
        steps: By name.
    """

    run_id: str = ""
    steps: Mapping[str, StepRecord] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Replace the file."""
        entries = {name: asdict(record) for name, record in self.steps.items()}
        for entry in entries.values():
            entry["folder"] = str(entry["folder"])
        text = json.dumps({"run_id": self.run_id, "steps": entries}, indent=2)
        beside = path.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)

    @classmethod
    def read(cls, path: Path) -> Journal:
        """What was written; empty if there is nothing, or nothing that can be understood."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            entries = {
                name: {**entry, "state": StepState(entry["state"]), "folder": Path(entry["folder"])}
                for name, entry in content["steps"].items()
            }
            steps = {name: StepRecord(**entry) for name, entry in entries.items()}
            return cls(str(content["run_id"]), steps)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return cls()


def fingerprint(step: Step) -> str:
    """Stands for all that a step is told: another one, perhaps another result."""
    inputs = {
        name: f"{given.step}.{given.output}" if isinstance(given, Source) else given
        for name, given in step.inputs.items()
    }
    gang = [step.mpi, step.instances, step.processes_per_instance]
    told = [step.command, inputs, step.outputs, dict(step.environment_variables), gang]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def kept_steps(job: Job, earlier: Mapping[str, StepRecord]) -> frozenset[str]:
    """Steps that need not be done again.

    They finished, are told the same now as then, still have their folder, and so is it with all
    steps they need. Whether the code has changed since does not matter.
    """
    good = {
        step.name
        for step in job.steps
        if (record := earlier.get(step.name)) is not None
        and record.state.is_done
        and record.fingerprint == fingerprint(step)
        and record.folder.is_dir()
    }
    spoilt = (job.dependants(step.name) for step in job.steps if step.name not in good)
    return frozenset(good.difference(*spoilt))
