"""Who has a video: what may be started, and what is somebody else's."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path

from quartet.azure.watching.markers import Marker, State
from quartet.azure.watching.places import Place, Video
from quartet.processes import is_alive


class Verdict(Enum):
    """What to do with a video."""

    FREE = auto()
    """May be started."""
    RESTS = auto()
    """Has failed, and will be free after a while."""
    HELD = auto()
    """Somebody has it."""
    OVER = auto()
    """Is done, or poison."""


@dataclass(frozen=True)
class Identity:
    """A watcher, as markers name it: `HOST:PROCESS:TOKEN`.

    Attributes:
        host: Name of this machine, and where there are several on one, as containers are, which.
        process: Number of this process.
        token: Told from all other watchers by it.
    """

    host: str = field(default_factory=lambda: f"{socket.gethostname()}{_processes_of()}")
    process: int = field(default_factory=os.getpid)
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __str__(self) -> str:
        return f"{self.host}:{self.process}:{self.token}"

    def knows_dead(self, by: str) -> bool:
        """Whether a marker's holder was a process of this machine that is no more."""
        host, _, rest = by.partition(":")
        process, _, token = rest.partition(":")
        if host != self.host or not process.isdigit() or token == self.token:
            return False
        # A container that begins anew has the name and the number of the one before it.
        return int(process) == self.process or not is_alive(int(process))


def _processes_of() -> str:
    """Which processes a number is one of: containers may have a name in common, but count anew."""
    try:
        return "/" + Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return ""


@dataclass(frozen=True)
class Judgement:
    """What to do with a video, and what its last marker leaves to the next one.

    Attributes:
        verdict: What to do.
        attempts: How often it has failed.
        interruptions: How often whoever had it went away without a word.
        job: That may be under way for it already.
        series: Of attempts; None where a new one begins.
    """

    verdict: Verdict
    attempts: int = 0
    interruptions: int = 0
    job: str | None = None
    series: str | None = None


def judge(video: Video, marker: Marker | None, now: datetime, me: Identity) -> Judgement:
    """What to do with a video that is there as a whole.

    A video that is done stays done, whatever is written under its name. One that failed and has
    changed since had not been whole, or was mended: it begins anew. What a watcher that ended has
    left is gone on with; a job that somebody cancelled was meant to end.

    Args:
        video: As it is now.
        marker: Of the video, if there is one.
        now: In UTC.
        me: The watcher that asks.
    """
    if marker is None:
        return Judgement(Verdict.FREE)
    if marker.state is State.STARTED:
        return _judge_started(marker, now, me)
    if marker.state is State.STOPPED and marker.job is not None:
        return Judgement(Verdict.OVER)
    failed = marker.state in (State.FAILED, State.POISON)
    if failed and marker.version is not None and marker.version != video.version:
        return Judgement(Verdict.FREE)
    if marker.state in (State.DONE, State.POISON):
        return Judgement(Verdict.OVER)
    rests = failed and marker.until is not None and marker.until > now
    verdict = Verdict.RESTS if rests else Verdict.FREE
    return Judgement(verdict, marker.attempts, marker.interruptions, series=marker.series)


def is_held(marker: Marker, now: datetime, me: Identity) -> bool:
    """Whether somebody is at work on a video, as far as its marker and this machine can tell."""
    expired = marker.until is not None and marker.until <= now
    return marker.state is State.STARTED and not (expired or me.knows_dead(marker.by))


def _judge_started(marker: Marker, now: datetime, me: Identity) -> Judgement:
    if is_held(marker, now, me):
        return Judgement(Verdict.HELD)
    # A job goes on whether it is watched or not.
    lost = marker.interruptions + (marker.job is None)
    return Judgement(Verdict.FREE, marker.attempts, lost, marker.job, marker.series)


def forget(place: Place, names: Sequence[str]) -> list[str]:
    """Remove markers, so that their videos are started anew.

    Those stay by whose word somebody is at work, or a job may be that nobody watches: a second one
    would write the same result.

    Returns:
        A line for each name.
    """
    now, me = datetime.now(UTC), Identity()
    known = place.markers.read(names)
    told = []
    for name in names:
        marker, _ = known.get(name, (None, ""))
        if marker is not None and is_held(marker, now, me):
            told.append(f"{name} is under way; stop {marker.by} first")
        elif marker is not None and marker.state is State.STARTED and marker.job is not None:
            told.append(
                f"{name} may be under way in job {marker.job}; watch until that has ended, and "
                "forget it then"
            )
        elif place.markers.remove(name):
            told.append(f"{name} is forgotten, and started anew")
        else:
            told.append(f"nothing is known of {name}")
    return told
