"""Run the steps of a job on this machine as Azure ML would on its clusters."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from kedro_cloud.jobs.job import Job, Step
from kedro_cloud.jobs.progress import StepState
from kedro_cloud.jobs.snapshot import Snapshot
from kedro_cloud.jobs.timing import VARIABLE as REPORT_VARIABLE
from kedro_cloud.rehearsal.folders import measure_folder, remove_path
from kedro_cloud.rehearsal.launch import REPORT_FILE, StartedStep, build_command
from kedro_cloud.rehearsal.place import RehearsalDir
from kedro_cloud.rehearsal.processes import end_commands, end_leftovers
from kedro_cloud.rehearsal.records import Journal, StepRecord, fingerprint, kept_steps
from kedro_cloud.rehearsal.tracking import Tracking

Observer = Callable[[Sequence[StepRecord]], None]
"""Receives the records of all steps, in the job's order, periodically and after each change."""
_POLL_INTERVAL_S = 0.1
"""Interval at which the processes of steps are checked."""


@dataclass(frozen=True)
class RehearsalResult:
    """Result of a rehearsal.

    Attributes:
        job: The job.
        run_id: ID of its MLflow run, and its `AZUREML_ROOT_RUN_ID`.
        steps: Records of its steps, in order.
        seconds: Duration from the first step's start to the last one's end.
    """

    job: Job
    run_id: str
    steps: tuple[StepRecord, ...]
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Return whether all steps are done."""
        return all(record.state.is_done for record in self.steps)

    @property
    def failed(self) -> tuple[StepRecord, ...]:
        """Return the steps that failed."""
        return tuple(record for record in self.steps if record.state is StepState.FAILED)

    @property
    def critical_path(self) -> tuple[StepRecord, ...]:
        """Return the steps that determine the job's duration on a cluster."""
        known = {record.name: record for record in self.steps}
        seconds = {name: record.seconds for name, record in known.items() if record.state.is_done}
        return tuple(known[name] for name in self.job.critical_path(seconds))


def rehearse(
    job: Job,
    code: Path,
    directory: RehearsalDir,
    *,
    processes: int | None = None,
    resume: bool = False,
    environment: Mapping[str, str] = MappingProxyType({}),
    show: Observer = lambda records: None,
) -> RehearsalResult:
    """Run a job's steps in order of their dependencies; independent steps continue after a failure.

    Every step is a new process in `directory.run(job.name) / "steps" / STEP`, with a copy of the
    code, its own output folders, read-only input folders, and a minimal environment.
    The steps of the job's last rehearsal in this directory are removed, unless it is resumed.
    Storage is neither started nor filled: steps find it through `environment`.

    Args:
        job: Job to run.
        code: Folder with the uploaded files only; see `kedro_cloud.jobs.snapshot`.
        directory: Rehearsal directory. The caller holds `directory.lock()`.
        processes: Maximum number of processes, by default the number of cores. A step with more
            ranks runs alone.
        resume: Whether to resume the job's last rehearsal in this directory.
        environment: Variables of all steps, such as `AZURE_STORAGE_CONNECTION_STRING`. They are
            not written to disk.
        show: Receives the progress.

    Raises:
        ValueError: A step cannot be started, for example without `mpirun`.
        KeyboardInterrupt: The rehearsal and all its steps were stopped. It can be resumed.
    """
    folder = directory.run(job.name)
    for step in job.steps:
        build_command(step, folder)  # raises before any step runs
    end_leftovers(REPORT_VARIABLE, f"{directory.folder}{os.sep}")
    journal = Journal.read(folder / "job.json") if resume else Journal()
    records = _first_records(job, journal, folder)
    folder.mkdir(parents=True, exist_ok=True)
    tracking = Tracking(directory, job.experiment or job.name)
    run_id = tracking.open_job(job.name, journal.run_id)
    rehearsal = _Rehearsal(
        job=job,
        snapshot=Snapshot.from_folder(code),
        journal=folder / "job.json",
        processes=processes or os.cpu_count() or 1,
        environment=environment,
        show=show,
        tracking=tracking,
        run_id=run_id,
        records=records,
    )
    started = time.monotonic()
    try:
        rehearsal.run()
    except BaseException:
        try:
            rehearsal.stop()
        finally:
            tracking.end(run_id, StepState.STOPPED)
        raise
    result = RehearsalResult(job, run_id, tuple(records.values()), time.monotonic() - started)
    tracking.end(run_id, StepState.FAILED if result.failed else StepState.FINISHED)
    return result


def _first_records(job: Job, journal: Journal, folder: Path) -> dict[str, StepRecord]:
    """Return the initial records; remove the last rehearsal unless a step is kept."""
    kept = kept_steps(job, journal.steps)
    if not kept:
        remove_path(folder)
    return {
        step.name: replace(journal.steps[step.name], state=StepState.KEPT)
        if step.name in kept
        else StepRecord(step.name, StepState.WAITING, folder / "steps" / step.name)
        for step in job.steps
    }


@dataclass(frozen=True)
class _Rehearsal:
    """A running rehearsal; `records` and `running` change."""

    job: Job
    snapshot: Snapshot
    journal: Path
    processes: int
    environment: Mapping[str, str]
    show: Observer
    tracking: Tracking
    run_id: str
    records: dict[str, StepRecord]
    running: dict[str, StartedStep] = field(default_factory=dict)

    def run(self) -> None:
        """Run until no step is running or can start."""
        self._record()
        while True:
            for step in self._startable():
                self._start(step)
            if not self.running:
                return
            time.sleep(_POLL_INTERVAL_S)
            for name, started in list(self.running.items()):
                code = started.process.exit_code()
                if code is not None:
                    self._finish(name, code)
            self._report()

    def stop(self) -> None:
        """Stop all running steps."""
        end_commands([started.process for started in self.running.values()])
        for started in self.running.values():
            started.clean()
        for name, record in self.records.items():
            if record.state is StepState.RUNNING:
                self.records[name] = replace(record, state=StepState.STOPPED)
                self.tracking.end(record.run_id, StepState.STOPPED)
        self.running.clear()
        self._record()

    def _startable(self) -> Iterator[Step]:
        """Yield steps whose dependencies are done, as long as there are free processes."""
        needs = self.job.needs()
        for step in self.job.steps:
            waits = self.records[step.name].state is StepState.WAITING
            ready = all(self.records[need].state.is_done for need in needs[step.name])
            if waits and ready and self._has_capacity(step):
                yield step

    def _has_capacity(self, step: Step) -> bool:
        used = sum(started.step.ranks for started in self.running.values())
        return not used or used + step.ranks <= self.processes

    def _start(self, step: Step) -> None:
        run_id = self.tracking.open_step(step.name, self.run_id)
        sources = {
            name: self.records[source.step].folder / "outputs" / source.output
            for name, source in step.sources.items()
        }
        environment = {**self.tracking.environment(run_id, self.run_id), **self.environment}
        self.records[step.name] = replace(
            self.records[step.name],
            state=StepState.RUNNING,
            fingerprint=fingerprint(step),
            snapshot=self.snapshot.fingerprint,
            run_id=run_id,
        )
        folder = self.records[step.name].folder
        self.running[step.name] = StartedStep(
            step, folder, sources, self.snapshot.folder, environment
        )
        self._record()

    def _finish(self, name: str, exit_code: int) -> None:
        started = self.running.pop(name)
        started.clean()
        fault = _explain_exit(exit_code) or started.format_input_changes()
        state = StepState.FAILED if fault else StepState.FINISHED
        record = _update_costs(self.records[name], started)
        self.records[name] = replace(record, state=state, fault=fault)
        self.tracking.end(record.run_id, state)
        if fault:
            for dependant in self.job.dependants(name):
                self.records[dependant] = replace(
                    self.records[dependant], state=StepState.SKIPPED, fault=f"'{name}' failed"
                )
        self._record()

    def _record(self) -> None:
        """Write the journal, and report the progress."""
        Journal(self.run_id, self.records).write(self.journal)
        self._report()

    def _report(self) -> None:
        for name, started in self.running.items():
            self.records[name] = _update_costs(self.records[name], started, at_end=False)
        self.show(tuple(self.records.values()))


def _update_costs(record: StepRecord, started: StartedStep, at_end: bool = True) -> StepRecord:
    """Return the record with the step's time and memory so far; at its end, with its output."""
    report = _read_report(started.folder / REPORT_FILE)
    return replace(
        record,
        seconds=started.process.seconds,
        startup_s=report.get("startup_s"),
        startup_mib=report.get("startup_mib"),
        peak_mib=started.process.peak_mib or report.get("peak_mib", 0.0),
        output_bytes=measure_folder(record.folder / "outputs") if at_end else 0,
    )


def _read_report(file: Path) -> dict[str, float]:
    """Read a step's report (see `kedro_cloud.jobs.timing`); return {} before it is written."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _explain_exit(exit_code: int) -> str:
    """Return why a step failed; an empty string for exit code 0."""
    if exit_code < 0:
        return f"signal {-exit_code} ended it"
    return f"it ended with exit code {exit_code}" if exit_code else ""
