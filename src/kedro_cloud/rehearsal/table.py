"""Shows a rehearsal: a live table in a terminal, a line a change elsewhere, then a summary."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from kedro_cloud.core.console import ChangePrinter, live_display, state_table
from kedro_cloud.jobs.job import Job
from kedro_cloud.jobs.progress import StepState
from kedro_cloud.jobs.snapshot import Snapshot
from kedro_cloud.rehearsal.place import RehearsalDir
from kedro_cloud.rehearsal.records import Journal, StepRecord, kept_steps
from kedro_cloud.rehearsal.rehearsing import Observer, Report

if TYPE_CHECKING:
    from rich.table import Table

STARTUP_BUDGET_S = 4.0
STARTUP_BUDGET_MB = 400.0
"""What a step may cost before its work begins."""
_MIB = 2**20
_HEADINGS = ("seconds", "start-up s", "start-up MiB", "peak MiB", "output")


def shown(output: TextIO) -> AbstractContextManager[Observer]:
    """Show steps in a live table on a terminal, or a line per change elsewhere."""
    changes = ChangePrinter(output)

    def write(records: Sequence[StepRecord]) -> None:
        width = max((len(record.name) for record in records), default=0)
        for record in records:
            changes.write(record.name, record.state, line(record, width), StepState.WAITING)

    return live_display(output, table, write)


def line(record: StepRecord, width: int = 0) -> str:
    """A step in one line of plain text."""
    said = [f"{record.name:<{width}}  {record.state:<8}"]
    if record.state in (StepState.FINISHED, StepState.KEPT, StepState.FAILED, StepState.STOPPED):
        facts = (
            f"{heading} {value}"
            for heading, value in zip(_HEADINGS, cells(record), strict=True)
            if value
        )
        said.append(", ".join(facts))
    if record.fault:
        said.append(record.fault)
    return "  ".join(said).rstrip()


def cells(record: StepRecord) -> tuple[str, str, str, str, str]:
    """What a step cost: in the order of the headings, empty where nothing is known yet."""
    if record.state in (StepState.WAITING, StepState.SKIPPED):
        return ("", "", "", "", "")
    start_s, start_mib = over_budget(record)
    return (
        f"{record.seconds:.1f}",
        "" if record.startup_s is None else f"{record.startup_s:.1f}{'!' * start_s}",
        "" if record.startup_mib is None else f"{record.startup_mib:.0f}{'!' * start_mib}",
        f"{record.peak_mib:.0f}" if record.peak_mib else "",
        "" if record.state is StepState.RUNNING else amount(record.output_bytes),
    )


def over_budget(record: StepRecord) -> tuple[bool, bool]:
    """Whether a step's start took too many seconds, and too much memory."""
    megabytes = (record.startup_mib or 0.0) * _MIB / 10**6
    return (record.startup_s or 0.0) > STARTUP_BUDGET_S, megabytes > STARTUP_BUDGET_MB


def amount(size: int) -> str:
    """Bytes as one reads them: `0`, `812 B`, `3.4 KiB`."""
    if size < 1024:
        return f"{size} B" if size else "0"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024 or unit == "GiB":
            break
    return f"{value:.1f} {unit}"


def table(records: Sequence[StepRecord]) -> Table:
    """Make a table of all steps and what they cost."""
    return state_table(
        _HEADINGS, ((record.name, record.state, cells(record)) for record in records)
    )


def beforehand(
    job: Job, directory: RehearsalDir, snapshot: Snapshot, resume: bool
) -> Iterator[str]:
    """Lines for the beginning: what is run, and what is kept when it goes on.

    Steps that finished stay finished when code has changed since; a line says so.
    """
    size = amount(snapshot.size)
    yield f"{job.name}: {len(job.steps)} steps, code of {snapshot.files} files, {size}"
    if not resume:
        return
    earlier = Journal.read(directory.run(job.name) / "job.json").steps
    kept = kept_steps(job, earlier)
    again = [step.name for step in job.steps if step.name not in kept]
    if not kept:
        yield "nothing to keep from an earlier rehearsal: all steps are run"
        return
    changed = any(earlier[name].snapshot != snapshot.fingerprint for name in kept)
    since = "the code has changed since, kept nonetheless" if changed else "kept"
    named = [step.name for step in job.steps if step.name in kept]
    yield f"{since}: {', '.join(named)}; to run: {', '.join(again) or 'nothing'}"


def summary(report: Report, beginning: Path) -> Iterator[str]:
    """Lines for the end: what decided the time, what started too slowly, what failed.

    Args:
        report: Of the rehearsal.
        beginning: Paths are told as seen from this folder.
    """
    path = report.critical_path
    if path:
        chain = " → ".join(f"{record.name} {record.seconds:.1f}" for record in path)
        yield f"critical path, {_total(path):.1f} s: {chain}"
    done = [record for record in report.steps if record.state.is_done]
    yield f"steps together {_total(done):.1f} s, this rehearsal {report.seconds:.1f} s"
    slow = [record.name for record in done if any(over_budget(record))]
    if slow:
        budget = f"{STARTUP_BUDGET_S:.0f} s or {STARTUP_BUDGET_MB:.0f} MB"
        yield f"start-up over {budget} (!): {', '.join(slow)}"
    for record in report.failed:
        folder = os.path.relpath(record.folder, beginning)
        yield f"step '{record.name}' failed: {record.fault}; it is kept in {folder}"
        yield from (f"    {text}" for text in record.log_tail())


def _total(records: Sequence[StepRecord]) -> float:
    return sum(record.seconds for record in records)
