"""Define the interface of runs that process a file: local commands and Azure ML jobs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from kedro_cloud.trigger.locations import ArrivedFile
from kedro_cloud.trigger.protocol import Marker, Outcome

_GRACE_SECONDS = 10.0
"""Time that commands have to end after an interrupt."""


class Run(ABC):
    """A run that processes one file."""

    job: str | None
    """Name of the Azure ML job, which continues without its watcher; None for a command."""

    @abstractmethod
    def outcome(self) -> Outcome | None:
        """Return how it ended; None while it runs."""

    @abstractmethod
    def progress(self) -> str:
        """Return its progress; empty if it is not known."""

    def interrupt(self) -> None:  # noqa: B027
        """Ask it to end; a job continues."""

    def kill(self) -> None:  # noqa: B027
        """Kill its processes on this machine."""

    def clean_up(self) -> None:  # noqa: B027
        """Remove the files that were kept for another attempt."""


@dataclass(frozen=True)
class Starter:
    """A way to start runs.

    Attributes:
        start: Starts or resumes the run of a file, given the marker of its claim.
        result_key: Returns the key of a file's result, from the name of the file. Files with the
            same key would overwrite each other's result. Results of jobs share one folder.
    """

    start: Callable[[ArrivedFile, Marker], Run]
    result_key: Callable[[str], str] = lambda name: PurePosixPath(name).stem


def check_parameters(params: Mapping[str, Any], own: Iterable[str]) -> None:
    """Raise ValueError if a parameter that differs from file to file is set for all files."""
    for name in own:
        if name.partition(".")[0] in params:
            raise ValueError(f"--params: '{name}' differs from file to file; leave it out")


def end_runs(runs: Sequence[Run], clock: Any) -> None:
    """Interrupt runs, then kill those that do not end; kill at once if Ctrl-C is pressed again."""
    deadline = clock.monotonic() + _GRACE_SECONDS
    try:
        for run in runs:
            run.interrupt()
        while any(run.job is None and run.outcome() is None for run in runs):
            if clock.monotonic() > deadline:
                break
            clock.sleep(0.05)
    except KeyboardInterrupt:
        return
    finally:
        for run in runs:
            run.kill()
