"""Runs that process a file: a command of this machine, a job of Azure ML."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError

from kedro_cloud.trigger.protocol import MarkerState

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

GRACE_SECONDS = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0))
"""Signals that ask a command to end, and how long each may take; then it is killed."""
_LOG_TAIL = 1 << 16
"""Bytes at the end of a log that are searched."""
_MAX_REASON = 400
_COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_PERCENT = re.compile(r"(\d+)%\|")
_GONE = "Gone"
_JOB_STATES = {"Completed": MarkerState.DONE, "Canceled": MarkerState.STOPPED} | dict.fromkeys(
    ("Failed", "NotResponding", _GONE), MarkerState.FAILED
)
"""Marker state by status of a job that has ended."""


@dataclass(frozen=True)
class Clock:
    """Time, as watcher and runs see it.

    Attributes:
        now: Current time, UTC, which watchers of all machines share.
        monotonic: Seconds that no change of the system time affects.
        sleep: Wait for so many seconds.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: DONE, FAILED, or STOPPED: a person cancelled it.
        message: Where the results are, or why there are none; one line.
    """

    state: MarkerState
    message: str


class Run(ABC):
    """A run that processes one file."""

    job: str | None
    """Name of the Azure ML job, which goes on without its watcher; None for a command."""

    @abstractmethod
    def outcome(self) -> Outcome | None:
        """Return how it ended; None while it runs."""

    @abstractmethod
    def progress(self) -> str:
        """Return its progress, or nothing."""

    def interrupt(self, number: signal.Signals) -> None:  # noqa: B027
        """Ask it to end; a job goes on."""

    def kill(self) -> None:  # noqa: B027
        """Leave nothing of it running on this machine."""

    def clean_up(self) -> None:  # noqa: B027
        """Remove what was kept for another attempt."""


@dataclass(frozen=True)
class CommandRun(Run):
    """A command of this machine, in a process group of its own.

    Attributes:
        work: Folder of its log and working files.
        process: None if it completed earlier.
        summary: File in the folder that lists the results.
    """

    work: Path
    process: subprocess.Popen[bytes] | None
    summary: str | None = None
    job = None

    def outcome(self) -> Outcome | None:
        """Return how it ended; None while it runs."""
        code = 0 if self.process is None else self.process.poll()
        if code is None:
            return None
        self.kill()
        if code == 0:
            return Outcome(MarkerState.DONE, ", ".join(self._results()))
        return Outcome(MarkerState.FAILED, f"{self._find_reason(code)} (log: {self._log})")

    def progress(self) -> str:
        """Return the state of its last progress bar."""
        percents = _PERCENT.findall("\n".join(_read_tail(self._log)))
        return f"{percents[-1]} %" if percents else ""

    def interrupt(self, number: signal.Signals) -> None:
        """Signal its process group."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill what is left of its process group."""
        if self.process is None or self.process.stdin is None or self.process.stdin.closed:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.stdin.close()
        self.process.wait()

    def clean_up(self) -> None:
        """Remove its working files."""
        shutil.rmtree(self.work, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self.work / "log.txt"

    def _results(self) -> list[str]:
        if self.summary is None:
            return []
        try:
            summary = json.loads((self.work / self.summary).read_text())
            return [str(place) for place in summary["places"]]
        except (OSError, ValueError, KeyError):
            return []

    def _find_reason(self, code: int) -> str:
        number = -code if code < 0 else code - 128  # sh: 128 and the number of the signal
        if number in set(signal.Signals):
            name = signal.Signals(number).name
            memory = ", as Linux does when memory runs out" if name == "SIGKILL" else ""
            return f"ended by {name}{memory}"
        lines = [line for line in _read_tail(self._log) if line]
        errors = [line for line in lines if line.startswith("Error: ")]
        reason = (errors or lines or [f"exit code {code}"])[-1].removeprefix("Error: ").rstrip(".")
        return reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}…"


def _read_tail(log: Path) -> list[str]:
    """Return the last lines of a log without colours; each redraw of a progress bar is a line."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in re.split(r"[\r\n]+", _COLOUR.sub("", text))]


@dataclass(frozen=True)
class JobService:
    """Jobs of a workspace.

    Attributes:
        client: Of the workspace.
        every: Seconds from one query of a job's status to the next.
        clock: For these intervals.
    """

    client: MLClient
    every: float
    clock: Clock = Clock()


@dataclass
class JobRun(Run):
    """A job of Azure ML; it goes on when its watcher ends."""

    service: JobService
    job: str
    _status: str = field(default="", init=False)
    _queried: float | None = field(default=None, init=False)

    def outcome(self) -> Outcome | None:
        """Return how it ended; None while it runs."""
        now = self.service.clock.monotonic()
        if self._status not in _JOB_STATES and (
            self._queried is None or now - self._queried >= self.service.every
        ):
            self._queried = now
            try:
                status = self.service.client.jobs.get(self.job).status
                self._status = str(getattr(status, "value", status))  # some jobs have an enum
            except ResourceNotFoundError:
                self._status = _GONE
        state = _JOB_STATES.get(self._status)
        if state is None:
            return None
        reason = "" if state is MarkerState.DONE else f" ended as {self._status}"
        return Outcome(state, f"job {self.job}{reason}")

    def progress(self) -> str:
        """Return name and status of the job."""
        return f"job {self.job} {self._status.lower()}".strip()


def end_runs(runs: Sequence[Run], clock: Clock) -> None:
    """End runs, gently at first; at once if Ctrl-C is pressed again."""
    try:
        for number, seconds in GRACE_SECONDS:
            for run in runs:
                run.interrupt(number)
            deadline = clock.monotonic() + seconds
            while clock.monotonic() < deadline:
                if all(run.job is not None or run.outcome() is not None for run in runs):
                    return
                clock.sleep(0.05)
    except KeyboardInterrupt:
        return
    finally:
        for run in runs:
            run.kill()
