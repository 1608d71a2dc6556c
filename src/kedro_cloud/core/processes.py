"""Check whether processes on this machine are alive, and handle signals of this one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def is_alive(process: int, start: str = "") -> bool:
    """Return whether a process on this machine is alive.

    On Linux zombies count as ended; elsewhere they count as alive.

    Args:
        process: Process ID.
        start: Its `start_ticks`, to detect a later process with the same ID; "" skips that check.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and owned by another user
    fields = _stat_fields(process)
    return not fields or (fields[0] not in ("Z", "X") and start in ("", fields[19]))


def start_ticks(process: int) -> str:
    """Return the start time of a process in clock ticks since boot; empty outside Linux."""
    fields = _stat_fields(process)
    return fields[19] if fields else ""


def namespace() -> str:
    """Return the PID namespace of this process, which differs by container; empty elsewhere."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _stat_fields(process: int) -> list[str]:
    """Return the fields of `/proc/PID/stat` from the state on; empty outside Linux."""
    try:
        # "12 (name) Z …"; a name may contain parentheses.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM and SIGHUP, as on Ctrl-C."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with _handle_signals(stop, signal.SIGTERM, signal.SIGHUP):
        yield


@contextmanager
def note_first_signal() -> Iterator[list[int]]:
    """Yield a list that receives the first SIGINT, SIGTERM or SIGHUP; the second one interrupts.

    The caller can thus finish writing before it ends.
    """
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    with _handle_signals(note, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        yield received


@contextmanager
def _handle_signals(handler: Callable[[int, object], None], *numbers: int) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
