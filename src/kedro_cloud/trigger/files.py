"""Files as a watcher reports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from kedro_cloud.trigger import protocol
from kedro_cloud.trigger.locations import ArrivedFile, WatchedLocation
from kedro_cloud.trigger.protocol import ClaimState, Marker
from kedro_cloud.trigger.runs import Run

READY = "for a free slot"
"""Message of a file that waits only because `max_concurrent_runs` runs are active."""


@dataclass
class WatchedFile:
    """A file of the location, and its run if this watcher has claimed it.

    Attributes:
        file: The file as the last scan found it.
        seen: Time of the first scan that found this version.
        changed: Whether an earlier scan found another version.
        state: State that is reported.
        message: Reported text: where the result is, why the file waits or failed, or the progress.
        attempt: Reported number of the attempt, from 1; 0 before the first.
        seconds: Reported duration of the run; None if this watcher did not start it.
        is_due: Whether the next scan may start it.
        marker: Marker as last read or written; None if it does not exist or cannot be read.
        tag: Tag of the marker; empty if it does not exist.
        run: Run that processes the file.
        started: Time at which the run started.
    """

    file: ArrivedFile
    seen: float = 0
    changed: bool = False
    state: ClaimState = "waiting"
    message: str = ""
    attempt: int = 0
    seconds: float | None = None
    is_due: bool = False
    marker: Marker | None = None
    tag: str = ""
    run: Run | None = None
    started: float = 0

    def report(
        self, state: ClaimState, message: str, attempt: int = 0, seconds: float | None = None
    ) -> None:
        """Set the state that is reported."""
        self.state, self.message, self.attempt, self.seconds = state, message, attempt, seconds

    def report_marker(self, state: ClaimState, marker: Marker, now: datetime) -> None:
        """Report a file that this watcher must not start."""
        message, attempt = marker.reason or "", marker.attempts
        if state == "elsewhere":
            message = f"claimed by {marker.by.partition('/')[0].partition(':')[0]}"
        elif state == "failed" and marker.until is not None:
            message = f"again in {(marker.until - now).total_seconds():.0f} s: {message}"
        # The marker counts failed attempts only, not the one that runs or has succeeded.
        self.report(state, message, attempt + (state in ("elsewhere", "done")))

    @property
    def claim(self) -> Marker:
        """Marker of a file that this watcher has claimed."""
        assert self.marker is not None
        return self.marker


Observer = Callable[[Sequence[WatchedFile]], None]


def clear_markers(
    location: WatchedLocation, names: Sequence[str], watcher: str, now: datetime
) -> Iterator[str]:
    """Remove markers, so that their files are processed again; yield a line for each name.

    A marker is kept while its file is claimed, or while a job without a watcher may be running: a
    second run would write the same result.
    """
    markers = location.read_markers(list(names))
    for name in names:
        marker = markers.get(name)
        if name not in markers:
            yield f"{name}: no marker"
        elif marker is not None and protocol.is_claimed(marker, now, watcher):
            yield f"{name}: claimed by {marker.by}; stop it first"
        elif marker is not None and marker.state == "started" and marker.job:
            yield f"{name}: job {marker.job} may be running; watch until it has ended, then retry"
        else:
            location.remove_marker(name)
            yield f"{name}: marker removed; the file is processed again"
