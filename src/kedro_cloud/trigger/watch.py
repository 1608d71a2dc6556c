"""Scan a location, start a run for each new file, and record how it ended."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from azure.core.exceptions import AzureError
from kedro.io.core import DatasetError

from kedro_cloud.trigger import protocol
from kedro_cloud.trigger.locations import ArrivedFile, TaggedMarker, WatchedLocation
from kedro_cloud.trigger.protocol import ClaimPolicy, ClaimState, Marker, MarkerState, WatcherId
from kedro_cloud.trigger.runs import Clock, Outcome, Run, end_runs
from kedro_cloud.trigger.start import Starter, StartRefusedError

_TRANSIENT = (DatasetError, OSError, AzureError)
"""Errors of storage and Azure ML, which often pass."""
_TICK_SECONDS = 0.2
"""Between two polls of the runs."""
_UNREAD: TaggedMarker = (None, "")
_TAKEN_OVER = "another has taken it over"


GIVEN_UP = (ClaimState.POISON, ClaimState.REFUSED)
READY = "for its turn"
"""Message of a file that waits only because others run."""


@dataclass(frozen=True)
class FileStatus:
    """A file, as a watcher reports it.

    Attributes:
        name: Of the file.
        state: What became of it.
        attempt: From 1; 0 before the first.
        seconds: Duration of the run; None if this watcher does not know it.
        message: Where the result is, why it waits or failed, or its progress.
    """

    name: str
    state: ClaimState
    attempt: int = 0
    seconds: float | None = None
    message: str = ""


Observer = Callable[[Sequence[FileStatus]], None]


@dataclass(frozen=True)
class _Active:
    """A file that this watcher has claimed, and its run."""

    file: ArrivedFile
    marker: Marker
    tag: str
    run: Run
    started: float
    renewed: float


@dataclass(frozen=True)
class _Observation:
    """Version of a file at the scans so far: since when, and whether it was another before."""

    version: str
    since: datetime
    changed: bool = False


@dataclass
class Watcher:
    """Starts a run for each file of a location, once, together with all other watchers of it.

    Attributes:
        location: Where files arrive.
        starter: Starts runs.
        policy: When claims expire and files are given up.
        max_parallel: Runs at the same time; 0 starts and records nothing.
        every: Seconds from one scan to the next; so long a file must not have changed.
        observer: Receives all files after each scan and poll.
        identity: Of this watcher in markers.
        clock: Time.
    """

    location: WatchedLocation
    starter: Starter
    policy: ClaimPolicy
    max_parallel: int = 1
    every: float = 10
    observer: Observer = lambda files: None
    identity: WatcherId = field(default_factory=WatcherId)
    clock: Clock = field(default_factory=Clock)
    _files: dict[str, FileStatus] = field(default_factory=dict, init=False)
    _active: dict[str, _Active] = field(default_factory=dict, init=False)
    _markers: dict[str, TaggedMarker] = field(default_factory=dict, init=False)
    _observations: dict[str, _Observation] = field(default_factory=dict, init=False)
    _owners: dict[str, str] = field(default_factory=dict, init=False)
    _has_more: bool = field(default=False, init=False)

    @property
    def files(self) -> list[FileStatus]:
        """All files, the oldest first."""
        return list(self._files.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and, at the last scan, nothing was left to be started."""
        return not (self._active or self._has_more)

    def run(self, once: bool, stop: StopRequest, report: Callable[[Exception], None]) -> None:
        """Scan and poll until a stop is requested, then stop what runs.

        Args:
            once: End as soon as the watcher is idle, and when storage or Azure does not answer.
            stop: Ends it in any case.
            report: Receives the error when storage or Azure does not answer.

        Raises:
            StorageError, OSError, AzureError: With `once`.
        """
        try:
            next_scan = self.clock.monotonic()
            while not stop.requested:
                try:
                    if self.clock.monotonic() >= next_scan:
                        next_scan = self.clock.monotonic() + self.every
                        self.scan()
                    if self.poll():
                        next_scan = self.clock.monotonic()
                    elif once and self.is_idle:
                        break
                except _TRANSIENT as error:
                    if once:
                        raise
                    report(error)
                    next_scan = self.clock.monotonic() + self.every
                self.clock.sleep(_TICK_SECONDS)
            self.stop()
        except _TRANSIENT:
            with suppress(*_TRANSIENT):
                self.stop()
            raise
        finally:
            for active in self._active.values():  # the next watcher detects what is not recorded
                active.run.kill()

    def scan(self) -> None:
        """List the files, and start what may be started.

        Raises:
            StorageError, OSError: The location cannot be read.
        """
        files = sorted(self.location.list_files(), key=lambda file: (file.modified, file.name))
        self._read_markers(files)
        self._observe(files)
        self._find_owners(files)
        self._has_more = False
        previous, self._files = self._files, {}
        for file in files:
            status, before = self._process(file), previous.get(file.name)
            if before and before.seconds and before.state is status.state is not ClaimState.RUNNING:
                status = before  # markers record neither duration nor results of a run
            self._files[file.name] = status
        for name in self._active.keys() - self._files.keys():  # removed during its run
            self._files[name] = self._report_active(name)
        self.observer(self.files)

    def poll(self) -> bool:
        """Record the runs that have ended, and renew the claims of the others.

        Returns:
            Whether a run has ended, so that another can start.

        Raises:
            StorageError, OSError: A marker could not be written; the next poll tries again.
        """
        before = len(self._active)
        for name, active in list(self._active.items()):
            outcome = active.run.outcome()
            if outcome is not None:
                self._files[name] = self._end(active, outcome)
            elif self.clock.monotonic() - active.renewed > self.policy.hold_seconds / 3:
                self._files[name] = self._renew(active)
            else:
                self._files[name] = self._report_active(name)
        self.observer(self.files)
        return len(self._active) < before

    def stop(self) -> None:
        """End the runs of this machine, and release all files to the next watcher."""
        end_runs([active.run for active in self._active.values()], self.clock)
        for name, active in list(self._active.items()):
            outcome = active.run.outcome()
            if outcome is not None and outcome.state is MarkerState.DONE:
                self._files[name] = self._end(active, outcome)
                continue
            self._write(name, protocol.release_marker(active.marker, self.clock.now()), active.tag)
            self._files[name] = self._drop(
                active, ClaimState.STOPPED, "goes on with the next watcher"
            )
        self.observer(self.files)

    def _read_markers(self, files: Sequence[ArrivedFile]) -> None:
        """Read the markers that are new or have changed."""
        tags = self.location.list_tags()
        names = [file.name for file in files if file.name in tags]
        self._markers = {name: self._markers[name] for name in names if name in self._markers}
        changed = [name for name in names if self._markers.get(name, _UNREAD)[1] != tags[name]]
        self._markers.update(self.location.read_markers(changed))

    def _observe(self, files: Sequence[ArrivedFile]) -> None:
        """Note which files have changed since the last scan."""
        now, before = self.clock.now(), self._observations
        self._observations = {}
        for file in files:
            seen = before.get(file.name) or _Observation(file.version, now)
            if seen.version != file.version:
                seen = _Observation(file.version, now, changed=True)
            self._observations[file.name] = seen

    def _find_owners(self, files: Sequence[ArrivedFile]) -> None:
        """Note whose each result is: of a file with a marker, else of the oldest."""
        self._owners = {}
        markers = {file.name: self._markers.get(file.name, _UNREAD)[0] for file in files}
        for name in sorted(markers, key=lambda name: markers[name] is None):
            marker = markers[name]
            given_up = marker is not None and marker.state is MarkerState.POISON
            if not given_up and not protocol.find_name_fault(name):
                self._owners.setdefault(self.starter.result_key(name), name)

    def _process(self, file: ArrivedFile) -> FileStatus:
        """Start a file if it may be started; return its status."""
        name = file.name
        if name in self._active:
            return self._report_active(name)
        marker, tag = self._markers.get(name, _UNREAD)
        if marker is None and (fault := self._find_fault(name)):
            return FileStatus(name, ClaimState.REFUSED, message=fault)
        new = protocol.start_marker(
            file.address, file.version, self.clock.now(), self.identity, self.policy
        )
        state, claim = protocol.evaluate_claim(marker, new, self.identity, self.policy)
        if state is ClaimState.POISON and claim is not marker and self.max_parallel:
            self._write(name, claim, tag)
        if state is not ClaimState.WAITING:
            self._has_more |= state is ClaimState.FAILED
            return report_marker(name, claim, state, self.clock.now())
        if delay := self._find_delay(file):
            return FileStatus(name, ClaimState.WAITING, claim.attempts, message=delay)
        self._has_more = True
        if len(self._active) >= self.max_parallel:
            return FileStatus(name, ClaimState.WAITING, claim.attempts, message=READY)
        return self._start(file, claim, tag)

    def _find_fault(self, name: str) -> str | None:
        """Return why a file without a readable marker is not started; None if it may be."""
        if fault := protocol.find_name_fault(name):
            return f"{fault}: rename it"
        if name in self._markers:
            return f"its marker cannot be read: remove {self.location.locate_marker(name)}"
        owner = self._owners.get(self.starter.result_key(name), name)
        return None if owner == name else f"its result would replace that of {owner}: rename it"

    def _find_delay(self, file: ArrivedFile) -> str | None:
        """Return why a file has to wait; None if it is complete."""
        seen = self._observations[file.name]
        unchanged = (self.clock.now() - seen.since).total_seconds() >= self.every
        delay = self.location.find_delay(file, unchanged)
        # One more scan is worth it, but not for a file that is being written.
        self._has_more |= bool(delay and file.size and not unchanged and not seen.changed)
        return delay

    def _start(self, file: ArrivedFile, marker: Marker, tag: str) -> FileStatus:
        """Claim a file and start its run, unless another watcher was faster."""
        claimed = self._write(file.name, marker, tag)
        if claimed is None:
            attempt = marker.attempts + 1
            return FileStatus(file.name, ClaimState.ELSEWHERE, attempt, message="has been taken")
        try:
            run = self.starter.start(file, marker)
        except StartRefusedError as error:
            return self._record(file.name, marker, claimed, Outcome(MarkerState.FAILED, str(error)))
        except BaseException:  # not the file's fault: leave it as if it had not been touched
            self._write(file.name, protocol.release_marker(marker, self.clock.now()), claimed)
            raise
        moment = self.clock.monotonic()
        active = _Active(file, marker, claimed, run, moment, moment)
        self._active[file.name] = active
        return self._report_active(file.name) if run.job == marker.job else self._renew(active)

    def _write(self, name: str, marker: Marker, tag: str) -> str | None:
        """Create or replace a marker; return its tag, or None if another watcher was faster."""
        written = self.location.write_marker(name, marker, tag)
        if written is not None:
            self._markers[name] = (marker, written)
        return written

    def _renew(self, active: _Active) -> FileStatus:
        """Extend a claim, or end the run if another watcher has taken the file over."""
        name, moment = active.file.name, self.clock.monotonic()
        marker = protocol.renew_marker(active.marker, self.clock.now(), self.policy)
        marker = marker.replace(job=active.run.job)
        tag = self._write(name, marker, active.tag)
        if tag is None:
            active.run.kill()
            return self._drop(active, ClaimState.ELSEWHERE, _TAKEN_OVER)
        self._active[name] = replace(active, marker=marker, tag=tag, renewed=moment)
        return self._report_active(name)

    def _end(self, active: _Active, outcome: Outcome) -> FileStatus:
        """Record how a run ended, and let go of its file."""
        recorded = self._record(active.file.name, active.marker, active.tag, outcome)
        if recorded.state is ClaimState.DONE:
            active.run.clean_up()
        return self._drop(active, recorded.state, recorded.message)

    def _record(self, name: str, marker: Marker, tag: str, outcome: Outcome) -> FileStatus:
        reason = None if outcome.state is MarkerState.DONE else outcome.message
        now = self.clock.now()
        ended = protocol.end_marker(marker, outcome.state, reason, now, self.policy)
        if self._write(name, ended, tag) is None:
            return FileStatus(name, ClaimState.ELSEWHERE, message=_TAKEN_OVER)
        self._has_more |= ended.state is MarkerState.FAILED
        attempt = marker.attempts + 1
        return FileStatus(name, ClaimState(ended.state), attempt, message=outcome.message)

    def _drop(self, active: _Active, state: ClaimState, message: str) -> FileStatus:
        """Return the status of a file that this watcher no longer owns."""
        report = self._report_active(active.file.name)
        del self._active[active.file.name]
        return replace(report, state=state, message=message)

    def _report_active(self, name: str) -> FileStatus:
        active = self._active[name]
        seconds = self.clock.monotonic() - active.started
        attempt = active.marker.attempts + 1
        return FileStatus(name, ClaimState.RUNNING, attempt, seconds, active.run.progress())


def report_marker(name: str, marker: Marker, state: ClaimState, now: datetime) -> FileStatus:
    """Return the status of a file that is not for this watcher to start."""
    attempt, message = marker.attempts, marker.reason or ""
    if state is ClaimState.ELSEWHERE:
        message = f"{marker.by.partition('/')[0].partition(':')[0]} has it"
    elif state is ClaimState.FAILED and marker.until is not None:
        message = f"again in {(marker.until - now).total_seconds():.0f} s: {message}"
    if state in (ClaimState.ELSEWHERE, ClaimState.DONE):
        attempt += 1
    return FileStatus(name, state, attempt, message=message)


def clear_markers(
    location: WatchedLocation, names: Sequence[str], identity: WatcherId, now: datetime
) -> list[str]:
    """Remove markers, so that their files are processed anew.

    A marker stays while its file is claimed, or a job may run that no watcher follows: a second run
    would write the same result.

    Returns:
        A line for each name.
    """
    markers, lines = location.read_markers(names), []
    for name in names:
        marker, _ = markers.get(name, _UNREAD)
        if marker is not None and protocol.is_claimed(marker, now, identity):
            lines.append(f"{name} is running; stop {marker.by} first")
        elif marker is not None and marker.state is MarkerState.STARTED and marker.job:
            advice = "watch until that has ended, then try again"
            lines.append(f"{name} may be running in job {marker.job}; {advice}")
        elif location.remove_marker(name):
            lines.append(f"{name} starts anew: its marker is removed")
        else:
            lines.append(f"{name} has no marker")
    return lines


class StopRequest:
    """Whether the watcher is asked to end: by Ctrl-C, a closed terminal or the service manager.

    The first signal is only noted, so that nothing is left half-written; the second interrupts.
    """

    requested = False

    def __call__(self, number: int, frame: object) -> None:
        """Handle a signal."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    @classmethod
    @contextmanager
    def handling_signals(cls) -> Generator[StopRequest]:
        """Handle signals for the duration of the block."""
        request = cls()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, request) for number in numbers}
        try:
            yield request
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
