"""What a media team drops in: a video, a picture, or a folder of pictures."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from kedro.io.core import DatasetError
from PIL import Image

from quartet.datasets.file import InputDataset
from quartet.datasets.location import Location
from quartet.datasets.pictures import SUFFIXES, Pixels, decode_picture, is_hidden

_READ_AHEAD = 8 << 20
"""Bytes fetched at a time from remote storage."""


@dataclass(frozen=True)
class Media:
    """A file or folder, and how to get at what is in it.

    Attributes:
        name: Of the file or folder.
        pictures: Names of the pictures, in order; none if it is a video.
    """

    name: str
    pictures: tuple[str, ...]
    _location: Location

    @property
    def is_folder(self) -> bool:
        """Whether there may be several pictures."""
        return bool(self.pictures) and self.pictures != (self.name,)

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self.name if self.is_folder else PurePosixPath(self.name).stem

    @contextmanager
    def open(self) -> Generator[str | BinaryIO]:
        """The video for reading: a local path, or a file that can seek and has a `name`.

        Remote files are read where they lie, some megabytes at a time.
        """
        if self._location.is_local:
            yield self._location.path
            return
        with self._location.filesystem.open(
            self._location.path, "rb", block_size=_READ_AHEAD
        ) as file:
            file.name = self.name
            yield file

    def read_picture(self, name: str) -> Pixels:
        """One of the pictures, shape (h, w, 3), uint8 RGB.

        Raises:
            DatasetError: It is damaged, or no picture.
        """
        path = self._path_of(name)
        try:
            return decode_picture(self._location.filesystem.cat_file(path))
        except ValueError as error:
            raise DatasetError(f"{path}: not a whole picture ({error}); export it anew") from error

    def digest(self, name: str) -> str:
        """SHA-256 of one of the pictures' files, hexadecimal."""
        return hashlib.sha256(self._location.filesystem.cat_file(self._path_of(name))).hexdigest()

    def _path_of(self, name: str) -> str:
        return f"{self._location.path}/{name}" if self.is_folder else self._location.path


def encode_picture(pixels: Pixels, suffix: str) -> bytes:
    """A picture of shape (h, w, 3) as JPEG of high quality, or PNG where the suffix says so."""
    content = io.BytesIO()
    picture = Image.fromarray(pixels)
    if suffix.lower() in (".jpg", ".jpeg"):
        picture.save(content, "JPEG", quality=95, subsampling=0)
    else:
        picture.save(content, "PNG", compress_level=3)
    return content.getvalue()


class MediaDataset(InputDataset[Media]):
    """Hands a node a video, a picture or a folder of pictures; told apart by name.

    ```yaml
    style_source:
      type: quartet.datasets.media.MediaDataset
      filepath: ${runtime_params:video,data/01_raw/style/sample.mp4}
      hint: "name a video, a picture or a folder of pictures: --params video=FILE"
    ```
    """

    def __init__(self, *, filepath: str, hint: str = "name a video", **options: Any):
        """Describe the file or folder.

        Args:
            filepath: Local path or any fsspec URL.
            hint: What to do where it is missing.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._hint = hint

    def load(self) -> Media:
        """Return what is there; nothing is decoded.

        Raises:
            DatasetError: There is nothing, or a folder without pictures.
        """
        filesystem, path = self._location.filesystem, self._location.path.rstrip("/")
        filesystem.invalidate_cache()
        name = PurePosixPath(path).name
        if self._is_folder(path):
            names = (PurePosixPath(str(found)).name for found in filesystem.ls(path, detail=False))
            shown = (name for name in names if not is_hidden(name))
            pictures = tuple(sorted(name for name in shown if _is_picture(name)))
            if not pictures:
                raise DatasetError(f"{path}: a folder without pictures; {self._hint}")
            return Media(name, pictures, Location(filesystem, path))
        if not filesystem.exists(path):
            raise DatasetError(f"{path}: no such file; {self._hint}")
        return Media(name, (name,) if _is_picture(name) else (), Location(filesystem, path))

    def _is_folder(self, path: str) -> bool:
        try:
            return bool(self._location.filesystem.isdir(path))
        except OSError as error:
            raise DatasetError(f"{path}: no answer from there ({error}); {self._hint}") from error


def _is_picture(name: str) -> bool:
    # FFmpeg plays animated GIFs; Pillow would show their first picture only.
    return name.lower().endswith(SUFFIXES) and not name.lower().endswith(".gif")
