"""Start commands in their own sessions, measure their memory, and end all their processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from kedro_cloud.jobs.timing import high_water_mib

_POLL_INTERVAL_S = 0.3
"""Interval between measurements of memory."""
_GRACE_S = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""Signals to end a command, each with a timeout in seconds."""


class CommandProcess:
    """A command in its own session, with its output in a file."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        """Start the command.

        Args:
            command: Program and arguments.
            folder: Working directory.
            environment: Complete environment.
            log: File for stdout and stderr.
        """
        self.peak_mib = 0.0
        self._started = self._polled = time.monotonic()
        self._ended: float | None = None
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def seconds(self) -> float:
        """Return the duration from its start to its end, or until now."""
        return (self._ended or time.monotonic()) - self._started

    def exit_code(self) -> int | None:
        """Return the exit code: None while it runs, negative after a signal. Measure its memory."""
        code = self._process.poll()
        now = time.monotonic()
        if code is not None:
            self._ended = self._ended or now
        elif now > self._polled + _POLL_INTERVAL_S:
            self._polled = now
            peaks = [high_water_mib(str(each.pid)) or 0.0 for each in self._session()]
            self.peak_mib = max([self.peak_mib, *peaks])
        return code

    def is_over(self) -> bool:
        """Return whether all its processes have ended."""
        return self._process.poll() is not None and not self._session()

    def send_signal(self, number: int) -> None:
        """Send a signal to all its processes; SIGKILL ends them as the end of a container does."""
        for process in self._session():
            with suppress(psutil.Error):
                process.send_signal(number)

    def _session(self) -> list[psutil.Process]:
        """Return its living processes, those in the background included."""
        found = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                own = os.getsid(process.pid) == self._process.pid
                if own and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def end_commands(commands: Sequence[CommandProcess]) -> None:
    """End commands with all their processes; Ctrl-C sends the next stronger signal at once."""
    for number, timeout in _GRACE_S:
        with suppress(KeyboardInterrupt):
            for each in commands:
                each.send_signal(number)
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                if all(each.is_over() for each in commands):
                    return
                time.sleep(0.05)


def end_leftovers(variable: str, prefix: str) -> None:
    """Kill the processes of an interrupted rehearsal, which have a variable with this prefix."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(variable, "").startswith(prefix):
                process.kill()
