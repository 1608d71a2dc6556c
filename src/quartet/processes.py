"""Processes of this machine: whether another still lives, and how this one is asked to end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_alive(process: int) -> bool:
    """Whether a process of this machine has not ended.

    One that has ended, and that whoever started it has not looked after yet, has a number still;
    where the system does not tell of it (outside Linux), it counts as alive.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and someone else's
    try:
        # "12 (name) Z …"; a name may have parentheses in it.
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state not in ("Z", "X")


@contextmanager
def ended_as_by_hand() -> Iterator[None]:
    """Let a request to terminate, or a closed terminal, end what is under way as Ctrl-C does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
