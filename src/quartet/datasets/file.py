"""Base classes of datasets that are a single file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar, Generic, TypeVar

from kedro.io.core import AbstractDataset, DatasetError

from quartet.datasets.location import Location

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class FileDataset(AbstractDataset[Saved, Loaded], Generic[Saved, Loaded]):
    """Base class of a dataset in one file, local or on any fsspec storage."""

    suffixes: ClassVar[Sequence[str]] = ()
    """Suffixes to append or remove if the file does not exist under its own name."""

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            credentials: Passed to the fsspec file system.
            fs_args: Passed to the fsspec file system.
            metadata: Ignored here; read by plugins.
        """
        self._location = Location.from_filepath(filepath, credentials, fs_args)
        # Hooks read these attributes, which all datasets of Kedro's file formats have.
        self._filepath: PurePosixPath | None = PurePosixPath(self._location.path)
        self._protocol = self._location.protocol
        self.metadata = metadata

    def _find(self) -> Location | None:
        """Return the location of the file, under its own or an alternative name."""
        locations = self._list_candidates()
        return next((location for location in locations if location.exists()), None)

    def _list_candidates(self) -> list[Location]:
        """Return the locations at which the file may be, the configured one first."""
        return [self._location, *self._location.alternatives(self.suffixes)]

    def _exists(self) -> bool:
        return self._find() is not None

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._location.path}


class InputDataset(FileDataset[Any, Loaded], Generic[Loaded]):
    """Base class of read-only datasets."""

    def save(self, data: Any) -> None:
        """Reject the data: the dataset is read-only.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError(
            f"{self._location.path}: {type(self).__name__} is read-only; remove this dataset from "
            "the outputs of the node"
        )


class HandleDataset(InputDataset[Loaded], Generic[Loaded]):
    """Base class of datasets that load a handle, which the node reads and writes with."""

    def _exists(self) -> bool:
        return True  # the handle can always be loaded
