"""Where a dataset's file lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        """From a catalog entry: a local path or any fsspec URL, and what its storage wants.

        Folders of a local path are made when a file is written.
        """
        protocol, path = get_protocol_and_path(filepath)
        if protocol in ("http", "https"):
            path = filepath  # this file system takes whole addresses
        folders = {"auto_mkdir": True} if protocol == "file" else {}
        options = {**folders, **(credentials or {}), **(fs_args or {})}
        return cls(fsspec.filesystem(protocol, **options), path)

    @property
    def protocol(self) -> str:
        """What stands before `://` in a URL; `file` on this machine."""
        protocol = self.filesystem.protocol
        return str(protocol if isinstance(protocol, str) else protocol[0])

    @property
    def is_local(self) -> bool:
        """Whether the path is one of this machine's own file system."""
        return self.protocol == "file"

    def read(self) -> bytes:
        """All bytes of the file."""
        with self.filesystem.open(self.path, "rb") as file:
            content: bytes = file.read()
        return content

    def write(self, content: bytes) -> None:
        """Replace the file."""
        with self.filesystem.open(self.path, "wb") as file:
            file.write(content)

    @property
    def listed_path(self) -> str:
        """The path as the file system writes it when it lists files."""
        return str(strip_protocol(self.filesystem.unstrip_protocol(self.path))).rstrip("/")

    def exists(self) -> bool:
        """Whether there is a file."""
        return bool(self.filesystem.exists(self.path))

    def alternatives(self, suffixes: Sequence[str]) -> list[Location]:
        """Where the same file may be without its suffix, or with another one of `suffixes`."""
        plain = self.path
        for suffix in suffixes:
            plain = plain.removesuffix(suffix)
        paths = (plain, *(plain + suffix for suffix in suffixes))
        return [replace(self, path=path) for path in paths if path != self.path]
