"""Show a rehearsal: a live table on a terminal, or a line per change, then a summary."""

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
from kedro_cloud.rehearsal.rehearsing import Observer, RehearsalResult

if TYPE_CHECKING:
    from rich.table import Table

STARTUP_BUDGET_S = 4.0
STARTUP_BUDGET_MB = 400.0
"""Limits for the start-up of a step."""
_MIB = 2**20
_HEADINGS = ("seconds", "start-up s", "start-up MiB", "peak MiB", "output")


def show_progress(output: TextIO) -> AbstractContextManager[Observer]:
    """Show steps in a live table on a terminal, or a line per change elsewhere."""
    changes = ChangePrinter(output)

    def write(records: Sequence[StepRecord]) -> None:
        width = max((len(record.name) for record in records), default=0)
        for record in records:
            changes.write(record.name, record.state, format_line(record, width), StepState.WAITING)

    return live_display(output, make_table, write)


def format_line(record: StepRecord, width: int = 0) -> str:
    """Return a step as one line of plain text."""
    costs = ""
    if record.state is not StepState.RUNNING:
        cells = zip(_HEADINGS, format_cells(record), strict=True)
        costs = ", ".join(f"{heading} {value}" for heading, value in cells if value)
    parts = [f"{record.name:<{width}}  {record.state:<8}", costs, record.fault]
    return "  ".join(filter(None, parts)).rstrip()


def format_cells(record: StepRecord) -> tuple[str, str, str, str, str]:
    """Return a step's time and memory, in the order of the headings; empty if unknown."""
    if record.state in (StepState.WAITING, StepState.SKIPPED):
        return ("", "", "", "", "")
    start_s, start_mib = over_budget(record)
    return (
        f"{record.seconds:.1f}",
        "" if record.startup_s is None else f"{record.startup_s:.1f}{'!' * start_s}",
        "" if record.startup_mib is None else f"{record.startup_mib:.0f}{'!' * start_mib}",
        f"{record.peak_mib:.0f}" if record.peak_mib else "",
        "" if record.state is StepState.RUNNING else format_size(record.output_bytes),
    )


def over_budget(record: StepRecord) -> tuple[bool, bool]:
    """Return whether a step's start-up exceeds the limits of time and memory."""
    megabytes = (record.startup_mib or 0.0) * _MIB / 10**6
    return (record.startup_s or 0.0) > STARTUP_BUDGET_S, megabytes > STARTUP_BUDGET_MB


def format_size(size: int) -> str:
    """Format a number of bytes: `0`, `812 B`, `3.4 KiB`."""
    if size < 1024:
        return f"{size} B" if size else "0"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024 or unit == "GiB":
            break
    return f"{value:.1f} {unit}"


def make_table(records: Sequence[StepRecord]) -> Table:
    """Return a table of all steps with their time and memory."""
    return state_table(
        _HEADINGS, ((record.name, record.state, format_cells(record)) for record in records)
    )


def format_start(
    job: Job, directory: RehearsalDir, snapshot: Snapshot, resume: bool
) -> Iterator[str]:
    """Yield the lines before a rehearsal: the steps to run, and those kept when it is resumed.

    Finished steps are kept even if the code has changed since; a line reports that.
    """
    size = format_size(snapshot.size)
    yield f"{job.name}: {len(job.steps)} steps, code of {snapshot.files} files, {size}"
    if not resume:
        return
    earlier = Journal.read(directory.run(job.name) / "job.json").steps
    kept = kept_steps(job, earlier)
    rest = [step.name for step in job.steps if step.name not in kept]
    if not kept:
        yield "no finished steps of an earlier rehearsal: running all steps"
        return
    changed = any(earlier[name].snapshot != snapshot.fingerprint for name in kept)
    label = "kept, although the code has changed since" if changed else "kept"
    named = [step.name for step in job.steps if step.name in kept]
    yield f"{label}: {', '.join(named)}; to run: {', '.join(rest) or 'nothing'}"


def format_summary(result: RehearsalResult, start: Path) -> Iterator[str]:
    """Yield the lines after a rehearsal: critical path, slow start-ups, failures.

    Args:
        result: Result of the rehearsal.
        start: Folder that paths are relative to.
    """
    path = result.critical_path
    if path:
        chain = " → ".join(f"{record.name} {record.seconds:.1f}" for record in path)
        yield f"critical path, {_total(path):.1f} s: {chain}"
    done = [record for record in result.steps if record.state.is_done]
    yield f"steps together {_total(done):.1f} s, this rehearsal {result.seconds:.1f} s"
    slow = [record.name for record in done if any(over_budget(record))]
    if slow:
        budget = f"{STARTUP_BUDGET_S:.0f} s or {STARTUP_BUDGET_MB:.0f} MB"
        yield f"start-up over {budget} (!): {', '.join(slow)}"
    for record in result.failed:
        folder = os.path.relpath(record.folder, start)
        yield f"step '{record.name}' failed: {record.fault}; see its folder {folder}"
        yield from (f"    {text}" for text in record.log_tail())


def _total(records: Sequence[StepRecord]) -> float:
    return sum(record.seconds for record in records)
