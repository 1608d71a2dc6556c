"""Runs that process a file: what a watcher asks of a local command and of an Azure ML job."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from kedro_cloud.trigger.locations import ArrivedFile
from kedro_cloud.trigger.protocol import Marker, Outcome

GRACE_SECONDS = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0))
"""Signals that ask a command to end, and how long each may take; then it is killed."""


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
class Starter:
    """A way to start runs.

    Attributes:
        start: Starts the run of a file, given the marker of its claim, or resumes it.
        result_key: By name of a file, what its result is named after; two files with the same key
            would replace each other's result. Results of jobs lie in one folder.
    """

    start: Callable[[ArrivedFile, Marker], Run]
    result_key: Callable[[str], str] = lambda name: PurePosixPath(name).stem


def check_parameters(params: Mapping[str, Any], own: Iterable[str]) -> None:
    """Raise ValueError if a parameter that differs from file to file is set for all of them."""
    for name in own:
        if name.partition(".")[0] in params:
            raise ValueError(f"parameter '{name}' is another for each file: leave it out")


def end_runs(runs: Sequence[Run], clock: Any) -> None:
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
