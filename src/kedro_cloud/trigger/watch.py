"""Scan a location, start a run for each new file, and record how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import AzureError
from kedro.io.core import DatasetError

from kedro_cloud.trigger import protocol
from kedro_cloud.trigger.files import READY, Observer, WatchedFile
from kedro_cloud.trigger.locations import ArrivedFile, WatchedLocation
from kedro_cloud.trigger.protocol import ClaimState, Marker, Outcome
from kedro_cloud.trigger.runs import Run, Starter, end_runs

_TRANSIENT = (DatasetError, OSError, AzureError)
"""Errors of storage and Azure ML that are often transient."""
_TICK_SECONDS = 0.2
"""Seconds between two polls of the runs."""
_TAKEN_OVER = "another watcher has taken it over"


@dataclass
class Watcher:
    """Starts a run for each file of a location, once, together with all other watchers of it.

    Attributes:
        location: Location where files arrive.
        starter: Starts runs.
        attempts: Failed attempts after which a file is poison.
        max_concurrent_runs: Maximum number of concurrent runs; 0 starts and records nothing (dry
            run).
        every: Seconds between two scans; also the time for which a file must be unchanged, and the
            backoff after its first failure.
        observer: Receives all files after each scan and poll.
        identity: Identity of this watcher in markers.
        clock: Module `time`, or a replacement for tests.
    """

    location: WatchedLocation
    starter: Starter
    attempts: int
    max_concurrent_runs: int = 1
    every: float = 10
    observer: Observer = lambda files: None
    identity: str = field(default_factory=protocol.make_watcher_id)
    clock: Any = time
    _files: dict[str, WatchedFile] = field(default_factory=dict, init=False)

    @property
    def files(self) -> list[WatchedFile]:
        """All files, oldest first."""
        return list(self._files.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and the last scan left nothing to be started."""
        return not any(each.run or each.is_due or each.state == "failed" for each in self.files)

    def run(self, once: bool, signals: Sequence[int], report: Callable[[Exception], None]) -> None:
        """Scan and poll until a signal arrives, then stop what runs.

        Args:
            once: End as soon as the watcher is idle, and raise transient errors.
            signals: Received signals; the first one ends the loop.
            report: Receives transient errors of storage and Azure ML.
        """
        next_scan = self.clock.monotonic()
        try:
            while not signals:
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
            for _, run in self._running():  # the next watcher detects what is not recorded
                run.kill()

    def scan(self) -> None:
        """List the files, and start runs for those that are ready."""
        found = sorted(self.location.list_files(), key=lambda file: (file.modified, file.name))
        tags = self.location.list_tags()
        files = {file.name: self._observe(file) for file in found}
        for each, _ in self._running():  # also if the file was removed during its run
            files.setdefault(each.file.name, each)
        changed = [
            name
            for name, each in files.items()
            if each.run is None and each.tag != tags.get(name, "")
        ]
        markers = self.location.read_markers([name for name in changed if name in tags])
        for name in changed:
            files[name].marker = markers.get(name)
            files[name].tag = tags[name] if name in markers else ""
        self._files = files
        owners, running = self._find_owners(), len(self._running())
        for each in self.files:
            if each.run is None:
                self._process(each, owners, running < self.max_concurrent_runs)
                running += each.run is not None
        self._track()

    def poll(self) -> bool:
        """Record the runs that have ended, and renew the claims of the others.

        Returns:
            Whether a run has ended, so that another one can start.
        """
        running = self._running()
        for each, run in running:
            outcome = run.outcome()
            if outcome is not None:
                self._end(each, run, outcome)
            elif protocol.is_renewal_due(each.claim, self._now()):
                self._renew(each, run)
        self._track()
        return len(self._running()) < len(running)

    def stop(self) -> None:
        """End the runs of this machine, and release all files to the next watcher."""
        end_runs([run for _, run in self._running()], self.clock)
        for each, run in self._running():
            outcome = run.outcome()
            if outcome is not None and outcome.state == "done":
                self._end(each, run, outcome)
            else:
                self._write(each, protocol.release_marker(each.claim, self._now()))
                self._drop(each, "stopped", "the next watcher continues")
        self._track()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.time(), UTC)

    def _running(self) -> list[tuple[WatchedFile, Run]]:
        return [(each, each.run) for each in self.files if each.run is not None]

    def _track(self) -> None:
        """Update what is reported of the runs, and pass all to the observer."""
        for each, run in self._running():
            seconds = self.clock.monotonic() - each.started
            each.report("running", run.progress(), each.claim.attempts + 1, seconds)
        self.observer(self.files)

    def _observe(self, file: ArrivedFile) -> WatchedFile:
        """Return the record of a file, with the time since which it has not changed."""
        moment = self.clock.monotonic()
        each = self._files.get(file.name) or WatchedFile(file, moment)
        if each.file.version != file.version:
            each.seen, each.changed = moment, True
        each.file = file
        return each

    def _find_owners(self) -> dict[str, str]:
        """Return the owner of each result key: the file with a marker, else the oldest."""
        owners: dict[str, str] = {}
        for each in sorted(self.files, key=lambda each: each.marker is None):
            given_up = each.marker is not None and each.marker.state == "poison"
            if not given_up and not protocol.find_name_fault(each.file.name):
                owners.setdefault(self.starter.result_key(each.file.name), each.file.name)
        return owners

    def _process(self, each: WatchedFile, owners: dict[str, str], may_start: bool) -> None:
        """Evaluate a file without a run, and start it if it may be started."""
        each.is_due = False
        if each.marker is None and (fault := self._find_fault(each, owners)):
            each.report("refused", fault)
            return
        now, file = self._now(), each.file
        new = protocol.start_marker(file.address, file.version, now, self.identity)
        state, claim = protocol.evaluate_claim(each.marker, new, self.attempts)
        if state == "poison" and claim is not each.marker and self.max_concurrent_runs:
            self._write(each, claim)
        if state != "waiting":
            # Markers record neither duration nor results of a run, so a report of it stays.
            if state != each.state or each.seconds is None:
                each.report_marker(state, claim, now)
        elif delay := self._find_delay(each):
            each.report("waiting", delay, claim.attempts)
        elif may_start:
            self._start(each, claim)
        else:
            each.is_due = True
            each.report("waiting", READY, claim.attempts)

    def _find_fault(self, each: WatchedFile, owners: dict[str, str]) -> str | None:
        """Return why a file without a readable marker is not started; None if it may be."""
        name = each.file.name
        if fault := protocol.find_name_fault(name):
            return f"{fault}; rename it"
        if each.tag:
            return f"its marker cannot be read; remove {self.location.locate_marker(name)}"
        owner = owners.get(self.starter.result_key(name), name)
        return None if owner == name else f"its result would replace that of {owner}; rename it"

    def _find_delay(self, each: WatchedFile) -> str | None:
        """Return why a file has to wait; None if it is complete."""
        if not each.file.size:  # the Data Lake Storage API creates a file before it writes
            return "is empty"
        if self.clock.monotonic() - each.seen >= self.every or not self.location.shows_unfinished:
            return None
        # `once` waits for one more scan, but not for a file that is being written.
        each.is_due = not each.changed
        return "may be incomplete"

    def _start(self, each: WatchedFile, claim: Marker) -> None:
        """Claim a file and start its run, unless another watcher was faster."""
        if not self._write(each, claim):
            each.report("elsewhere", "another watcher was faster", claim.attempts + 1)
            return
        try:
            run = self.starter.start(each.file, claim)
        except BaseException:  # not the file's fault: release it unchanged
            self._write(each, protocol.release_marker(claim, self._now()))
            raise
        each.run, each.started = run, self.clock.monotonic()
        if run.job != claim.job:
            self._renew(each, run)

    def _write(self, each: WatchedFile, marker: Marker) -> bool:
        """Create or replace a marker; return False if another watcher was faster."""
        tag = self.location.write_marker(each.file.name, marker, each.tag)
        if tag is not None:
            each.marker, each.tag = marker, tag
        return tag is not None

    def _renew(self, each: WatchedFile, run: Run) -> None:
        """Extend a claim, or end the run if another watcher has taken the file over."""
        if not self._write(each, protocol.renew_marker(each.claim, run.job, self._now())):
            run.kill()
            self._drop(each, "elsewhere", _TAKEN_OVER)

    def _end(self, each: WatchedFile, run: Run, outcome: Outcome) -> None:
        """Record how a run ended, and drop it."""
        ended = protocol.end_marker(each.claim, outcome, self._now(), self.attempts, self.every)
        if not self._write(each, ended):
            self._drop(each, "elsewhere", _TAKEN_OVER)
            return
        if outcome.state == "done":
            run.clean_up()
        self._drop(each, "poison" if ended.state == "poison" else outcome.state, outcome.message)

    def _drop(self, each: WatchedFile, state: ClaimState, message: str) -> None:
        """Report a file that this watcher no longer owns."""
        each.run = None
        seconds = self.clock.monotonic() - each.started
        each.report(state, message, each.attempt, seconds)
