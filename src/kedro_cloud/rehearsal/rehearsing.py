"""Run the steps of a job on this machine as Azure ML would on its clusters."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from kedro_cloud.jobs.job import Job, Step
from kedro_cloud.jobs.progress import StepState
from kedro_cloud.jobs.snapshot import Snapshot
from kedro_cloud.jobs.timing import VARIABLE as REPORT_VARIABLE
from kedro_cloud.rehearsal.folders import remove, size
from kedro_cloud.rehearsal.launch import StartedStep, StepFolder, command
from kedro_cloud.rehearsal.place import RehearsalDir
from kedro_cloud.rehearsal.processes import end_commands, end_leftovers
from kedro_cloud.rehearsal.records import Journal, StepRecord, fingerprint, kept_steps
from kedro_cloud.rehearsal.tracking import Tracking

Observer = Callable[[Sequence[StepRecord]], None]
"""Receives the records of all steps, in the job's order, periodically and after each change."""
_POLL_INTERVAL_S = 0.1


@dataclass(frozen=True)
class RehearsalSettings:
    """Settings of a rehearsal.

    Attributes:
        jobs: Maximum number of processes. A step with more ranks runs alone.
        resume: Whether to resume the job's last rehearsal in this directory.
        environment: Variables of all steps, such as `AZURE_STORAGE_CONNECTION_STRING`. They are
            not written to disk.
    """

    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    resume: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
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
    settings: RehearsalSettings | None = None,
    show: Observer = lambda records: None,
) -> Report:
    """Run a job's steps in order of their dependencies; independent steps continue after a failure.

    Every step is a new process in `directory.run(job.name) / "steps" / STEP`, with a copy of the
    code, its own output folders, read-only input folders, and a minimal environment.
    The steps of the job's last rehearsal in this directory are removed, unless it is resumed.
    Storage is neither started nor filled: steps find it through `settings.environment`.

    Args:
        job: Job to run.
        code: Folder with the uploaded files only; see `kedro_cloud.jobs.snapshot`.
        directory: Rehearsal directory. The caller holds `directory.lock()`.
        settings: Settings of the rehearsal.
        show: Receives the progress.

    Raises:
        ValueError: A step cannot be started, for example without `mpirun`.
        KeyboardInterrupt: The rehearsal and all its steps were stopped. It can be resumed.
    """
    settings = settings or RehearsalSettings()
    folder = directory.run(job.name)
    for step in job.steps:
        command(step, StepFolder(folder))  # raises before any step runs
    end_leftovers(f"{REPORT_VARIABLE}={directory.folder}{os.sep}")
    journal = Journal.read(folder / "job.json") if settings.resume else Journal()
    records = _first_records(job, journal, folder)
    folder.mkdir(parents=True, exist_ok=True)
    tracking = Tracking(directory, job.experiment or job.name)
    run_id = tracking.open_job(job.name, journal.run_id)
    rehearsal = _Rehearsal(
        job, Snapshot.from_folder(code), directory, settings, show, tracking, run_id, records
    )
    started = time.monotonic()
    with _job_run(tracking, run_id, rehearsal):
        rehearsal.run()
    steps = tuple(rehearsal.records.values())
    return Report(job, run_id, steps, time.monotonic() - started)


def _first_records(job: Job, journal: Journal, folder: Path) -> dict[str, StepRecord]:
    """Return the initial records; remove the last rehearsal unless a step is kept."""
    kept = kept_steps(job, journal.steps)
    if not kept:
        remove(folder)
    return {
        step.name: replace(journal.steps[step.name], state=StepState.KEPT)
        if step.name in kept
        else StepRecord(step.name, StepState.WAITING, folder / "steps" / step.name)
        for step in job.steps
    }


@contextmanager
def _job_run(tracking: Tracking, run_id: str, rehearsal: _Rehearsal) -> Iterator[None]:
    """End the job's MLflow run with the state of its steps."""
    try:
        yield
    except BaseException:
        try:
            rehearsal.stop()
        finally:
            tracking.end(run_id, StepState.STOPPED)
        raise
    states = {record.state for record in rehearsal.records.values()}
    tracking.end(run_id, StepState.FAILED if StepState.FAILED in states else StepState.FINISHED)


class _Rehearsal:
    """A running rehearsal."""

    def __init__(
        self,
        job: Job,
        snapshot: Snapshot,
        directory: RehearsalDir,
        settings: RehearsalSettings,
        show: Observer,
        tracking: Tracking,
        run_id: str,
        records: dict[str, StepRecord],
    ) -> None:
        self.records = records
        self._job = job
        self._snapshot = snapshot
        self._directory = directory
        self._settings = settings
        self._show = show
        self._tracking = tracking
        self._run_id = run_id
        self._running: dict[str, StartedStep] = {}

    def run(self) -> None:
        """Run until no step is running or can start."""
        self._record()
        while True:
            for step in self._startable():
                self._start(step)
            if not self._running:
                return
            time.sleep(_POLL_INTERVAL_S)
            for name, started in list(self._running.items()):
                code = started.process.exit_code()
                if code is not None:
                    self._finish(name, code)
            self._report()

    def stop(self) -> None:
        """Stop all running steps."""
        end_commands([started.process for started in self._running.values()])
        for started in self._running.values():
            started.clean()
        for name, record in self.records.items():
            if record.state is StepState.RUNNING:
                self.records[name] = replace(record, state=StepState.STOPPED)
                self._tracking.end(record.run_id, StepState.STOPPED)
        self._running.clear()
        self._record()

    def _startable(self) -> Iterator[Step]:
        """Yield steps whose dependencies are done, as long as there are free processes."""
        needs = self._job.needs()
        for step in self._job.steps:
            waits = self.records[step.name].state is StepState.WAITING
            ready = all(self.records[need].state.is_done for need in needs[step.name])
            if waits and ready and self._has_capacity(step):
                yield step

    def _has_capacity(self, step: Step) -> bool:
        used = sum(started.step.ranks for started in self._running.values())
        return not used or used + step.ranks <= self._settings.jobs

    def _start(self, step: Step) -> None:
        run_id = self._tracking.open_step(step.name, self._run_id)
        folder = StepFolder(self.records[step.name].folder)
        sources = {
            name: StepFolder(self.records[source.step].folder).outputs(source.output)
            for name, source in step.sources.items()
        }
        environment = {
            **self._tracking.environment(run_id, self._run_id, self._directory),
            **self._settings.environment,
        }
        self.records[step.name] = replace(
            self.records[step.name],
            state=StepState.RUNNING,
            fingerprint=fingerprint(step),
            snapshot=self._snapshot.fingerprint,
            run_id=run_id,
        )
        started = StartedStep(step, folder, sources, self._snapshot.folder, environment)
        self._running[step.name] = started
        self._record()

    def _finish(self, name: str, exit_code: int) -> None:
        started = self._running.pop(name)
        started.clean()
        fault = _reason(exit_code) or started.changed_inputs()
        state = StepState.FAILED if fault else StepState.FINISHED
        record = _update_costs(self.records[name], started)
        self.records[name] = replace(record, state=state, fault=fault)
        self._tracking.end(record.run_id, state)
        if fault:
            for dependant in self._job.dependants(name):
                self.records[dependant] = replace(
                    self.records[dependant], state=StepState.SKIPPED, fault=f"'{name}' failed"
                )
        self._record()

    def _record(self) -> None:
        """Write the journal, and report the progress."""
        journal = Journal(self._run_id, self.records)
        journal.write(self._directory.run(self._job.name) / "job.json")
        self._report()

    def _report(self) -> None:
        for name, started in self._running.items():
            self.records[name] = _update_costs(self.records[name], started, at_end=False)
        self._show(tuple(self.records.values()))


def _update_costs(record: StepRecord, started: StartedStep, at_end: bool = True) -> StepRecord:
    """Return the record with the step's time and memory so far."""
    report = _read_report(started.folder.report)
    return replace(
        record,
        seconds=started.process.seconds,
        startup_s=report.get("startup_s"),
        startup_mib=report.get("startup_mib"),
        peak_mib=started.process.peak_mib or report.get("peak_mib", 0.0),
        output_bytes=size(record.folder / "outputs") if at_end else 0,
    )


def _read_report(report: Path) -> dict[str, float]:
    """Read a step's report; return an empty one if it is missing or invalid."""
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        return {name: float(value) for name, value in content.items() if value is not None}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _reason(exit_code: int) -> str:
    if exit_code < 0:
        return f"signal {-exit_code} ended it"
    return f"it ended with exit code {exit_code}" if exit_code else ""
