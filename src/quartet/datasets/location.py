"""Locations of datasets on file systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import fsspec
from fsspec.core import strip_protocol
from kedro.io.core import get_protocol_and_path


@dataclass(frozen=True)
class Location:
    """A path on a file system, local or remote."""

    filesystem: fsspec.AbstractFileSystem
    path: str

    @classmethod
    def from_filepath(
        cls,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
    ) -> Location:
        """Create a location from a catalog entry.

        Args:
            filepath: Local path or any fsspec URL. Missing local folders are created on writing.
            credentials: Passed to the fsspec file system.
            fs_args: Passed to the fsspec file system.
        """
        protocol, path = get_protocol_and_path(filepath)
        if protocol in ("http", "https"):
            path = filepath  # this file system expects complete URLs
        defaults = {"auto_mkdir": True} if protocol == "file" else {}
        options = {**defaults, **(credentials or {}), **(fs_args or {})}
        return cls(fsspec.filesystem(protocol, **options), path)

    @property
    def protocol(self) -> str:
        """The URL scheme; `file` for local paths."""
        protocol = self.filesystem.protocol
        return str(protocol if isinstance(protocol, str) else protocol[0])

    @property
    def is_local(self) -> bool:
        """Whether the path is on the local file system."""
        return self.protocol == "file"

    def read(self) -> bytes:
        """Return the content of the file."""
        with self.filesystem.open(self.path, "rb") as file:
            content: bytes = file.read()
        return content

    def write(self, content: bytes) -> None:
        """Replace the file."""
        with self.filesystem.open(self.path, "wb") as file:
            file.write(content)

    def join(self, name: str) -> Location:
        """Return the location of a file or folder below this folder."""
        return replace(self, path=f"{self.path.rstrip('/')}/{name}")

    @property
    def parent(self) -> Location:
        """The folder of this file or folder."""
        return replace(self, path=str(PurePosixPath(self.path).parent))

    def list_entries(self) -> list[dict[str, Any]]:
        """Return the entries of the folder as fsspec does, sorted; none without the folder.

        Links have the type of what they refer to: caches of models and data consist of them.
        """
        self.filesystem.invalidate_cache()
        if not self.filesystem.isdir(self.path):
            return []
        entries = map(self._follow_link, self.filesystem.ls(self.path, detail=True))
        return sorted(entries, key=lambda each: each["name"])

    def _follow_link(self, entry: dict[str, Any]) -> dict[str, Any]:
        if entry.get("islink") and self.filesystem.exists(entry["name"]):
            return dict(self.filesystem.info(entry["name"]))
        return entry

    @property
    def listed_path(self) -> str:
        """The path as the file system writes it when it lists files."""
        return str(strip_protocol(self.filesystem.unstrip_protocol(self.path))).rstrip("/")

    def exists(self) -> bool:
        """Return whether the file exists."""
        return bool(self.filesystem.exists(self.path))

    def alternatives(self, suffixes: Sequence[str]) -> list[Location]:
        """Return the locations without suffix and with each other one of `suffixes`."""
        stem = self.path
        for suffix in suffixes:
            stem = stem.removesuffix(suffix)
        paths = (stem, *(stem + suffix for suffix in suffixes))
        return [replace(self, path=path) for path in paths if path != self.path]
