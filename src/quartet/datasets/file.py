"""What the datasets of one file have in common."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

from kedro.io.core import AbstractDataset

from quartet.datasets.location import Location

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class FileDataset(AbstractDataset[Saved, Loaded], Generic[Saved, Loaded]):
    """One file, here or on any storage that fsspec knows; a subclass loads and saves it."""

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
        self._location = Location.of(filepath, credentials, fs_args)
        self._filepath = PurePosixPath(self._location.path)
        self.metadata = metadata

    def _exists(self) -> bool:
        return self._location.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._location.path}
