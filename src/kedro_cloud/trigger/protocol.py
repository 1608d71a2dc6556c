"""Markers and claims: how watchers agree on who processes a file, and record the result.

Whoever creates the marker of a file has claimed the file. The marker of the blob `NAME` in
container `CONTAINER` is the blob `.started/CONTAINER/NAME.json` in the container that
`trigger.markers` of cloud.yml names; that of the file `NAME` in a watched folder is
`.started/NAME.json` in that folder. A marker is created only if there is none (If-None-Match: *),
and replaced only if it has not changed since it was read (If-Match). Its JSON fields, of which the
Logic App may omit all but the first five:

| field | |
|---|---|
| `file` | address of the file, `abfs://CONTAINER/NAME` or a path |
| `state` | see below |
| `attempts` | number of failed attempts |
| `by` | owner: `HOST:PROCESS:TOKEN` of a watcher, `logic-app:RUN` |
| `since` | start of this state, UTC, as `2026-11-21T22:14:03Z` |
| `until` | started: end of the claim, which is renewed; null: no end. failed: end of the backoff |
| `job` | name of the Azure ML job, or null |
| `reason` | why the last attempt failed, in one line, or null |
| `version` | of the file that was tried: the ETag of a blob; or null |
| `interruptions` | number of owners that vanished without recording a result |
| `series` | random, the same for all attempts; a new one once the marker was removed; or null |

Marker states and transitions:

| from | to | when |
|---|---|---|
| no marker | started | a watcher claims the file |
| started | started | its owner renews it; another takes over an expired or orphaned one |
| started | done, failed | the run ended |
| started | poison | the run failed for the last time, or too many owners vanished |
| started | stopped | the watcher stopped, or a person cancelled the job (then with `job`) |
| failed | started | the backoff is over, or the file changed: then attempts start at 0 |
| poison | started | the file changed |
| stopped | started | a watcher claims the file; not if the job was cancelled |
| any but claimed | no marker | `--again`: the file is processed anew |
"""

from __future__ import annotations

import os
import socket
import unicodedata
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

MARKER_FOLDER = ".started"
"""Folder of the markers, in the watched folder or in the container of markers."""
MAX_NAME_BYTES = 900
"""Blob storage takes 1024 characters, of which the name of the marker needs some."""
_QUOTES = {"'": "an apostrophe", '"': "a quotation mark", "\\": "a backslash"}
_INVISIBLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, surrogates, line and paragraph separators."""


class MarkerState(StrEnum):
    """State of a file, as its marker records it."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    POISON = "poison"
    STOPPED = "stopped"


_Time = Annotated[
    datetime,
    AfterValidator(lambda time: time if time.tzinfo else time.replace(tzinfo=UTC)),
    PlainSerializer(lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"), str),
]


class Marker(BaseModel):
    """Content of a marker; the module describes its fields."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    file: str
    state: MarkerState
    attempts: int = Field(default=0, ge=0)
    by: str
    since: _Time
    until: _Time | None = None
    job: str | None = None
    reason: str | None = None
    version: str | None = None
    interruptions: int = Field(default=0, ge=0)
    series: str | None = None

    @classmethod
    def from_bytes(cls, content: bytes) -> Marker | None:
        """Read a marker; return None if the content is not one."""
        try:
            return cls.model_validate_json(content)
        except ValidationError:
            return None

    def to_bytes(self) -> bytes:
        """Return the content of the marker's file or blob."""
        return self.model_dump_json(indent=1, by_alias=True).encode()

    def replace(self, **changes: Any) -> Marker:
        """Return a copy with other values for some fields."""
        return self.model_copy(update=changes)


@dataclass(frozen=True)
class ClaimPolicy:
    """When claims expire, and when a file is given up.

    Attributes:
        attempts: Failed attempts after which a file is poison.
        interruptions: Owners that may vanish before a file counts as the cause and is poison.
        hold_seconds: Duration of a claim. It is renewed three times as often; so long a file waits
            whose watcher's machine is gone.
        backoff_seconds: Rest after the first failure; each further one is three times as long.
    """

    attempts: int = 3
    interruptions: int = 5
    hold_seconds: float = 120
    backoff_seconds: float = 10


@dataclass(frozen=True)
class WatcherId:
    """Identity of a watcher in markers: `HOST:PROCESS:TOKEN`.

    Attributes:
        host: Machine, and its PID namespace: several containers may share a host name.
        process: PID.
        token: Random, unique among watchers.
    """

    host: str = field(default_factory=lambda: f"{socket.gethostname()}{_pid_namespace()}")
    process: int = field(default_factory=os.getpid)
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __str__(self) -> str:
        return f"{self.host}:{self.process}:{self.token}"

    def is_dead(self, owner: str) -> bool:
        """Return whether a marker's owner was a process of this machine that has ended."""
        host, _, rest = owner.partition(":")
        process, _, token = rest.partition(":")
        if host != self.host or not process.isdigit() or token == self.token:
            return False
        # A container that restarts has the host name and the PID of the one before it.
        return int(process) == self.process or not _is_alive(int(process))


def _pid_namespace() -> str:
    try:
        return "/" + Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return ""


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and another user's
    try:  # "12 (name) Z …"; a name may contain parentheses
        status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return status not in ("Z", "X")


class ClaimState(StrEnum):
    """State of a file, as a watcher evaluates and reports it."""

    WAITING = "waiting"
    """May be claimed now or later."""
    RUNNING = "running"
    """Claimed by this watcher."""
    ELSEWHERE = "elsewhere"
    """Claimed by another owner."""
    DONE = "done"
    FAILED = "failed"
    """May be claimed after a rest."""
    STOPPED = "stopped"
    """Its job was cancelled, or its watcher has just released it."""
    POISON = "poison"
    """Given up."""
    REFUSED = "refused"
    """Its name, its marker or the name of its result permits no run."""


def evaluate_claim(
    marker: Marker | None, new: Marker, watcher: WatcherId, policy: ClaimPolicy
) -> tuple[ClaimState, Marker]:
    """Return the state of a file, and its marker: WAITING or new POISON, the one to write.

    A file that is done stays done, even if it is overwritten. One that failed and has changed since
    starts anew: it was incomplete, or was repaired.

    Args:
        marker: Of the file, if there is one.
        new: Marker of a first claim, with the version of the file now.
        watcher: Who asks.
        policy: When a file is given up.
    """
    if marker is None or _is_replaced(marker, new):
        return ClaimState.WAITING, new
    if is_claimed(marker, new.since, watcher):
        return ClaimState.ELSEWHERE, marker
    if final := _final_state(marker, policy):
        return final, marker
    started, failed = (marker.state is each for each in (MarkerState.STARTED, MarkerState.FAILED))
    if failed and marker.until is not None and marker.until > new.since:
        return ClaimState.FAILED, marker
    interrupted = started and marker.job is None  # a job goes on without its watcher
    claim = new.replace(
        attempts=marker.attempts,
        interruptions=marker.interruptions + interrupted,
        job=marker.job if started else None,
        series=marker.series or new.series,
    )
    if claim.interruptions < policy.interruptions:
        return ClaimState.WAITING, claim
    reason = f"its watcher vanished without a result {claim.interruptions} times"
    poison = claim.replace(state=MarkerState.POISON, until=None, reason=reason)
    return ClaimState.POISON, poison


def _is_replaced(marker: Marker, new: Marker) -> bool:
    """Return whether a file failed and has changed since."""
    failed = marker.state in (MarkerState.FAILED, MarkerState.POISON)
    return failed and marker.version not in (None, new.version)


def _final_state(marker: Marker, policy: ClaimPolicy) -> ClaimState | None:
    """Return the state after which no attempt is made; None if one may be."""
    cancelled = marker.state is MarkerState.STOPPED and marker.job is not None
    if cancelled or marker.state in (MarkerState.DONE, MarkerState.POISON):
        return ClaimState(marker.state)
    return ClaimState.POISON if marker.attempts >= policy.attempts else None


def is_claimed(marker: Marker, now: datetime, watcher: WatcherId) -> bool:
    """Return whether an owner processes the file, as far as marker and machine can tell."""
    if marker.state is not MarkerState.STARTED or watcher.is_dead(marker.by):
        return False
    return marker.until is None or marker.until > now


def start_marker(
    file: str, version: str, now: datetime, watcher: WatcherId, policy: ClaimPolicy
) -> Marker:
    """Return the marker of a first claim."""
    return Marker(
        file=file,
        state=MarkerState.STARTED,
        by=str(watcher),
        since=now,
        until=now + timedelta(seconds=policy.hold_seconds),
        version=version,
        series=uuid.uuid4().hex[:12],
    )


def renew_marker(marker: Marker, now: datetime, policy: ClaimPolicy) -> Marker:
    """Return the marker of a claim that is extended."""
    return marker.replace(until=now + timedelta(seconds=policy.hold_seconds))


def release_marker(marker: Marker, now: datetime) -> Marker:
    """Return the marker that leaves a file, and its job if it has one, to the next watcher."""
    state = MarkerState.STOPPED if marker.job is None else MarkerState.STARTED
    return marker.replace(state=state, since=now, until=now)


def end_marker(
    marker: Marker, state: MarkerState, reason: str | None, now: datetime, policy: ClaimPolicy
) -> Marker:
    """Return the marker of a run that has ended.

    Args:
        marker: Of the claim.
        state: DONE; FAILED, which becomes POISON after the last attempt; STOPPED: job cancelled.
        reason: Why it failed or was cancelled; one line.
        now: Current time, UTC.
        policy: Number of attempts, and backoff.
    """
    ended = marker.replace(state=state, since=now, until=None, reason=reason)
    if state is not MarkerState.FAILED:
        return ended
    ended = ended.replace(attempts=marker.attempts + 1, job=None)
    if ended.attempts >= policy.attempts:
        return ended.replace(state=MarkerState.POISON)
    # A fault of the machine, such as a full disk, may pass: wait longer each time.
    rest = timedelta(seconds=policy.backoff_seconds * 3**marker.attempts)
    return ended.replace(until=now + rest)


def matches_suffix(name: str, suffixes: Collection[str]) -> bool:
    """Return whether a file counts: by its suffix in any case, and no part of its name hidden.

    Args:
        name: With the folders above it.
        suffixes: In lower case, each with its dot.
    """
    hidden = any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
    return name.lower().endswith(tuple(suffixes)) and not hidden


def find_name_fault(name: str) -> str | None:
    """Return why no run is started for a file of this name; None for an acceptable one.

    On Azure ML a name is put between apostrophes into a shell command, and everywhere into Kedro's
    configuration, where `${` is interpolated. Whoever uploads files must control neither.
    """
    for character, description in _QUOTES.items():
        if character in name:
            return f"its name has {description}"
    if any(unicodedata.category(character) in _INVISIBLE for character in name):
        return "its name has a control character, or is not UTF-8"
    if "${" in name:
        return "its name has ${, which configuration would look up"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "a folder in its name is empty, . or .."
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"its name has more than {MAX_NAME_BYTES} bytes"
    return None
