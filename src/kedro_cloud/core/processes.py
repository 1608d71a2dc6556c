"""Processes of this machine: whether another still lives, and how this one is asked to end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def is_alive(process: int, start: str = "") -> bool:
    """Whether a process of this machine has not ended.

    One that has ended, and that whoever started it has not looked after yet, has a number still;
    where the system does not tell of it (outside Linux), it counts as alive.

    Args:
        process: Its number.
        start: `start_ticks` of it, by which a later process with the same number is told apart.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and someone else's
    facts = _facts(process)
    return not facts or (facts[0] not in ("Z", "X") and start in ("", facts[19]))


def start_ticks(process: int) -> str:
    """When a process started, in clock ticks since the machine did; empty outside Linux."""
    facts = _facts(process)
    return facts[19] if facts else ""


def namespace() -> str:
    """Within which this process has its number, a container's or the machine's; empty elsewhere."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _facts(process: int) -> list[str]:
    """What Linux says of a process from its state on; empty where it does not."""
    try:
        # "12 (name) Z …"; a name may have parentheses in it.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let a request to terminate, or a closed terminal, end what is under way as Ctrl-C does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with _handling(stop, signal.SIGTERM, signal.SIGHUP):
        yield


@contextmanager
def note_first_signal() -> Iterator[list[int]]:
    """Yield a list that receives the first SIGINT, SIGTERM or SIGHUP; the second one interrupts.

    So nothing is left half-written when the first one arrives.
    """
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    with _handling(note, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        yield received


@contextmanager
def _handling(handler: Callable[[int, object], None], *numbers: int) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
