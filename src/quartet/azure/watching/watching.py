"""Watches until nothing is left to be done, or for ever."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from azure.core.exceptions import AzureError
from kedro.io.core import DatasetError

from quartet.azure.watching.watcher import Watcher
from quartet.messages import describe

_PASSING = (DatasetError, OSError, AzureError)
"""What storage and Azure ML fail with, often for a while only."""
_TICK_S = 0.2
"""Between looks at what is under way."""


class Request:
    """Whether somebody has asked for an end: by Ctrl-C, a closed terminal, or a system that stops.

    The first time is noted only, so that nothing is left half-written; the second interrupts.
    """

    made = False

    def __call__(self, number: int, frame: object) -> None:
        """Take a signal."""
        if self.made:
            raise KeyboardInterrupt
        self.made = True

    @classmethod
    @contextmanager
    def taken(cls) -> Generator[Request]:
        """One that takes the signals for as long as the block lasts."""
        request = cls()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, request) for number in numbers}
        try:
            yield request
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def watch(
    watcher: Watcher, every: float, once: bool, request: Request, tell: Callable[[str], None]
) -> None:
    """Look, and tend what is under way, until nothing is left to be done, or for ever.

    Args:
        watcher: Of a place.
        every: Seconds from one look to the next; when a video has ended there is one at once.
        once: End when nothing is left.
        request: Ends it in any case.
        tell: Gets a line when storage or Azure does not answer.

    Raises:
        StorageError, OSError, AzureError: Likewise, if it is once only.
    """
    try:
        _go_on(watcher, every, once, request, tell)
    except _PASSING:
        with suppress(*_PASSING):
            watcher.stop()
        raise
    else:
        watcher.stop()
    finally:
        watcher.kill()


def _go_on(
    watcher: Watcher, every: float, once: bool, request: Request, tell: Callable[[str], None]
) -> None:
    looks_at, told = time.monotonic(), ""
    while not request.made:
        try:
            if time.monotonic() >= looks_at:
                looks_at = time.monotonic() + every
                watcher.look()
            if watcher.tend():
                looks_at = time.monotonic()
            elif once and watcher.is_settled:
                return
        except _PASSING as error:
            if once:
                raise
            if (line := _line(error)) != told:
                tell(line)
            told = line
            looks_at = time.monotonic() + every
        time.sleep(_TICK_S)


def _line(error: Exception) -> str:
    from quartet.azure import faults  # half a second, for what seldom comes

    return faults.explain(error) or describe(error)
