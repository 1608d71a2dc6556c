"""Define locations where files arrive: a local folder, or a container of blob storage."""

from __future__ import annotations

import fcntl
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

from kedro_cloud.trigger.protocol import MARKER_FOLDER, Marker, matches_suffix

if TYPE_CHECKING:
    from kedro_cloud.blobs.file_system import BlobFileSystem

_CONCURRENT_READS = 32
_SUFFIX = ".json"
_SCHEME = "abfs://"


@dataclass(frozen=True)
class ArrivedFile:
    """A file as a scan found it.

    Attributes:
        name: Path relative to the watched folder or container.
        address: URL or path that the pipeline receives.
        version: Changes whenever the file is written or replaced.
        size: Size in bytes.
        modified: Time of the last change, in seconds since 1970.
    """

    name: str
    address: str
    version: str
    size: int
    modified: float


@dataclass
class WatchedLocation(ABC):
    """A location where files arrive, and the markers of these files.

    Attributes:
        address: Path or URL.
        suffixes: Suffixes of the files to process, in lower case.
        outputs: Absolute paths or URLs where runs write; files there are not processed.
        markers: Path or URL of the markers.
        root: Path or URL that the names of files are relative to.
    """

    shows_unfinished: ClassVar[bool]
    """Whether files are listed while they are being written."""

    address: str
    suffixes: tuple[str, ...]
    outputs: tuple[str, ...]
    markers: str
    root: str

    def list_files(self) -> list[ArrivedFile]:
        """Return the files to process: with one of the suffixes, not hidden, not outputs."""
        outputs = tuple(f"{output}/" for output in self.outputs)
        return [
            file
            for file in self._list(self.address, self.root)
            if matches_suffix(file.name, self.suffixes)
            and not f"{file.address}/".startswith(outputs)
        ]

    def locate_marker(self, name: str) -> str:
        """Return the path or URL of a file's marker."""
        return f"{self.markers}/{name}{_SUFFIX}"

    def list_tags(self) -> dict[str, str]:
        """Return the version of each marker, by the name of its file."""
        return {
            each.name.removesuffix(_SUFFIX): each.version
            for each in self._list(self.markers, self.markers)
            if each.name.endswith(_SUFFIX)
        }

    def read_markers(self, names: list[str]) -> dict[str, Marker | None]:
        """Return markers by file: None if a marker is not readable, no entry if it is missing."""
        with ThreadPoolExecutor(_CONCURRENT_READS) as pool:
            contents = zip(names, pool.map(self._read, map(self.locate_marker, names)), strict=True)
            return {name: Marker.from_bytes(each) for name, each in contents if each is not None}

    def write_marker(self, name: str, marker: Marker, tag: str) -> str | None:
        """Create a marker if `tag` is empty, or replace the one that has this tag.

        Returns:
            The new tag; None if another watcher was faster.
        """
        return self._write(self.locate_marker(name), marker.to_bytes(), tag)

    @abstractmethod
    def remove_marker(self, name: str) -> None:
        """Remove the marker of a file, if it has one."""

    @abstractmethod
    def _list(self, folder: str, root: str) -> Iterator[ArrivedFile]: ...

    @abstractmethod
    def _read(self, path: str) -> bytes | None: ...

    @abstractmethod
    def _write(self, path: str, content: bytes, tag: str) -> str | None: ...


class LocalFolder(WatchedLocation):
    """A local folder with its subfolders; files wait until they no longer change."""

    shows_unfinished = True

    def __init__(self, path: str, suffixes: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__(path, suffixes, outputs, f"{path}/{MARKER_FOLDER}", path)

    def remove_marker(self, name: str) -> None:
        """Remove the marker of a file, if it has one."""
        Path(self.locate_marker(name)).unlink(missing_ok=True)

    def _list(self, folder: str, root: str) -> Iterator[ArrivedFile]:
        def raise_if_gone(error: OSError) -> None:
            # Subfolders may be removed at any moment, but not the watched folder.
            if error.filename == self.address:
                raise error

        for parent, folders, names in os.walk(folder, onerror=raise_if_gone):
            folders[:] = [each for each in folders if not each.startswith(".")]
            for path in (f"{parent}/{name}" for name in names):
                with suppress(OSError):  # removed in the meantime, or a broken link
                    found = Path(path).stat()
                    if stat.S_ISREG(found.st_mode):
                        name, version = path.removeprefix(f"{root}/"), _version(found)
                        yield ArrivedFile(name, path, version, found.st_size, found.st_mtime)

    def _read(self, path: str) -> bytes | None:
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, path: str, content: bytes, tag: str) -> str | None:
        target, new = Path(path), Path(self.markers, ".new")
        target.parent.mkdir(parents=True, exist_ok=True)
        with Path(self.markers, ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it if the process dies
            if tag != (_version(target.stat()) if target.exists() else ""):
                return None
            new.unlink(missing_ok=True)  # left by a watcher that was killed while writing
            new.write_bytes(content)
            new.chmod(0o644)  # watchers of other users read it as well
            new.replace(target)
            return _version(target.stat())


def _version(found: os.stat_result) -> str:
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


class BlobContainer(WatchedLocation):
    """A container of blob storage, or a folder in it: `abfs://CONTAINER/FOLDER`.

    A blob appears when all its blocks are committed. Markers are stored in another container.
    """

    shows_unfinished = False

    def __init__(
        self,
        address: str,
        suffixes: tuple[str, ...],
        outputs: tuple[str, ...],
        filesystem: BlobFileSystem,
        marker_container: str,
    ) -> None:
        container = address.removeprefix(_SCHEME).partition("/")[0]
        markers = f"{_SCHEME}{marker_container}/{MARKER_FOLDER}/{container}"
        super().__init__(address, suffixes, outputs, markers, f"{_SCHEME}{container}")
        self._filesystem = filesystem

    def remove_marker(self, name: str) -> None:
        """Remove the marker of a file, if it has one."""
        with suppress(FileNotFoundError):
            self._filesystem.rm_file(self.locate_marker(name))

    def _list(self, folder: str, root: str) -> Iterator[ArrivedFile]:
        blobs = self._filesystem.find(folder, detail=True)
        if isinstance(blobs, list):  # the path is a blob, not a folder
            return
        for path, found in blobs.items():
            address, modified = f"{_SCHEME}{path}", found["last_modified"].timestamp()
            name = address.removeprefix(f"{root}/")
            yield ArrivedFile(name, address, _etag(found), found["size"], modified)

    def _read(self, path: str) -> bytes | None:
        try:
            content: bytes = self._filesystem.cat_file(path)
        except FileNotFoundError:
            return None
        return content

    def _write(self, path: str, content: bytes, tag: str) -> str | None:
        condition: dict[str, Any] = {"overwrite": False}
        if tag:
            unmodified = MatchConditions.IfNotModified
            condition = {"overwrite": True, "etag": f'"{tag}"', "match_condition": unmodified}
        try:
            return _etag(self._filesystem.pipe_file(path, content, **condition))
        except (FileExistsError, ResourceModifiedError, ResourceNotFoundError):
            # If a response is lost, the retry finds the marker that the first request wrote.
            with suppress(FileNotFoundError):
                stored = _etag(self._filesystem.info(path))
                return stored if self._read(path) == content else None
            return None


def _etag(found: Mapping[str, Any]) -> str:
    return str(found["etag"]).strip('"')
