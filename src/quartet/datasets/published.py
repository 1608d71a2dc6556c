"""Folders in which files appear only when they are complete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location

_MAX_NAME_BYTES = 255
"""Longest name of a file on usual file systems."""


@dataclass(frozen=True)
class PublishedFolder:
    """A folder of finished files, whose names are paths relative to it."""

    _location: Location

    @contextmanager
    def create(self, name: str) -> Generator[Path]:
        """Provide a local path to write a file to, and publish it when the block succeeds.

        An existing file of that name remains until then, and if the block raises an exception.
        """
        with self.create_all([name]) as (path,):
            yield path

    @contextmanager
    def create_all(self, names: Sequence[str]) -> Generator[list[Path]]:
        """Provide local paths as `create` does for several files of one folder."""
        # In a hidden folder, so that watchers of new files see only complete ones.
        with self._open_temporary(names[0]) as temporary:
            paths = [temporary / Path(name).name for name in names]
            yield paths
            for path, name in zip(paths, names, strict=True):
                if self._location.is_local:
                    path.replace(self.get_path(name))
                else:  # On blob storage a file appears when its upload is complete.
                    self._location.filesystem.put_file(os.fspath(path), self.get_path(name))

    @contextmanager
    def rehearse(self, name: str) -> Generator[Path]:
        """Provide a local path as `create` does, and publish nothing.

        What is written there shows that a file of this name can be published here.

        Raises:
            ValueError: The name is too long, or that of a folder.
            OSError: The folder cannot be written.
        """
        self.check_name(name)
        if self._location.is_local and Path(self.get_path(name)).is_dir():
            raise ValueError(f"{self.get_path(name)}: is a folder; rename it")
        with self._open_temporary(name) as temporary:
            yield temporary / Path(name).name

    @contextmanager
    def _open_temporary(self, name: str) -> Generator[Path]:
        """Provide a temporary folder beside a file, or anywhere if the file is not local."""
        folder = Path(self.get_path(name)).parent if self._location.is_local else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished_") as temporary:
            yield Path(temporary)

    def check_name(self, name: str) -> None:
        """Check the length of a file's name, in bytes, as file systems count.

        Raises:
            ValueError: A part of it is too long.
        """
        for part in Path(name).parts:
            if (size := len(os.fsencode(part))) > _MAX_NAME_BYTES:
                raise ValueError(
                    f"the name of the result, {part[:20]}…{part[-20:]}, would have {size} bytes, "
                    f"{_MAX_NAME_BYTES} are possible; rename the source"
                )

    @contextmanager
    def fetch(self, name: str) -> Generator[Path]:
        """Provide a local path of a published file for the duration of the block."""
        if self._location.is_local:
            yield Path(self.get_path(name))
            return
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / Path(name).name
            self._location.filesystem.get_file(self.get_path(name), os.fspath(path))
            yield path

    def get_path(self, name: str) -> str:
        """Return the path of a file, for messages and reports."""
        return self._location.join(name).path


class PublishedFolderDataset(HandleDataset[PublishedFolder]):
    """Provides a `PublishedFolder`, which the node itself writes to.

    ```yaml
    stylized:
      type: quartet.datasets.published.PublishedFolderDataset
      filepath: data/07_model_output/style/stylized
    ```
    """

    def load(self) -> PublishedFolder:
        """Return the handle; the folder need not exist yet."""
        return PublishedFolder(self._location)
