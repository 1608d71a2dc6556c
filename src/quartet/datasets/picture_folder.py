"""A folder of photographs, of which only so many are in memory at a time."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from quartet.datasets.location import Location
from quartet.datasets.pictures import SUFFIXES, Pixels, decode_picture, is_hidden

logger = logging.getLogger(__name__)


class PictureFolder(Mapping[str, Pixels]):
    """The pictures of a folder by name, each read when it is asked for.

    Those used last are kept, up to a limit, so that memory stays bounded however many there
    are. One that cannot be read is told once in a warning; asking for it raises ValueError.

    Args:
        location: The folder; None for no pictures at all.
        sizes: Bytes of each file, by path below the folder.
        longest_side: Larger pictures are scaled down to it, pixels.
        memory: Bytes of pixels that are kept.
    """

    def __init__(
        self, location: Location | None, sizes: Mapping[str, int], longest_side: int, memory: int
    ) -> None:
        self._location = location
        self._sizes = sizes
        self._longest_side = longest_side
        self._memory = memory
        self._kept: OrderedDict[str, Pixels] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self.unreadable: dict[str, str] = {}
        """Why, by name; of those that have been asked for."""

    @property
    def fingerprint(self) -> str:
        """A text that changes with the files' names and sizes."""
        return hashlib.sha256(
            repr((self._longest_side, sorted(self._sizes.items()))).encode()
        ).hexdigest()

    def __getitem__(self, name: str) -> Pixels:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        pixels = self._read(name)
        with self._lock:
            if name not in self._kept:
                self._kept[name] = pixels
                self._bytes += pixels.nbytes
            while self._bytes > self._memory and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return pixels

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def _read(self, name: str) -> Pixels:
        if self._location is None or name not in self._sizes:
            raise KeyError(name)
        if name in self.unreadable:
            raise ValueError(self.unreadable[name])
        path = f"{self._location.path.rstrip('/')}/{name}"
        try:
            return decode_picture(replace(self._location, path=path).read(), self._longest_side)
        except (ValueError, OSError) as error:
            with self._lock:
                first = name not in self.unreadable
                self.unreadable[name] = str(error)
            if first:
                logger.warning("%s cannot be used and is passed over: %s", path, error)
            raise ValueError(f"{path}: {error}") from error


class PictureFolderDataset(AbstractDataset[Any, PictureFolder]):
    """Loads the pictures of a folder and all folders in it, hidden ones left out, by name.

    Only names are read at first. Without a folder the mapping is empty: whoever receives it
    then uses pictures of its own.

    ```yaml
    photographs:
      type: quartet.datasets.picture_folder.PictureFolderDataset
      folder: ${runtime_params:photographs,null}
      longest_side: 768
    ```
    """

    def __init__(
        self,
        *,
        folder: str | None,
        longest_side: int = 768,
        memory_mib: int = 512,
        hint: str = "give a folder with pictures",
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the folder.

        Args:
            folder: Local path or any fsspec URL; null for none.
            longest_side: Larger pictures are scaled down to it, pixels.
            memory_mib: Of pixels that are kept; others are read anew when needed again.
            hint: What to do where there is no such folder, or no picture in it.
            credentials: Passed to the fsspec file system.
            fs_args: Passed to the fsspec file system.
            metadata: Ignored here; read by plugins.
        """
        self._location = (
            None if folder is None else Location.from_filepath(folder, credentials, fs_args)
        )
        # By these names hooks ask any file of the catalog where it is.
        self._filepath = self._location and PurePosixPath(self._location.path)
        self._protocol = self._location and self._location.protocol
        self._longest_side = longest_side
        self._memory = memory_mib << 20
        self._hint = hint
        self.metadata = metadata

    def load(self) -> PictureFolder:
        """Return the mapping, names in alphabetical order.

        Raises:
            DatasetError: There is no such folder, or no picture in it.
        """
        return PictureFolder(self._location, self._sizes(), self._longest_side, self._memory)

    def _sizes(self) -> dict[str, int]:
        if self._location is None:
            return {}
        filesystem, path = self._location.filesystem, self._location.path
        filesystem.invalidate_cache()
        if not filesystem.isdir(path):
            raise DatasetError(f"{path}: no such folder; {self._hint}")
        above = len(self._location.listed_path) + 1
        found = {
            full[above:]: int(entry["size"])
            for full, entry in sorted(filesystem.find(path, detail=True).items())
            if full.lower().endswith(SUFFIXES) and not is_hidden(full[above:])
        }
        if not found:
            raise DatasetError(f"{path}: no picture ({', '.join(SUFFIXES)}) in it; {self._hint}")
        return found

    def save(self, data: Any) -> None:
        """Refuse.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError("a folder of pictures is an input, never an output")

    def _exists(self) -> bool:
        return self._location is None or bool(self._location.filesystem.isdir(self._location.path))

    def _describe(self) -> dict[str, Any]:
        return {"folder": self._location and self._location.path}
