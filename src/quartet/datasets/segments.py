"""Where long work keeps its finished segments, each a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO, overload

from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location

_UNFINISHED = ".part"
"""How the hidden name ends under which local storage writes a file before it is whole."""


@dataclass(frozen=True)
class SegmentStore:
    """Finished segments by name, in a folder for each work.

    A segment appears when it is whole, so that what is listed need not be done again. Work is
    told apart by a fingerprint of all that its segments depend on.
    """

    _location: Location

    def names(self, work: str) -> set[str]:
        """Names of the segments that are there."""
        filesystem, folder = self._location.filesystem, self._folder(work)
        filesystem.invalidate_cache()
        if not filesystem.isdir(folder):
            return set()
        paths = (PurePosixPath(str(path)) for path in filesystem.ls(folder, detail=False))
        return {path.name for path in paths if path.suffix != _UNFINISHED}

    def write(self, work: str, name: str, content: bytes) -> None:
        """Keep a segment; one of that name is replaced."""
        replace(self._location, path=f"{self._folder(work)}/{name}").write(content)

    def sources(self, work: str, names: Sequence[str]) -> Sequence[str | BinaryIO]:
        """Segments for reading, one by one: local paths, or files in memory with a `name`."""
        return _Sources(self, work, names)

    def read(self, work: str, name: str) -> bytes:
        """The content of a segment."""
        return replace(self._location, path=f"{self._folder(work)}/{name}").read()

    def clear(self, work: str) -> None:
        """Give up the segments of a work."""
        folder = self._folder(work)
        if self._location.filesystem.exists(folder):
            self._location.filesystem.rm(folder, recursive=True)

    def _folder(self, work: str) -> str:
        return f"{self._location.path}/{work}"


@dataclass(frozen=True)
class _Sources(Sequence[str | BinaryIO]):
    """Fetches a segment when it is asked for, and keeps none."""

    store: SegmentStore
    work: str
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
        location = self.store._location
        if location.is_local:
            return f"{self.store._folder(self.work)}/{name}"
        file = io.BytesIO(self.store.read(self.work, name))
        file.name = name
        return file


class SegmentStoreDataset(HandleDataset[SegmentStore]):
    """Hands a node its `SegmentStore`; only the node's work writes through it.

    ```yaml
    style_segments:
      type: quartet.datasets.segments.SegmentStoreDataset
      filepath: data/07_model_output/style/segments
    ```
    """

    def load(self) -> SegmentStore:
        """Return the handle; the folder need not exist yet."""
        return SegmentStore(self._location)
