"""Media to stylize: a video, a picture, or a folder of pictures."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from kedro.io.core import DatasetError
from PIL import Image

from quartet.datasets.file import InputDataset
from quartet.datasets.location import Location
from quartet.datasets.picture_headers import MAX_MEGAPIXELS, PictureHeader, read_header
from quartet.datasets.pictures import Pixels, decode_picture, is_hidden

_READ_AHEAD = 8 << 20
"""Block size in bytes of reads from remote storage."""

_HEADER_BLOCK = 64 << 10
"""The same for headers of pictures."""

_CONVERTED = ("AVIF", "WEBP")
"""Animations that FFmpeg does not decode completely, with transparency: Pillow does."""

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")


@dataclass(frozen=True)
class Media:
    """A video, a picture or a folder of pictures.

    Attributes:
        name: Name of the file or folder.
        pictures: Sorted names of the pictures; empty for a video.
        is_folder: Whether this is a folder of pictures.
        left_out: Reason by name, of pictures of the folder that cannot be stylized.
        pages: Number of pages by name, of pictures that have several; the first is read.
    """

    name: str
    pictures: tuple[str, ...]
    _location: Location
    is_folder: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)
    pages: Mapping[str, int] = field(default_factory=dict)
    _max_megapixels: float = MAX_MEGAPIXELS
    _animation_format: str = ""
    """Pillow's name of the format of an animated picture."""

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name if self.is_folder else PurePosixPath(self.name).stem

    @contextmanager
    def open(self) -> Generator[str | BinaryIO]:
        """Open the video: a local path, or a seekable file with a `name`.

        Remote files are not downloaded, but read in blocks. An animated WebP or AVIF picture is
        converted to a lossless video first.
        """
        if self._animation_format in _CONVERTED:
            from quartet.datasets.animations import write_animation

            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/{self.name}"
                write_animation(self._location.read(), path)
                yield path
            return
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
            content = self._location.filesystem.cat_file(path)
            return decode_picture(content, max_megapixels=self._max_megapixels)
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
    if suffix.lower() in JPEG_SUFFIXES:
        picture.save(content, "JPEG", quality=95, subsampling=0)
    else:
        picture.save(content, "PNG", compress_level=3)
    return content.getvalue()


class MediaDataset(InputDataset[Media]):
    """Provides a video, a picture or a folder of pictures, distinguished by content.

    ```yaml
    style_source:
      type: quartet.datasets.media.MediaDataset
      filepath: ${runtime_params:video,data/01_raw/style/sample.mp4}
      hint: "set a video, a picture or a folder of pictures with --params video=FILE"
    ```
    """

    def __init__(
        self,
        *,
        filepath: str,
        hint: str = "set a video",
        max_megapixels: float = MAX_MEGAPIXELS,
        **options: Any,
    ):
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            hint: End of the message if it is missing: what to do.
            max_megapixels: Most pixels of a picture, in millions.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._hint = hint
        self._max_megapixels = max_megapixels

    def load(self) -> Media:
        """Return the media, without decoding it; only headers are read.

        Raises:
            DatasetError: It does not exist, is a picture that cannot be read, or is a folder
                without pictures.
        """
        filesystem, path = self._location.filesystem, self._location.path.rstrip("/")
        filesystem.invalidate_cache()
        location = Location(filesystem, path)
        try:
            is_folder = filesystem.isdir(path)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be accessed ({error}); {self._hint}") from error
        if is_folder:
            return self._load_folder(location)
        if not filesystem.exists(path):
            raise DatasetError(f"{path}: no such file; {self._hint}")
        name = PurePosixPath(path).name
        try:
            header = self._read_header(path)
        except ValueError as error:
            raise DatasetError(f"{path}: {error}") from error
        if header is None:
            return Media(name, (), location)
        if header.frames > 1:
            return Media(name, (), location, _animation_format=header.format)
        pages = {name: header.pages} if header.pages > 1 else {}
        return Media(name, (name,), location, pages=pages, _max_megapixels=self._max_megapixels)

    def _load_folder(self, location: Location) -> Media:
        """Return the pictures of a folder; others have a reason why they are left out."""
        pictures: list[str] = []
        left_out: dict[str, str] = {}
        pages: dict[str, int] = {}
        entries = location.filesystem.ls(location.path, detail=True)
        names = {PurePosixPath(entry["name"]).name for entry in entries if entry["type"] == "file"}
        for name in sorted(name for name in names if not is_hidden(name)):
            try:
                header = self._read_header(f"{location.path}/{name}")
            except ValueError as error:
                left_out[name] = str(error)
                continue
            if header and header.frames > 1:
                left_out[name] = (
                    f"it is an animation of {header.frames} frames; stylize it on its own, as a "
                    "video"
                )
            elif header:
                pictures.append(name)
                if header.pages > 1:
                    pages[name] = header.pages
        if not pictures:
            reasons = "".join(f"; {name}: {reason}" for name, reason in left_out.items())
            raise DatasetError(
                f"{location.path}: the folder contains no pictures{reasons}; {self._hint}"
            )
        return Media(
            PurePosixPath(location.path).name,
            tuple(pictures),
            location,
            is_folder=True,
            left_out=left_out,
            pages=pages,
            _max_megapixels=self._max_megapixels,
        )

    def _read_header(self, path: str) -> PictureHeader | None:
        with self._location.filesystem.open(path, "rb", block_size=_HEADER_BLOCK) as file:
            return read_header(file, PurePosixPath(path).name, self._max_megapixels)
