"""Folders of pictures, loaded on demand into a cache of bounded size."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from kedro.io.core import DatasetError

from quartet.datasets.file import InputDataset
from quartet.datasets.location import Location
from quartet.datasets.picture_headers import MAX_MEGAPIXELS, PICTURE_SUFFIXES, SUFFIXES
from quartet.datasets.pictures import Pixels, decode_picture, is_hidden

logger = logging.getLogger(__name__)


class PictureFolder(Mapping[str, Pixels]):
    """The pictures of a folder by name, loaded on demand.

    The most recently used pictures are cached. A picture that cannot be read raises
    ValueError, and logs one warning. Sizes are those of the files, in bytes; the other arguments
    are as for `PictureFolderDataset`.
    """

    def __init__(
        self,
        location: Location,
        sizes: Mapping[str, int],
        longest_side: int,
        memory: int,
        max_megapixels: float = MAX_MEGAPIXELS,
    ) -> None:
        self._location = location
        self._sizes = sizes
        self._longest_side = longest_side
        self._memory = memory
        self._max_megapixels = max_megapixels
        self._cache: OrderedDict[str, Pixels] = OrderedDict()
        self._cache_bytes = 0
        self._lock = threading.Lock()
        self.unreadable: dict[str, str] = {}
        """Reason by name, of pictures that could not be read."""

    @property
    def fingerprint(self) -> str:
        """A hash of the files' names and sizes."""
        return hashlib.sha256(
            repr((self._longest_side, sorted(self._sizes.items()))).encode()
        ).hexdigest()

    def __getitem__(self, name: str) -> Pixels:
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
        pixels = self._read(name)
        with self._lock:
            if name not in self._cache:
                self._cache[name] = pixels
                self._cache_bytes += pixels.nbytes
            while self._cache_bytes > self._memory and len(self._cache) > 1:
                self._cache_bytes -= self._cache.popitem(last=False)[1].nbytes
        return pixels

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def _read(self, name: str) -> Pixels:
        if name not in self._sizes:
            raise KeyError(name)
        if name in self.unreadable:
            raise ValueError(self.unreadable[name])
        location = self._location.join(name)
        try:
            return decode_picture(location.read(), self._longest_side, self._max_megapixels)
        except (ValueError, OSError) as error:
            with self._lock:
                is_new = name not in self.unreadable
                self.unreadable[name] = str(error)
            if is_new:
                logger.warning("%s cannot be read and is skipped: %s", location.path, error)
            raise ValueError(f"{location.path}: {error}") from error


class PictureFolderDataset(InputDataset[PictureFolder]):
    """Loads the pictures of a folder and its subfolders, except hidden ones, by name.

    Pictures are loaded on demand. Without a folder the mapping is empty, and the node uses
    other pictures.

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
        max_megapixels: float = MAX_MEGAPIXELS,
        hint: str = "set a folder with pictures",
        **options: Any,
    ) -> None:
        """Configure the dataset.

        Args:
            folder: Local path or any fsspec URL; null for none.
            longest_side: Longest side in pixels to which larger pictures are scaled down.
            memory_mib: Size of the cache of pixels.
            max_megapixels: Most pixels of a picture, in millions.
            hint: End of the message if there are no pictures: what to do.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=folder or "", **options)
        self._is_empty = folder is None
        if self._is_empty:
            self._filepath = None  # hooks have nothing to check or record
        self._longest_side = longest_side
        self._memory = memory_mib << 20
        self._max_megapixels = max_megapixels
        self._hint = hint

    def load(self) -> PictureFolder:
        """Return the mapping, sorted by name.

        Raises:
            DatasetError: The folder does not exist, or contains no pictures.
        """
        return PictureFolder(
            self._location,
            self._list_sizes(),
            self._longest_side,
            self._memory,
            self._max_megapixels,
        )

    def _list_sizes(self) -> dict[str, int]:
        if self._is_empty:
            return {}
        filesystem, path = self._location.filesystem, self._location.path
        filesystem.invalidate_cache()
        if not filesystem.isdir(path):
            raise DatasetError(f"{path}: no such folder; {self._hint}")
        prefix = len(self._location.listed_path) + 1
        sizes = {
            file[prefix:]: int(entry["size"])
            for file, entry in sorted(filesystem.find(path, detail=True).items())
            if file.lower().endswith(PICTURE_SUFFIXES) and not is_hidden(file[prefix:])
        }
        if not sizes:
            suffixes = ", ".join(SUFFIXES)
            raise DatasetError(f"{path}: contains no pictures ({suffixes}); {self._hint}")
        return sizes

    def _exists(self) -> bool:
        return self._is_empty or bool(self._location.filesystem.isdir(self._location.path))
