"""Start commands in their own sessions, measure their memory, and end all their processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kedro_cloud.jobs.timing import high_water_mib

_PROC = Path("/proc")
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
            peaks = [high_water_mib(str(each)) or 0.0 for each in _session(self._process.pid)]
            self.peak_mib = max([self.peak_mib, *peaks])
        return code

    def is_over(self) -> bool:
        """Return whether all its processes have ended."""
        self._process.poll()
        return not _session(self.session) and self._process.returncode is not None

    def end_rest(self) -> None:
        """Kill its background processes, as the end of a container does."""
        _signal(self.session, signal.SIGKILL)

    @property
    def session(self) -> int:
        """Return its session ID, which all its processes share."""
        return self._process.pid


def end_commands(commands: Sequence[CommandProcess]) -> None:
    """End commands with all their processes; Ctrl-C sends the next stronger signal at once."""
    for sign, timeout in _GRACE_S:
        with suppress(KeyboardInterrupt):
            for each in commands:
                _signal(each.session, sign)
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                if all(each.is_over() for each in commands):
                    return
                time.sleep(0.05)


def end_leftovers(marker: str) -> int:
    """Kill the processes that an interrupted rehearsal left; return their number.

    Args:
        marker: Prefix of an entry in their environment, `NAME=value…`.
    """
    found = 0
    for pid in set(_all_processes()) - {os.getpid()}:
        with suppress(OSError):
            entries = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
            if any(entry.startswith(marker.encode()) for entry in entries):
                os.kill(pid, signal.SIGKILL)
                found += 1
    return found


def _signal(session: int, sign: signal.Signals) -> None:
    """Send a signal to all processes of a session."""
    for pid in _session(session):
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
    if not _PROC.is_dir():  # without /proc, signal the process group
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, sign)


def _session(session: int) -> list[int]:
    """Return the IDs of the living processes of a session; none without /proc."""
    found = []
    for pid in _all_processes():
        with suppress(OSError):
            # "12 (name) S 1 GROUP SESSION …"; a name may contain spaces and parentheses.
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(pid)
    return found


def _all_processes() -> Iterator[int]:
    if _PROC.is_dir():
        yield from (int(path.name) for path in _PROC.iterdir() if path.name.isdigit())
