"""Commands as process groups of their own: started, watched and ended with all they start."""

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
_LOOK_EVERY_S = 0.3
"""How often memory is looked at."""
_GRACE_S = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""How a command is asked to end, ever more firmly, and how long each time."""


class Running:
    """A command in a session of its own, with its output in a file."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        """Start it.

        Args:
            command: Program and arguments.
            folder: Where it works.
            environment: All of its environment.
            log: Gets what it prints.
        """
        self.peak_mib = 0.0
        self._started = self._looked = time.monotonic()
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
        """Time since its start, until its end."""
        return (self._ended or time.monotonic()) - self._started

    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it. Notes how much memory it holds."""
        code = self._process.poll()
        now = time.monotonic()
        if code is not None:
            self._ended = self._ended or now
        elif now > self._looked + _LOOK_EVERY_S:
            self._looked = now
            peaks = [high_water_mib(str(each)) or 0.0 for each in _session(self._process.pid)]
            self.peak_mib = max([self.peak_mib, *peaks])
        return code

    def is_over(self) -> bool:
        """Whether it and all that it started have ended."""
        self._process.poll()
        return not _session(self.session) and self._process.returncode is not None

    def end_rest(self) -> None:
        """End what it has left running in the background, as a container that goes does."""
        _signal(self.session, signal.SIGKILL)

    @property
    def session(self) -> int:
        """Number of its session, which all that it starts belongs to."""
        return self._process.pid


def end(running: Sequence[Running]) -> None:
    """End commands and all that they started; gently first, at once if Ctrl-C comes again."""
    for sign, patience in _GRACE_S:
        with suppress(KeyboardInterrupt):
            for each in running:
                _signal(each.session, sign)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if all(each.is_over() for each in running):
                    return
                time.sleep(0.05)


def end_leftovers(marker: str) -> int:
    """End processes that an interrupted rehearsal left behind; returns how many there were.

    Args:
        marker: Beginning of an entry of their environment, `NAME=value…`.
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
    if not _PROC.is_dir():  # where processes cannot be listed, the group must do
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, sign)


def _session(session: int) -> list[int]:
    """Numbers of the living processes of a session; none where they cannot be listed."""
    found = []
    for pid in _all_processes():
        with suppress(OSError):
            # "12 (name) S 1 GROUP SESSION …", and a name may hold blanks and brackets.
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(pid)
    return found


def _all_processes() -> Iterator[int]:
    if _PROC.is_dir():
        yield from (int(path.name) for path in _PROC.iterdir() if path.name.isdigit())
