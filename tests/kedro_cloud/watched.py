"""Test doubles for the trigger: a clock, a location in memory, runs and commands."""

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
from kedro_cloud.core.processes import note_first_signal
from kedro_cloud.trigger.commands import CommandRun, start_command
from kedro_cloud.trigger.locations import (
    ArrivedFile,
    BlobContainer,
    LocalFolder,
    WatchedLocation,
)
from kedro_cloud.trigger.protocol import Marker, Outcome
from kedro_cloud.trigger.runs import Run, Starter
from kedro_cloud.trigger.watch import Watcher

SUFFIXES = (".mp4", ".mov")
NOW = datetime(2026, 11, 21, 22, 14, tzinfo=UTC)
ATTEMPTS = 3
NOBODY = 2**22 + 1
"""A PID that Linux gives to no process."""
_tokens = count()


def watcher_id(host: str, process: int = 1) -> str:
    return f"{host}:{process}:{next(_tokens)}"


@dataclass
class FakeClock:
    """Replacement of the module `time` whose time passes in `sleep`."""

    moment: datetime = NOW

    def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def time(self) -> float:
        return self.moment.timestamp()

    monotonic = time


class MemoryLocation(WatchedLocation):
    """A container in memory."""

    shows_unfinished = False

    def __init__(self) -> None:
        super().__init__("abfs://videos", SUFFIXES, (), "memory", "abfs://videos")
        self.files: dict[str, ArrivedFile] = {}
        self.stored: dict[str, tuple[bytes, str]] = {}
        self.counter = count()

    def put(self, name: str, size: int = 7) -> None:
        number = next(self.counter)
        self.files[name] = ArrivedFile(name, f"{self.address}/{name}", f"v{number}", size, number)

    def marker(self, name: str) -> Marker:
        found = Marker.from_bytes(self.stored[self.locate_marker(name)][0])
        assert found is not None
        return found

    def mark(self, name: str, **fields: Any) -> None:
        """Write a marker as another program does."""
        fields = {"file": name, "by": "elsewhere:1:a", "since": "2026-11-21T22:14:03Z", **fields}
        content = json.dumps(fields).encode()
        self.stored[self.locate_marker(name)] = (content, str(next(self.counter)))

    def remove_marker(self, name: str) -> None:
        del self.stored[self.locate_marker(name)]

    def _list(self, folder: str, root: str) -> Iterator[ArrivedFile]:
        if folder == self.address:
            yield from self.files.values()
            return
        for path, (content, tag) in self.stored.items():
            yield ArrivedFile(path.removeprefix(f"{root}/"), path, tag, len(content), 0)

    def _read(self, path: str) -> bytes | None:
        return self.stored[path][0] if path in self.stored else None

    def _write(self, path: str, content: bytes, tag: str) -> str | None:
        if self.stored.get(path, (b"", ""))[1] != tag:
            return None
        self.stored[path] = (content, str(next(self.counter)))
        return self.stored[path][1]


@dataclass
class FakeRun(Run):
    """A run that depends on the name of its file: `slow` continues, `bad` fails, others are done.

    A test can end a slow one.
    """

    name: str
    job: str | None = None
    result: Outcome | None = None
    killed: bool = False
    cleaned: bool = False

    def __post_init__(self) -> None:
        if "bad" in self.name:
            self.result = Outcome("failed", f"{self.name}: no video")
        elif "slow" not in self.name:
            self.result = Outcome("done", f"{self.name}.out")

    def end(self, state: Any = "done") -> None:
        self.result = Outcome(state, f"{self.name}: {state}")

    def outcome(self) -> Outcome | None:
        return None if self.killed else self.result

    def progress(self) -> str:
        return "40 %"

    def interrupt(self) -> None:
        if self.job is None and self.result is None:
            self.end("failed")

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
        for run in self.runs:
            if run.job == marker.job is not None:
                return run
        self.runs.append(FakeRun(file.name, f"job-{len(self.runs)}" if self.jobs else None))
        return self.runs[-1]

    @property
    def started(self) -> Counter[str]:
        return Counter(run.name for run in self.runs)


@dataclass
class Watched:
    """A location, the runs of its files, and a clock for its watchers."""

    clock: FakeClock = field(default_factory=FakeClock)
    location: Any = field(default_factory=MemoryLocation)
    work: FakeStarter = field(default_factory=FakeStarter)

    def watcher(self, host: str = "here", max_concurrent_runs: int = 8, **options: Any) -> Watcher:
        return Watcher(
            self.location,
            self.work.starter,
            ATTEMPTS,
            max_concurrent_runs,
            identity=watcher_id(host),
            clock=self.clock,
            **options,
        )

    def settle(self, watcher: Watcher) -> dict[str, str]:
        """Scan, wait until files count as unchanged, and scan again."""
        watcher.scan()
        self.clock.sleep(watcher.every)
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
            self.clock.sleep(5)
            watcher.scan()
        raise AssertionError(watcher.files)


def states(watcher: Watcher) -> dict[str, str]:
    return {file.file.name: str(file.state) for file in watcher.files}


def message_of(watcher: Watcher, name: str) -> str:
    return next(file.message for file in watcher.files if file.file.name == name)


class Arrivals:
    """A real location: a folder, or a container of Azurite."""

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
            return LocalFolder(self.address, SUFFIXES, outputs)
        return BlobContainer(self.address, SUFFIXES, outputs, self.blobs, "triggers")

    def put(self, name: str, content: bytes = b"a video") -> None:
        if self.blobs is None:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            client = self.blobs.service_client.get_blob_client("videos", name)
            sync(self.blobs.loop, client.upload_blob, content, overwrite=True)

    def marker(self, name: str) -> dict[str, Any]:
        location = self.location()
        found = location._read(location.locate_marker(name))
        assert found is not None
        marker: dict[str, Any] = json.loads(found)
        return marker


_COMMAND = """
echo "$2" >>"$1/started"
case "$2" in *bad*) echo "a line before"; echo "Error: $2: no video"; exit 1;; esac
case "$2" in *slow*) while ! [ -e "$1/go" ]; do sleep 0.02; done;; esac
echo "$2" >>"$1/ended"
"""


@dataclass(frozen=True)
class Commands:
    """Starts a shell script instead of `kedro run`; it records its starts and ends in a folder."""

    folder: Path

    def command(self, file: ArrivedFile, work: Path) -> list[str]:
        return ["sh", "-c", _COMMAND, "sh", str(self.folder), file.name]

    @property
    def starter(self) -> Starter:
        return Starter(self.start, lambda name: name)

    def start(self, file: ArrivedFile, marker: Marker | None = None) -> CommandRun:
        trigger: Any = SimpleNamespace(project=self.folder, variables={})
        work = self.folder / "work" / file.name
        work.mkdir(parents=True, exist_ok=True)
        return start_command(self.command(file, work), trigger, work, "out")

    def recorded(self, name: str) -> Counter[str]:
        path = self.folder / name
        return Counter(path.read_text().splitlines() if path.exists() else [])


def main(address: str, folder: str) -> int:
    """Watch a folder once, for a test that kills this process."""
    location = LocalFolder(address, SUFFIXES, ())
    watcher = Watcher(location, Commands(Path(folder)).starter, ATTEMPTS, 2, every=0.1)
    with note_first_signal() as signals:
        watcher.run(True, signals, print)
    return 130 if signals else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
