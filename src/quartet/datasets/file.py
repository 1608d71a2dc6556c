"""What the datasets of one file have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar, Generic, TypeVar

from kedro.io.core import AbstractDataset, DatasetError

from quartet.datasets.location import Location

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class FileDataset(AbstractDataset[Saved, Loaded], Generic[Saved, Loaded]):
    """One file, here or on any storage that fsspec knows; a subclass loads and saves it."""

    suffixes: ClassVar[Sequence[str]] = ()
    """Ends of its name when it is packed. Where it is missing, it is there under another one."""

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the file.

        Args:
            filepath: Local path or any fsspec URL.
            credentials: Passed to the fsspec file system.
            fs_args: Passed to the fsspec file system.
            metadata: Ignored here; read by plugins.
        """
        self._location = Location.from_filepath(filepath, credentials, fs_args)
        # By these names hooks ask any file of the catalog where it is.
        self._filepath = PurePosixPath(self._location.path)
        self._protocol = self._location.protocol
        self.metadata = metadata

    def _existing(self) -> Location | None:
        """Where the file is: under its own name, or else unpacked or packed otherwise."""
        places = (self._location, *self._location.alternatives(self.suffixes))
        return next((place for place in places if place.exists()), None)

    def _exists(self) -> bool:
        return self._existing() is not None

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._location.path}


class InputDataset(FileDataset[Any, Loaded], Generic[Loaded]):
    """A file that no node makes: it comes from outside, or a node's own work writes it."""

    def save(self, data: Any) -> None:
        """Refuse.

        Raises:
            DatasetError: Always.
        """
        kind = type(self).__name__
        raise DatasetError(f"{self._location.path}: a {kind} is an input, never an output")


class HandleDataset(InputDataset[Loaded], Generic[Loaded]):
    """A file through which the work it is handed to reads and writes; it need not exist yet."""

    def _exists(self) -> bool:
        return True  # the handle can always be had
