"""Define markers and claims: watchers agree on who processes a file, and record the result.

A watcher claims a file by creating its marker. The marker of the blob `NAME` in
container `CONTAINER` is the blob `.started/CONTAINER/NAME.json` in the container that
`trigger.markers` of cloud.yml names; that of the file `NAME` in a watched folder is
`.started/NAME.json` in that folder. A marker is created only if it does not exist
(If-None-Match: *), and replaced only if it has not changed since it was read (If-Match). Its JSON
fields, of which the Logic App may omit all but the first five:

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
| started | started | its watcher stopped, but its job continues: the claim expires at once |
| started | done, failed | the run ended |
| started | poison | the run failed for the last time, or too many owners vanished |
| started | stopped | its watcher stopped without a job; a person cancelled the job (with `job`) |
| failed | started | the backoff is over, or the file changed: then attempts start at 0 |
| poison | started | the file changed |
| stopped | started | a watcher claims the file; not if the job was cancelled |
| any, unless claimed or started with a job | no marker | `--again`: the file is processed again |
"""

from __future__ import annotations

import os
import socket
import unicodedata
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from kedro_cloud.core import processes

MARKER_FOLDER = ".started"
"""Folder of the markers, in the watched folder or in the container of markers."""
HOLD_SECONDS = 120.0
"""Duration of a claim, which is renewed after a third of it. If the machine of a watcher fails, its
files wait until the claim expires."""
MAX_INTERRUPTIONS = 5
"""Number of vanished owners after which the file is considered the cause and is poison."""
MAX_NAME_BYTES = 900
"""Blob storage allows 1024 characters, of which the name of the marker needs some."""
_FORBIDDEN = {
    "'": "an apostrophe",
    '"': "a quotation mark",
    "\\": "a backslash",
    "${": "${, which configuration would look up",
}
_INVISIBLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, surrogates, line and paragraph separators."""

MarkerState = Literal["started", "done", "failed", "poison", "stopped"]
"""State of a file, as its marker records it."""
ClaimState = Literal[
    "running", "failed", "poison", "refused", "elsewhere", "waiting", "stopped", "done"
]
"""State of a file, as a watcher reports it, the most urgent first. Running: claimed by this
watcher; failed: may be claimed after the backoff; poison: no further attempts; refused: not started
because of its name, its marker or the name of its result; elsewhere: claimed by another owner."""


class Outcome(NamedTuple):
    """How a run ended (stopped: a person cancelled it), and its results or the reason."""

    state: Literal["done", "failed", "stopped"]
    message: str


_Time = Annotated[
    AwareDatetime, PlainSerializer(lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"), str)
]


class Marker(BaseModel):
    """Content of a marker; the docstring of the module describes its fields."""

    model_config = ConfigDict(frozen=True, extra="allow")

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
        return self.model_dump_json(indent=1).encode()

    def replace(self, **changes: Any) -> Marker:
        """Return a copy with other values for some fields."""
        return self.model_copy(update=changes)


def make_watcher_id() -> str:
    """Return the identity of a watcher in this process: `HOST:PROCESS:TOKEN`.

    HOST includes the PID namespace, as several containers may share a host name.
    """
    host = f"{socket.gethostname()}/{processes.namespace().strip('pid:[]')}"
    return f"{host}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


def is_dead(owner: str, watcher: str) -> bool:
    """Return whether a marker's owner was a process of the watcher's machine that has ended."""
    host, _, rest = owner.partition(":")
    process = rest.partition(":")[0]
    own_host, own_process, _ = watcher.split(":")
    if host != own_host or not process.isdigit() or owner == watcher:
        return False
    # A restarted container has the host name and the PID of the previous one.
    return process == own_process or not processes.is_alive(int(process))


def is_claimed(marker: Marker, now: datetime, watcher: str) -> bool:
    """Return whether an owner is processing the file, according to the marker and processes."""
    if marker.state != "started" or is_dead(marker.by, watcher):
        return False
    return marker.until is None or marker.until > now


def evaluate_claim(marker: Marker | None, new: Marker, attempts: int) -> tuple[ClaimState, Marker]:
    """Return the state of a file, and its marker, a new one if one has to be written.

    That is so if the file may be claimed (waiting) or has just become poison. A file that is done
    stays done, even if it is overwritten. A failed file that has changed since starts again: it was
    incomplete, or was repaired.

    Args:
        marker: Marker of the file; None if it does not exist.
        new: Marker of a first claim by this watcher, with the present version of the file.
        attempts: Failed attempts after which a file is poison.
    """
    if marker is None or (
        marker.state in ("failed", "poison") and marker.version not in (None, new.version)
    ):
        return "waiting", new
    if state := _find_obstacle(marker, new, attempts):
        return state, marker
    started = marker.state == "started"
    claim = new.replace(
        attempts=marker.attempts,
        # A job continues without its watcher, so it was not interrupted.
        interruptions=marker.interruptions + (started and marker.job is None),
        job=marker.job if started else None,
        series=marker.series or new.series,
    )
    if claim.interruptions < MAX_INTERRUPTIONS:
        return "waiting", claim
    reason = f"its watcher vanished without a result {claim.interruptions} times"
    return "poison", claim.replace(state="poison", until=None, reason=reason)


def _find_obstacle(marker: Marker, new: Marker, attempts: int) -> ClaimState | None:
    """Return the state in which a file cannot be claimed; None if it can be."""
    if is_claimed(marker, new.since, new.by):
        return "elsewhere"
    if marker.state == "done" or (marker.state == "stopped" and marker.job is not None):
        return marker.state
    if marker.state == "poison" or marker.attempts >= attempts:
        return "poison"
    resting = marker.state == "failed" and marker.until is not None and marker.until > new.since
    return "failed" if resting else None


def start_marker(file: str, version: str, now: datetime, watcher: str) -> Marker:
    """Return the marker of a first claim."""
    series = uuid.uuid4().hex[:12]
    marker = Marker(
        file=file, state="started", by=watcher, since=now, version=version, series=series
    )
    return renew_marker(marker, None, now)


def renew_marker(marker: Marker, job: str | None, now: datetime) -> Marker:
    """Return the marker of a claim that is extended, with the job that processes the file."""
    return marker.replace(job=job, until=now + timedelta(seconds=HOLD_SECONDS))


def is_renewal_due(marker: Marker, now: datetime) -> bool:
    """Return whether a third of the duration of a claim is over."""
    return marker.until is None or marker.until - now < timedelta(seconds=HOLD_SECONDS * 2 / 3)


def release_marker(marker: Marker, now: datetime) -> Marker:
    """Return the marker that leaves a file, and its job if it has one, to the next watcher."""
    return marker.replace(state="started" if marker.job else "stopped", since=now, until=now)


def end_marker(
    marker: Marker, outcome: Outcome, now: datetime, attempts: int, backoff_seconds: float
) -> Marker:
    """Return the marker of a run that has ended.

    Args:
        marker: Marker of the claim.
        outcome: Outcome of the run; a failure is poison after the last attempt.
        now: Current time, UTC.
        attempts: Failed attempts after which a file is poison.
        backoff_seconds: Backoff after the first failure; it triples after each further one.
    """
    state, message = outcome
    reason = None if state == "done" else message
    ended = marker.replace(state=state, since=now, until=None, reason=reason)
    if state != "failed":
        return ended
    ended = ended.replace(attempts=marker.attempts + 1, job=None)
    if ended.attempts >= attempts:
        return ended.replace(state="poison")
    # A fault of the machine, such as a full disk, may be transient: wait longer each time.
    return ended.replace(until=now + timedelta(seconds=backoff_seconds * 3**marker.attempts))


def matches_suffix(name: str, suffixes: Collection[str]) -> bool:
    """Return whether a file has one of the suffixes, in any case, and its path is not hidden.

    Args:
        name: Path of the file, relative to its location.
        suffixes: Suffixes in lower case, with a dot.
    """
    hidden = any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
    return name.lower().endswith(tuple(suffixes)) and not hidden


def find_name_fault(name: str) -> str | None:
    """Return why no run is started for a file of this name; None if the name is valid.

    On Azure ML, names are inserted between apostrophes into a shell command, and in all runs into
    Kedro's configuration, which interpolates `${`. Uploaded files must not allow code injection.
    """
    for text, description in _FORBIDDEN.items():
        if text in name:
            return f"its name has {description}"
    if any(unicodedata.category(character) in _INVISIBLE for character in name):
        return "its name has a control character, or is not UTF-8"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "a folder in its name is empty, . or .."
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"its name has more than {MAX_NAME_BYTES} bytes"
    return None
