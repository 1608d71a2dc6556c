"""Videos in a folder of this machine, and the markers of them."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from quartet.azure.watching.markers import FOLDER, Marker
from quartet.azure.watching.names import is_video
from quartet.azure.watching.places import Video


class Folder:
    """A folder and all below it. What is still being written waits."""

    def __init__(self, path: Path, suffixes: Sequence[str], outputs: Sequence[str] = ()) -> None:
        """Begin; nothing is looked at yet.

        Args:
            path: Of the folder.
            suffixes: Of videos.
            outputs: Folders in which results and intermediate files lie.
        """
        self._path = path.resolve()
        self.address = str(self._path)
        self._suffixes = suffixes
        self._outputs = tuple(Path(output).resolve() for output in outputs if "://" not in output)
        self.markers = FolderMarkers(self._path)

    def require(self) -> None:
        """Raise if there is no such folder, or nothing can be noted in it.

        Raises:
            ValueError: It is said which, and what to do.
        """
        if not self._path.is_dir():
            raise ValueError(f"{self._path}: no such folder; make it, or name another")
        if not os.access(self._path, os.R_OK | os.W_OK | os.X_OK):
            raise ValueError(
                f"{self._path}: this user cannot read and write it, but what was started is noted "
                f"in it ({FOLDER}); change its permissions"
            )

    def videos(self) -> list[Video]:
        """All that are there, under their names as seen from the folder."""
        return list(self._found())

    def _found(self) -> Iterator[Video]:
        for folder, below, files in os.walk(self._path, onerror=self._refuse):
            here = Path(folder)
            below[:] = [
                name
                for name in below
                if not name.startswith(".") and here / name not in self._outputs
            ]
            for file in files:
                path = here / file
                name = path.relative_to(self._path).as_posix()
                with suppress(FileNotFoundError):
                    if is_video(name, self._suffixes) and path.is_file():
                        found = path.stat()
                        version = f"{found.st_size}-{found.st_mtime_ns}"
                        yield Video(name, str(path), version, found.st_size, found.st_mtime)

    def _refuse(self, error: OSError) -> None:
        """Folders below may close or go at any moment; the one that is watched must be there."""
        if error.filename == str(self._path):
            raise error

    def unready(self, video: Video, unchanged: bool) -> str | None:
        """Why a video has to wait; None if it is there as a whole.

        Args:
            video: As it is now.
            unchanged: Whether it has been so from one look to another.
        """
        if not video.size:
            return "is empty so far"
        if not unchanged:
            return "may still be being written"
        try:
            with Path(video.address).open("rb") as file:
                return "is open for writing" if _is_being_written(file.fileno()) else None
        except OSError as error:
            return f"cannot be opened ({error.strerror})"


def _is_being_written(file: int) -> bool:
    """Whether a program of this machine has the file open for writing; no, where nobody can tell.

    An upload that has stalled looks finished else. Linux lends out a file for reading only while
    there is no writer.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    # A program that opens the file at this very moment has the holder told, by SIGIO: which kills.
    fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:  # somebody else's file, or a file system of another machine
        return False
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


class FolderMarkers:
    """Markers as files, beside the videos. A new one appears at once and whole, or not at all."""

    def __init__(self, folder: Path) -> None:
        """Begin; the markers' own folder is made with the first of them."""
        self._folder = folder / FOLDER

    def tags(self) -> dict[str, str]:
        """Tag by name of video."""
        found = {}
        for path in self._folder.rglob("*.json"):
            try:
                found[path.relative_to(self._folder).as_posix()[: -len(".json")]] = _tag(
                    path.stat()
                )
            except FileNotFoundError:
                continue
        return found

    def read(self, names: Iterable[str]) -> dict[str, tuple[Marker | None, str]]:
        """Markers, None for those that cannot be read, and their tags; less those that are gone."""
        found = {}
        for name in names:
            try:
                with self._path(name).open("rb") as file:
                    found[name] = (Marker.read(file.read()), _tag(os.fstat(file.fileno())))
            except FileNotFoundError:
                continue
        return found

    def create(self, name: str, marker: Marker) -> str | None:
        """The new marker's tag; None if there is one already."""
        with self._written(name, marker) as file:
            try:
                os.link(file, self._path(name))
            except FileExistsError:
                return None
            return _tag(file.stat())

    def replace(self, name: str, marker: Marker, tag: str) -> str | None:
        """The new tag; None if the marker is no longer the one that has `tag`."""
        with self._locked(), self._written(name, marker) as file:
            try:
                if _tag(self._path(name).stat()) != tag:
                    return None
            except FileNotFoundError:
                return None
            new = _tag(file.stat())
            file.replace(self._path(name))
            return new

    def remove(self, name: str) -> bool:
        """Whether there was one."""
        with self._locked():
            try:
                self._path(name).unlink()
            except FileNotFoundError:
                return False
            return True

    def address(self, name: str) -> str:
        """Where a marker is, for messages."""
        return str(self._path(name))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    @contextmanager
    def _written(self, name: str, marker: Marker) -> Generator[Path]:
        """A file of the marker's content, in its folder and under a name that is nobody's."""
        folder = self._path(name).parent
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False) as file:
            file.write(marker.write())
        path = Path(file.name)
        path.chmod(0o644)  # another user's watcher reads it, too
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Nobody else replaces or removes a marker meanwhile; a process that dies lets go."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _tag(found: os.stat_result) -> str:
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"
