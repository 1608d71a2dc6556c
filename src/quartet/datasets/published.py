"""A folder in which files appear only when they are whole and have been checked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location


@dataclass(frozen=True)
class PublishedFolder:
    """Files for others to take, by name."""

    _location: Location

    @contextmanager
    def create(self, name: str) -> Generator[Path]:
        """A local path to write a file to; it is published when the block ends well.

        What was there under its name stays until then, and stays for good if the block ends
        with an error.

        Args:
            name: Of the file; a folder may stand before it.
        """
        target = f"{self._location.path}/{name}"
        if self._location.is_local:
            folder = Path(target).parent
            folder.mkdir(parents=True, exist_ok=True)
            # In a folder of its own: whoever watches for new files sees only whole ones.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished_") as beside:
                path = Path(beside) / Path(name).name
                yield path
                path.replace(target)
            return
        with tempfile.TemporaryDirectory() as folder_here:
            path = Path(folder_here) / Path(name).name
            yield path
            # Blob storage shows a file when all of it has been uploaded.
            self._location.filesystem.put_file(os.fspath(path), target)

    @contextmanager
    def fetch(self, name: str) -> Generator[Path]:
        """A local path to read a published file from, while the block lasts."""
        source = f"{self._location.path}/{name}"
        if self._location.is_local:
            yield Path(source)
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            self._location.filesystem.get_file(source, os.fspath(path))
            yield path

    def get_path(self, name: str) -> str:
        """Where a file is or will be, for messages and reports."""
        return f"{self._location.path}/{name}"


class PublishedFolderDataset(HandleDataset[PublishedFolder]):
    """Hands a node a `PublishedFolder`; only the node's work writes through it.

    ```yaml
    stylized:
      type: quartet.datasets.published.PublishedFolderDataset
      filepath: data/07_model_output/style/stylized
    ```
    """

    def load(self) -> PublishedFolder:
        """Return the handle; the folder need not exist yet."""
        return PublishedFolder(self._location)
