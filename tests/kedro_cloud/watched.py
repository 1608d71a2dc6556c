"""Parts for tests of the trigger: a clock, a location in memory, runs that do what a test says."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fsspec.asyn import sync

from kedro_cloud.blobs.file_system import BlobFileSystem
from kedro_cloud.trigger.locations import (
    ArrivedFile,
    BlobContainer,
    LocalFolder,
    WatchedLocation,
)
from kedro_cloud.trigger.protocol import ClaimPolicy, Marker, MarkerState, WatcherId
from kedro_cloud.trigger.runs import Clock, Outcome, Run
from kedro_cloud.trigger.start import Starter, start_command
from kedro_cloud.trigger.watch import StopRequest, Watcher

SUFFIXES = (".mp4", ".mov")
NOW = datetime(2026, 11, 21, 22, 14, tzinfo=UTC)
POLICY = ClaimPolicy()
NOBODY = 2**22 + 1
"""A PID that Linux gives to no process."""


@dataclass
class FakeClock:
    """Time that passes when a test says so."""

    moment: datetime = NOW

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def seconds(self) -> float:
        return self.moment.timestamp()

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.moment, self.seconds, self.advance)


@dataclass(frozen=True)
class MemoryLocation(WatchedLocation):
    """A container in memory."""

    suffixes: tuple[str, ...] = SUFFIXES
    outputs: tuple[str, ...] = ()
    files: dict[str, ArrivedFile] = field(default_factory=dict)
    markers: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    counter: Iterator[int] = field(default_factory=count)

    @property
    def address(self) -> str:
        return "abfs://videos"

    def put(self, name: str, size: int = 7) -> None:
        number = next(self.counter)
        self.files[name] = ArrivedFile(name, f"{self.address}/{name}", f"v{number}", size, number)

    def marker(self, name: str) -> Marker:
        found = Marker.from_bytes(self.markers[name][0])
        assert found is not None
        return found

    def mark(self, name: str, **fields: Any) -> None:
        """Write a marker as another program would."""
        fields = {"file": name, "by": "elsewhere:1:a", "since": "2026-11-21T22:14:03Z", **fields}
        self.markers[name] = (json.dumps(fields).encode(), str(next(self.counter)))

    def check(self) -> None:
        pass

    def find_delay(self, file: ArrivedFile, unchanged: bool) -> str | None:
        return None if file.size else "is empty so far"

    def list_tags(self) -> dict[str, str]:
        return {name: tag for name, (_, tag) in self.markers.items()}

    def remove_marker(self, name: str) -> bool:
        return self.markers.pop(name, None) is not None

    def locate_marker(self, name: str) -> str:
        return f"memory/{name}.json"

    def _list_files(self) -> list[ArrivedFile]:
        return list(self.files.values())

    def _read(self, name: str) -> tuple[bytes, str] | None:
        return self.markers.get(name)

    def _write(self, name: str, content: bytes, tag: str) -> str | None:
        if self.markers.get(name, (b"", ""))[1] != tag:
            return None
        self.markers[name] = (content, str(next(self.counter)))
        return self.markers[name][1]


@dataclass
class FakeRun(Run):
    """A run that ends when a test sets its result, or at once by the name of its file."""

    name: str
    job: str | None = None
    result: Outcome | None = None
    killed: bool = False
    cleaned: bool = False

    @classmethod
    def of(cls, name: str, job: str | None = None) -> FakeRun:
        """`slow`: goes on; `bad`: fails; else it is done."""
        run = cls(name, job)
        if "slow" not in name:
            failed = Outcome(MarkerState.FAILED, f"{name}: no video")
            run.result = failed if "bad" in name else Outcome(MarkerState.DONE, f"{name}.out")
        return run

    def end(self, state: MarkerState = MarkerState.DONE) -> None:
        self.result = Outcome(state, f"{self.name}: {state}")

    def outcome(self) -> Outcome | None:
        return None if self.killed else self.result

    def progress(self) -> str:
        return "40 %"

    def interrupt(self, number: Any) -> None:
        if self.job is None and self.result is None:
            self.end(MarkerState.FAILED)

    def kill(self) -> None:
        self.killed = self.job is None and self.result is None

    def clean_up(self) -> None:
        self.cleaned = True


@dataclass
class FakeStarter:
    """Starts fake runs, and keeps them."""

    jobs: bool = False
    runs: list[FakeRun] = field(default_factory=list)

    @property
    def starter(self) -> Starter:
        return Starter(self.start, lambda name: name.rpartition(".")[0])

    def start(self, file: ArrivedFile, marker: Marker) -> FakeRun:
        existing = [run for run in self.runs if marker.job is not None and run.job == marker.job]
        job = f"job-{len(self.runs)}" if self.jobs else None
        run = existing[0] if existing else FakeRun.of(file.name, job)
        if not existing:
            self.runs.append(run)
        return run

    @property
    def started(self) -> Counter[str]:
        return Counter(run.name for run in self.runs)


@dataclass
class Watched:
    """A location, what is started for its files, and a watcher of it."""

    clock: FakeClock = field(default_factory=FakeClock)
    location: Any = field(default_factory=MemoryLocation)
    work: FakeStarter = field(default_factory=FakeStarter)

    def watcher(self, host: str = "here", max_parallel: int = 8, **options: Any) -> Watcher:
        return Watcher(
            self.location,
            self.work.starter,
            POLICY,
            max_parallel,
            identity=WatcherId(host, 1),
            clock=self.clock.clock,
            **options,
        )

    def settle(self, watcher: Watcher) -> dict[str, str]:
        """Scan, wait until files count as unchanged, and scan again."""
        watcher.scan()
        self.clock.advance(watcher.every)
        watcher.scan()
        return states(watcher)

    def finish(self, watcher: Watcher | None = None) -> dict[str, str]:
        """Run a watcher, a new one if none is given, until it is idle."""
        watcher = watcher or self.watcher()
        self.settle(watcher)
        for _ in range(1000):
            if watcher.is_idle:
                return states(watcher)
            watcher.poll()
            self.clock.advance(5)
            watcher.scan()
        raise AssertionError(watcher.files)


def states(watcher: Watcher) -> dict[str, str]:
    return {file.name: str(file.state) for file in watcher.files}


def message_of(watcher: Watcher, name: str) -> str:
    return next(file.message for file in watcher.files if file.name == name)


class Arrivals:
    """A real location for a test: a folder, or a container of Azurite."""

    def __init__(self, blobs: BlobFileSystem | None, folder: Path) -> None:
        self.blobs, self.folder = blobs, folder
        self.address = str(folder) if blobs is None else "abfs://videos"
        if blobs is None:
            folder.mkdir()
        else:
            for name in ("videos", "triggers"):
                blobs.mkdir(name)

    def clear(self) -> None:
        """Remove the containers; adlfs cannot remove blobs of any name."""
        if self.blobs is not None:
            for name in ("videos", "triggers"):
                sync(self.blobs.loop, self.blobs.service_client.delete_container, name)

    def location(self, *outputs: str) -> WatchedLocation:
        if self.blobs is None:
            return LocalFolder(SUFFIXES, outputs, self.folder)
        return BlobContainer(SUFFIXES, outputs, self.blobs, "videos", "", "triggers")

    def put(self, name: str, content: bytes = b"a video") -> None:
        if self.blobs is None:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            client = self.blobs.service_client.get_blob_client("videos", name)
            sync(self.blobs.loop, client.upload_blob, content, overwrite=True)

    def marker(self, name: str) -> dict[str, Any]:
        found = self.location()._read(name)
        assert found is not None
        marker: dict[str, Any] = json.loads(found[0])
        return marker

    def mark(self, name: str, **fields: Any) -> None:
        fields = {"file": name, "by": "elsewhere:1:a", "since": "2026-11-21T22:14:03Z", **fields}
        location = self.location()
        tag = location.list_tags().get(name, "")
        assert location._write(name, json.dumps(fields).encode(), tag)


_COMMAND = """
echo "$2" >>"$1/started"
case "$2" in *bad*) echo "a line before"; echo "Error: $2: no video"; exit 1;; esac
case "$2" in *slow*) while ! [ -e "$1/go" ]; do sleep 0.02; done;; esac
echo "$2" >>"$1/ended"
"""


@dataclass(frozen=True)
class Commands:
    """Starts a shell script in place of `kedro run`, which records in a folder what it does."""

    folder: Path

    def command(self, file: ArrivedFile, work: Path) -> list[str]:
        return ["sh", "-c", _COMMAND, "sh", str(self.folder), file.name]

    @property
    def starter(self) -> Starter:
        return Starter(self.start, lambda name: name)

    def start(self, file: ArrivedFile, marker: Marker | None = None) -> Run:
        trigger: Any = SimpleNamespace(project=self.folder, variables={})
        claim: Any = marker
        return start_command(self.command, trigger, self.folder / "work", "out", file, claim)

    def recorded(self, name: str) -> Counter[str]:
        path = self.folder / name
        return Counter(path.read_text().splitlines() if path.exists() else [])


def main(address: str, folder: str) -> int:
    """Watch a folder once, for a test that kills this process."""
    location = LocalFolder(SUFFIXES, (), Path(address))
    watcher = Watcher(location, Commands(Path(folder)).starter, POLICY, 2, every=0.1)
    with StopRequest.handling_signals() as stop:
        watcher.run(True, stop, print)
    return 130 if stop.requested else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
