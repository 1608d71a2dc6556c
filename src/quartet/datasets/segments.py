"""Finished segments of long-running nodes, each in a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO, overload

from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location

_UNFINISHED = ".part"
"""Suffix of the temporary files of `quartet.datasets.atomic`."""


@dataclass(frozen=True)
class SegmentStore:
    """Finished segments by name, in a folder per key.

    The key is a fingerprint of everything that the segments depend on. A segment appears
    only when it is complete, so that listed segments need not be computed again.
    """

    _location: Location

    def names(self, key: str) -> set[str]:
        """Return the names of the stored segments."""
        paths = (PurePosixPath(entry["name"]) for entry in self._location.join(key).list_entries())
        return {path.name for path in paths if path.suffix != _UNFINISHED}

    def write(self, key: str, name: str, content: bytes) -> None:
        """Store a segment, replacing one of the same name."""
        self._location.join(f"{key}/{name}").write(content)

    def sources(self, key: str, names: Sequence[str]) -> Sequence[str | BinaryIO]:
        """Return segments, loaded on access: local paths, or files in memory with a `name`."""
        return _Sources(self, key, names)

    def read(self, key: str, name: str) -> bytes:
        """Return the content of a segment."""
        return self._location.join(f"{key}/{name}").read()

    def clear(self, key: str) -> None:
        """Delete the segments of a key."""
        folder = self._location.join(key)
        if folder.exists():
            folder.filesystem.rm(folder.path, recursive=True)


@dataclass(frozen=True)
class _Sources(Sequence[str | BinaryIO]):
    """Loads a segment on access, without a cache."""

    store: SegmentStore
    key: str
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> str | BinaryIO: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str | BinaryIO]: ...
    def __getitem__(self, index: int | slice) -> str | BinaryIO | Sequence[str | BinaryIO]:
        if isinstance(index, slice):
            return replace(self, names=self.names[index])
        name = self.names[index]
        location = self.store._location.join(f"{self.key}/{name}")
        if location.is_local:
            return location.path
        file = io.BytesIO(location.read())
        file.name = name
        return file


class SegmentStoreDataset(HandleDataset[SegmentStore]):
    """Provides a `SegmentStore`, which the node itself writes to.

    ```yaml
    style_segments:
      type: quartet.datasets.segments.SegmentStoreDataset
      filepath: data/07_model_output/style/segments
    ```
    """

    def load(self) -> SegmentStore:
        """Return the handle; the folder need not exist yet."""
        return SegmentStore(self._location)
