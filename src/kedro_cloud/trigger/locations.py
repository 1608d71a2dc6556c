"""Locations where files arrive: a folder of this machine, a container of blob storage."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from fsspec.asyn import sync

from kedro_cloud.trigger.protocol import MARKER_FOLDER, Marker, matches_suffix

if TYPE_CHECKING:
    from kedro_cloud.blobs.file_system import BlobFileSystem

_CONCURRENT_READS = 32
_Answer = TypeVar("_Answer")
TaggedMarker = tuple[Marker | None, str]
"""A marker, None if it cannot be read, and its tag: another one after each change."""


@dataclass(frozen=True)
class ArrivedFile:
    """A file as a scan found it.

    Attributes:
        name: With the folders above it, relative to the watched folder or container.
        address: URL or path that the pipeline receives.
        version: Changes with the content.
        size: In bytes.
        modified: Time of the last change, in seconds since 1970.
    """

    name: str
    address: str
    version: str
    size: int
    modified: float


@dataclass(frozen=True)
class WatchedLocation(ABC):
    """A location where files arrive, and the markers of these files.

    Attributes:
        suffixes: Of the files that count, in lower case.
        outputs: Absolute paths or URLs where runs write; what lies there does not count.
    """

    suffixes: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    @abstractmethod
    def address(self) -> str:
        """Path or URL."""

    @abstractmethod
    def check(self) -> None:
        """Raise, in one line, if files or markers cannot be read or written."""

    def list_files(self) -> list[ArrivedFile]:
        """Return the files that count: by their suffix, not hidden, and no outputs."""
        outputs = tuple(f"{output}/" for output in self.outputs)
        return [
            file
            for file in self._list_files()
            if matches_suffix(file.name, self.suffixes)
            and not f"{file.address}/".startswith(outputs)
        ]

    @abstractmethod
    def find_delay(self, file: ArrivedFile, unchanged: bool) -> str | None:
        """Return why a file has to wait; None if it is complete.

        Args:
            file: As it is now.
            unchanged: Whether it was the same at an earlier scan.
        """

    @abstractmethod
    def list_tags(self) -> dict[str, str]:
        """Return the tag of each marker, by the name of its file."""

    def read_markers(self, names: Iterable[str]) -> dict[str, TaggedMarker]:
        """Return the markers of files; those without a marker are left out."""
        wanted = list(names)
        with ThreadPoolExecutor(_CONCURRENT_READS) as pool:
            found = zip(wanted, pool.map(self._read, wanted), strict=True)
            return {name: (Marker.from_bytes(each[0]), each[1]) for name, each in found if each}

    def write_marker(self, name: str, marker: Marker, tag: str) -> str | None:
        """Create a marker if `tag` is empty, or replace the one that has this tag.

        Returns:
            The new tag; None if another watcher was faster.
        """
        content = marker.to_bytes()
        if written := self._write(name, content, tag):
            return written
        # If the answer to a request was lost, the request is sent again and meets its own marker.
        stored = self._read(name)
        return stored[1] if stored is not None and stored[0] == content else None

    @abstractmethod
    def remove_marker(self, name: str) -> bool:
        """Remove a marker; return whether there was one."""

    @abstractmethod
    def locate_marker(self, name: str) -> str:
        """Return the path or URL of a file's marker."""

    @abstractmethod
    def _list_files(self) -> Iterable[ArrivedFile]: ...

    @abstractmethod
    def _read(self, name: str) -> tuple[bytes, str] | None: ...

    @abstractmethod
    def _write(self, name: str, content: bytes, tag: str) -> str | None: ...


@dataclass(frozen=True)
class LocalFolder(WatchedLocation):
    """A folder and all folders below it. A file that is still being written waits."""

    path: Path

    @property
    def address(self) -> str:
        """Path of the folder."""
        return str(self.path)

    def check(self) -> None:
        """Check that the folder exists, and that markers can be written into it.

        Raises:
            ValueError: It does not, or they cannot.
        """
        if not self.path.is_dir():
            raise ValueError(f"{self.path}: no such folder; make it, or name another")
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise ValueError(
                f"{self.path}: this user cannot read and write it, but markers are kept in it "
                f"({MARKER_FOLDER}); change its permissions"
            )

    def find_delay(self, file: ArrivedFile, unchanged: bool) -> str | None:
        """Return why a file has to wait: it is empty, changes, or is open for writing."""
        if not file.size:
            return "is empty so far"
        if not unchanged:
            return "may still be being written"
        try:
            with Path(file.address).open("rb") as opened:
                return "is open for writing" if _has_writer(opened.fileno()) else None
        except OSError as error:
            return f"cannot be opened ({error.strerror})"

    def list_tags(self) -> dict[str, str]:
        """Return the tag of each marker, by the name of its file."""
        tags = {}
        for path in self._markers.rglob("*.json"):
            with suppress(FileNotFoundError):
                name = path.relative_to(self._markers).as_posix().removesuffix(".json")
                tags[name] = _tag(path.stat())
        return tags

    def remove_marker(self, name: str) -> bool:
        """Remove a marker; return whether there was one."""
        with self._locked():
            try:
                self._marker(name).unlink()
            except FileNotFoundError:
                return False
            return True

    def locate_marker(self, name: str) -> str:
        """Return the path of a file's marker."""
        return str(self._marker(name))

    def _list_files(self) -> Iterator[ArrivedFile]:
        for folder, below, names in os.walk(self.path, onerror=self._raise_if_gone):
            here = Path(folder)
            below[:] = [
                name
                for name in below
                if not name.startswith(".") and str(here / name) not in self.outputs
            ]
            for path in (here / name for name in names):
                with suppress(FileNotFoundError):
                    if path.is_file():
                        found, name = path.stat(), path.relative_to(self.path).as_posix()
                        version = f"{found.st_size}-{found.st_mtime_ns}"
                        yield ArrivedFile(name, str(path), version, found.st_size, found.st_mtime)

    def _raise_if_gone(self, error: OSError) -> None:
        # Folders below may be removed at any moment; the watched one must not be.
        if error.filename == str(self.path):
            raise error

    def _read(self, name: str) -> tuple[bytes, str] | None:
        try:
            with self._marker(name).open("rb") as file:
                return file.read(), _tag(os.fstat(file.fileno()))
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: bytes, tag: str) -> str | None:
        path = self._marker(name)
        with self._locked(), _temporary(path.parent, content) as new:
            written = _tag(new.stat())
            try:
                if not tag:
                    os.link(new, path)
                elif _tag(path.stat()) == tag:
                    new.replace(path)
                else:
                    return None
            except (FileExistsError, FileNotFoundError):
                return None
            return written

    @property
    def _markers(self) -> Path:
        return self.path / MARKER_FOLDER

    def _marker(self, name: str) -> Path:
        return self._markers / f"{name}.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude other writers of markers; a process that dies releases the lock."""
        self._markers.mkdir(parents=True, exist_ok=True)
        with (self._markers / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def _temporary(folder: Path, content: bytes) -> Iterator[Path]:
    """Write a file under a name that no other process uses, so that it appears complete."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False) as file:
        file.write(content)
    path = Path(file.name)
    path.chmod(0o644)  # another user's watcher reads it as well
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _tag(found: os.stat_result) -> str:
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


def _has_writer(file: int) -> bool:
    """Return whether a program of this machine has the file open for writing, if that is known.

    An upload that has stalled would look complete otherwise. Linux grants a read lease only while
    there is no writer.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    # A program that opens the file while the lease is held has the holder signalled; the usual
    # signal, SIGIO, would end this process.
    fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:  # another user's file, or a network file system
        return False
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


@dataclass(frozen=True)
class BlobContainer(WatchedLocation):
    """A container, or a folder in it. A blob appears only when all of its blocks are committed.

    Attributes:
        filesystem: Of the storage account.
        container: Name.
        folder: In the container; empty for all of it.
        markers: Container of the markers.
    """

    filesystem: BlobFileSystem
    container: str
    folder: str
    markers: str

    @property
    def address(self) -> str:
        """URL of the container or folder."""
        return f"abfs://{self.container}/{self.folder}".rstrip("/")

    def check(self) -> None:
        """Check both containers.

        Raises:
            StorageError: One does not exist, or this identity may not enter it.
        """
        self.filesystem.require(self.container)
        self.filesystem.require(self.markers)

    def find_delay(self, file: ArrivedFile, unchanged: bool) -> str | None:
        """Return why a blob has to wait: it is empty."""
        # The Data Lake Storage API creates an empty file before it writes.
        return None if file.size else "is empty so far"

    def list_tags(self) -> dict[str, str]:
        """Return the tag of each marker, by the name of its file."""
        prefix = f"{MARKER_FOLDER}/{self.container}/"
        return {
            blob.name.removeprefix(prefix).removesuffix(".json"): blob.etag.strip('"')
            for blob in self._list_blobs(self.markers, prefix)
            if blob.name.endswith(".json")
        }

    def remove_marker(self, name: str) -> bool:
        """Remove a marker; return whether there was one."""

        async def delete(blob: Any) -> bool:
            await blob.delete_blob()
            return True

        return bool(self._with_marker(name, delete))

    def locate_marker(self, name: str) -> str:
        """Return the URL of a file's marker."""
        return f"abfs://{self.markers}/{self._marker(name)}"

    def _list_files(self) -> Iterator[ArrivedFile]:
        for blob in self._list_blobs(self.container, f"{self.folder}/" if self.folder else None):
            address, version = f"abfs://{self.container}/{blob.name}", blob.etag.strip('"')
            modified = blob.last_modified.timestamp()
            yield ArrivedFile(blob.name, address, version, blob.size, modified)

    def _read(self, name: str) -> tuple[bytes, str] | None:
        async def download(blob: Any) -> tuple[bytes, str]:
            stream = await blob.download_blob()
            return await stream.readall(), stream.properties.etag.strip('"')

        return self._with_marker(name, download)

    def _write(self, name: str, content: bytes, tag: str) -> str | None:
        condition: dict[str, Any] = {"overwrite": False}
        if tag:
            unmodified = MatchConditions.IfNotModified
            condition = {"overwrite": True, "etag": f'"{tag}"', "match_condition": unmodified}

        async def upload(blob: Any) -> str:
            return str((await blob.upload_blob(content, **condition))["etag"]).strip('"')

        return self._with_marker(name, upload)

    def _marker(self, name: str) -> str:
        return f"{MARKER_FOLDER}/{self.container}/{name}.json"

    def _with_marker(
        self, name: str, action: Callable[[Any], Awaitable[_Answer]]
    ) -> _Answer | None:
        """Return the answer for a marker's blob; None if its condition does not hold."""

        async def act() -> _Answer | None:
            service = self.filesystem.service_client
            async with service.get_blob_client(self.markers, self._marker(name)) as blob:
                try:
                    return await action(blob)
                except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
                    return None

        answer: _Answer | None = sync(self.filesystem.loop, act)
        return answer

    def _list_blobs(self, container: str, prefix: str | None) -> list[Any]:
        async def list_all() -> list[Any]:
            async with self.filesystem.service_client.get_container_client(container) as client:
                return [blob async for blob in client.list_blobs(name_starts_with=prefix)]

        blobs: list[Any] = sync(self.filesystem.loop, list_all)
        return blobs
