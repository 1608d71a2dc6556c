"""A watcher whose videos are restyled by a stand-in, in this process or in one that can be killed.

The stand-in notes in one file that it began, and in another that it ended. A video whose name has
`slow` in it waits for a file; one with `bad` in it fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fsspec.asyn import sync

from quartet.azure.blobs import BlobFileSystem
from quartet.azure.watching import Commands, Container, Folder, Identity, Watcher, WatchSettings
from quartet.azure.watching.places import Place
from support import GUARD_S, ROOT, clean_environment

SUFFIXES = (".mp4", ".mov")
_WORK = """
echo "$2" >>"$1/began"
case "$2" in *bad*) echo "a line before"; echo "Error: $2: no video"; exit 1;; esac
case "$2" in *slow*) while ! [ -e "$1/go" ]; do sleep 0.02; done;; esac
echo "$2" >>"$1/ended"
"""


@dataclass
class StandIn:
    """What stands in for style_transfer, and what it has noted in its folder."""

    folder: Path

    def commands(self) -> Commands:
        def command(video: Any, folder: Path) -> list[str]:
            return ["sh", "-c", _WORK, "sh", str(self.folder), video.name]

        return Commands(command, self.folder / "work", self.folder)

    @property
    def began(self) -> Counter[str]:
        return self._noted("began")

    @property
    def ended(self) -> Counter[str]:
        return self._noted("ended")

    def let_go(self) -> None:
        """Let the slow ones end."""
        (self.folder / "go").touch()

    def _noted(self, name: str) -> Counter[str]:
        path = self.folder / name
        return Counter(path.read_text().splitlines() if path.exists() else [])


@dataclass
class Clock:
    """Time that passes when the test says so."""

    moment: datetime = datetime(2026, 11, 21, 22, 14, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def pass_seconds(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Arrivals:
    """Where a test's videos arrive: a folder, or a container of Azurite."""

    def __init__(self, blobs: BlobFileSystem | None, folder: Path) -> None:
        self.blobs, self.folder = blobs, folder
        if blobs is None:
            folder.mkdir()
            self.address = str(folder)
        else:
            for name in ("videos", "triggers"):
                blobs.mkdir(name)
            self.address = "abfs://videos"

    def clear(self) -> None:
        """Remove the containers; adlfs cannot remove blobs of any name."""
        if self.blobs is not None:
            for name in ("videos", "triggers"):
                sync(self.blobs.loop, self.blobs.service_client.delete_container, name)

    def place(self, outputs: tuple[str, ...] = ()) -> Place:
        if self.blobs is None:
            return Folder(self.folder, SUFFIXES, outputs)
        return Container(self.blobs, "videos", SUFFIXES, "triggers", outputs)

    def put(self, name: str, content: bytes = b"a video") -> None:
        if self.blobs is None:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            client = self.blobs.service_client.get_blob_client("videos", name)
            sync(self.blobs.loop, client.upload_blob, content, overwrite=True)

    def marker(self, name: str) -> dict[str, Any]:
        if self.blobs is None:
            content = (self.folder / f".started/{name}.json").read_bytes()
        else:
            content = self.blobs.cat_file(f"triggers/.started/videos/{name}.json")
        found: dict[str, Any] = json.loads(content)
        return found

    def mark(self, name: str, **fields: Any) -> None:
        """Write a marker, as another would."""
        marker = {"video": name, "attempts": 0, "since": "2026-11-21T22:14:03Z", **fields}
        content = json.dumps(marker).encode()
        if self.blobs is None:
            path = self.folder / f".started/{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            self.blobs.pipe_file(f"triggers/.started/videos/{name}.json", content)


@dataclass
class Watched:
    """A watcher of this process, with a clock of its own."""

    arrivals: Arrivals
    work: StandIn
    clock: Clock
    watcher: Watcher
    settings: WatchSettings

    @classmethod
    def of(
        cls,
        arrivals: Arrivals,
        work: StandIn,
        clock: Clock,
        outputs: tuple[str, ...] = (),
        **settings: Any,
    ) -> Watched:
        found = WatchSettings(**{"most_at_once": 8, **settings})
        watcher = Watcher(
            arrivals.place(outputs),
            work.commands(),
            found,
            lambda rows: None,
            identity=Identity(process=1),
            now=clock,
        )
        return cls(arrivals, work, clock, watcher, found)

    def look(self) -> dict[str, str]:
        """State by video after a look, before which what has arrived has had time to settle."""
        self.watcher.look()
        self.clock.pass_seconds(self.settings.every)
        self.watcher.look()
        return self.states()

    def states(self) -> dict[str, str]:
        return {row.name: str(row.state) for row in self.watcher.rows}

    def said(self, name: str) -> str:
        return next(row.said for row in self.watcher.rows if row.name == name)

    def finish(self) -> dict[str, str]:
        """State by video when nothing is left to be done."""
        self.look()
        deadline = time.monotonic() + GUARD_S
        while not self.watcher.is_settled:
            assert time.monotonic() < deadline, self.watcher.rows
            if not self.watcher.tend():
                time.sleep(0.01)
            self.clock.pass_seconds(5)
            self.watcher.look()
        return self.states()


def wait_until(holds: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + GUARD_S
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def start(arrivals: Arrivals, work: StandIn, *arguments: str) -> subprocess.Popen[str]:
    """A watcher in a process of its own, which ends when nothing is left to be done."""
    return subprocess.Popen(
        [sys.executable, __file__, arrivals.address, str(work.folder), *arguments],
        cwd=ROOT / "tests",
        env={**clean_environment(), "PYTHONPATH": str(ROOT / "tests")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def main(address: str, folder: str, most_at_once: str = "2") -> int:
    """Watch once, every 0.2 s."""
    from quartet.azure.watching import Request, table, watch

    blobs = BlobFileSystem() if "://" in address else None
    place: Place = (
        Folder(Path(address), SUFFIXES)
        if blobs is None
        else Container(blobs, "videos", SUFFIXES, "triggers")
    )
    settings = WatchSettings(most_at_once=int(most_at_once), every=0.2)
    show = table.Lines(sys.stdout)
    watcher = Watcher(place, StandIn(Path(folder)).commands(), settings, show)
    with Request.taken() as request:
        watch(watcher, settings.every, True, request, print)
    return 130 if request.made else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
