"""Media to stylize: a video, a picture, or a folder of pictures."""

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
"""Block size in bytes of reads from remote storage."""


@dataclass(frozen=True)
class Media:
    """A video, a picture or a folder of pictures.

    Attributes:
        name: Name of the file or folder.
        pictures: Sorted names of the pictures; empty for a video.
    """

    name: str
    pictures: tuple[str, ...]
    _location: Location

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder of pictures."""
        return bool(self.pictures) and self.pictures != (self.name,)

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name if self.is_folder else PurePosixPath(self.name).stem

    @contextmanager
    def open(self) -> Generator[str | BinaryIO]:
        """Open the video: a local path, or a seekable file with a `name`.

        Remote files are not downloaded, but read in blocks.
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
        """Return a picture, shape (h, w, 3), uint8 RGB.

        Raises:
            DatasetError: The file is damaged, or not a picture.
        """
        path = self._get_path(name)
        try:
            return decode_picture(self._location.filesystem.cat_file(path))
        except ValueError as error:
            raise DatasetError(
                f"{path}: not a complete picture ({error}); export it again"
            ) from error

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a picture's file, hexadecimal."""
        return hashlib.sha256(self._location.filesystem.cat_file(self._get_path(name))).hexdigest()

    def _get_path(self, name: str) -> str:
        return f"{self._location.path}/{name}" if self.is_folder else self._location.path


def encode_picture(pixels: Pixels, suffix: str) -> bytes:
    """Encode a picture of shape (h, w, 3) as JPEG, or as PNG for any other suffix."""
    content = io.BytesIO()
    picture = Image.fromarray(pixels)
    if suffix.lower() in (".jpg", ".jpeg"):
        picture.save(content, "JPEG", quality=95, subsampling=0)
    else:
        picture.save(content, "PNG", compress_level=3)
    return content.getvalue()


class MediaDataset(InputDataset[Media]):
    """Provides a video, a picture or a folder of pictures, distinguished by its suffix.

    ```yaml
    style_source:
      type: quartet.datasets.media.MediaDataset
      filepath: ${runtime_params:video,data/01_raw/style/sample.mp4}
      hint: "set a video, a picture or a folder of pictures with --params video=FILE"
    ```
    """

    def __init__(self, *, filepath: str, hint: str = "set a video", **options: Any):
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            hint: End of the message if it is missing: what to do.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._hint = hint

    def load(self) -> Media:
        """Return the media, without decoding it.

        Raises:
            DatasetError: It does not exist, or is a folder without pictures.
        """
        filesystem, path = self._location.filesystem, self._location.path.rstrip("/")
        filesystem.invalidate_cache()
        name = PurePosixPath(path).name
        if self._is_folder(path):
            names = (PurePosixPath(str(entry)).name for entry in filesystem.ls(path, detail=False))
            visible = (name for name in names if not is_hidden(name))
            pictures = tuple(sorted(name for name in visible if _is_picture(name)))
            if not pictures:
                raise DatasetError(f"{path}: the folder contains no pictures; {self._hint}")
            return Media(name, pictures, Location(filesystem, path))
        if not filesystem.exists(path):
            raise DatasetError(f"{path}: no such file; {self._hint}")
        return Media(name, (name,) if _is_picture(name) else (), Location(filesystem, path))

    def _is_folder(self, path: str) -> bool:
        try:
            return bool(self._location.filesystem.isdir(path))
        except OSError as error:
            raise DatasetError(f"{path}: cannot be accessed ({error}); {self._hint}") from error


def _is_picture(name: str) -> bool:
    # GIFs are videos: FFmpeg decodes all their frames, Pillow only the first.
    return name.lower().endswith(SUFFIXES) and not name.lower().endswith(".gif")
