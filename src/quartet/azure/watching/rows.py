"""What people are shown of a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from quartet.azure.watching.claims import Verdict
from quartet.azure.watching.markers import Marker, State


class Shown(StrEnum):
    """What a row says of a video."""

    WAITING = "waiting"
    RUNNING = "running"
    ELSEWHERE = "elsewhere"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    POISON = "poison"
    REFUSED = "refused"


READY = "for its turn"
"""What is said of a video that nothing but others keeps waiting."""
LEFT_ALONE = (Shown.POISON, Shown.REFUSED)


@dataclass(frozen=True)
class Row:
    """A video, for people.

    Attributes:
        name: Of the video.
        state: What is going on with it.
        attempt: The how-manieth, from 1; 0 before the first.
        seconds: That it has been under way, or took; None if not known here.
        said: Where the result is, why it waits or failed, how far it is.
    """

    name: str
    state: Shown
    attempt: int = 0
    seconds: float | None = None
    said: str = ""

    @property
    def is_under_way(self) -> bool:
        """Whether it is being restyled by this watcher."""
        return self.state is Shown.RUNNING


Observer = Callable[[Sequence[Row]], None]


def row_of(name: str, marker: Marker, verdict: Verdict, now: datetime) -> Row:
    """The row of a video that is not for this watcher to start, by its marker."""
    match verdict:
        case Verdict.HELD:
            by = marker.by.partition("/")[0].partition(":")[0]
            return Row(name, Shown.ELSEWHERE, marker.attempts + 1, said=f"{by} has it")
        case Verdict.RESTS:
            assert marker.until is not None
            wait = (marker.until - now).total_seconds()
            said = f"again in {wait:.0f} s: {marker.reason or ''}"
            return Row(name, Shown.FAILED, marker.attempts, said=said)
    shown = _OVER.get(marker.state, Shown.POISON)
    return Row(name, shown, marker.attempts + (shown is Shown.DONE), said=marker.reason or "")


_OVER = {State.DONE: Shown.DONE, State.STOPPED: Shown.STOPPED}
