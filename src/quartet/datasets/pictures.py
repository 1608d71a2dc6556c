"""Pictures as people have them: a painting, a folder of photographs, and one that is rewritten."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from kedro.io.core import AbstractDataset, DatasetError
from kedro_datasets._typing import ImagePreview  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from quartet.datasets.file import HandleDataset, InputDataset
from quartet.datasets.location import Location

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
"""Shape (h, w, 3), RGB, as the picture is shown."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_PREVIEW_SIDE = 800
_PAPER = (255, 255, 255)
"""What is seen through transparent parts."""


@dataclass(frozen=True)
class PictureFile:
    """A picture and the file that it is from.

    Attributes:
        name: The file's.
        pixels: Shape (h, w, 3), uint8 RGB, the way up that it is shown.
        sha256: Of the file, hexadecimal.
    """

    name: str
    pixels: Pixels
    sha256: str


def decode_picture(content: bytes, longest_side: int | None = None) -> Pixels:
    """The pixels of a file of any format that Pillow reads; of several pictures the first.

    It is turned as its EXIF data say. Grey ones, those with a palette, CMYK and 16 bits
    become RGB of 8 bits; transparent parts become white.

    Args:
        content: Of the file.
        longest_side: Larger ones are scaled down to it, pixels.

    Raises:
        ValueError: It is no picture, is cut short, or has too many pixels; why, in a few words.
    """
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if longest_side is not None:
                picture.draft("RGB", (longest_side, longest_side))  # a JPEG is decoded small
            shown = _as_shown(picture)
    except UnidentifiedImageError as error:
        raise ValueError("no picture of a known format") from error
    except Exception as error:  # damaged files make decoders fail in any way
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if longest_side is not None:
        shown.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return np.array(shown)


def _as_shown(picture: Image.Image) -> Image.Image:
    """RGB, turned; `picture` itself stays as it is."""
    picture.load()
    turned = ImageOps.exif_transpose(picture)
    if turned.mode.startswith(("I", "F")):  # 16 bits and more, which Pillow would only clip
        turned = _eight_bits(turned)
    if turned.has_transparency_data:
        paper = Image.new("RGBA", turned.size, (*_PAPER, 255))
        turned = Image.alpha_composite(paper, turned.convert("RGBA"))
    return turned.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(np.float64)
    if picture.mode.startswith("I"):
        values = values / 257
    elif values.max(initial=0) <= 1:
        values = values * 255
    return Image.fromarray(np.clip(values, 0, 255).round().astype(np.uint8))


class PictureDataset(InputDataset[PictureFile]):
    """Loads one picture: JPEG, PNG, WebP and what else Pillow reads.

    ```yaml
    painting:
      type: quartet.datasets.pictures.PictureDataset
      filepath: ${runtime_params:painting,data/01_raw/style/painting.jpg}
      hint: "name the painting: --params painting=FILE"
    ```
    """

    def __init__(self, *, filepath: str, hint: str = "give the picture's file", **options: Any):
        """Describe the file.

        Args:
            filepath: Local path or any fsspec URL.
            hint: What to do where the file is missing.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._hint = hint

    def load(self) -> PictureFile:
        """Return the picture.

        Raises:
            DatasetError: The file is missing, damaged or no picture.
        """
        path = self._location.path
        try:
            content = self._location.read()
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no such file; {self._hint}") from error
        try:
            pixels = decode_picture(content)
        except ValueError as error:
            raise DatasetError(f"{path}: not a whole picture ({error}); {self._hint}") from error
        return PictureFile(PurePosixPath(path).name, pixels, hashlib.sha256(content).hexdigest())

    def preview(self) -> ImagePreview:
        """The picture for Kedro-Viz, PNG in base64."""
        picture = Image.fromarray(decode_picture(self._location.read(), _PREVIEW_SIDE))
        content = io.BytesIO()
        picture.save(content, "PNG")
        return ImagePreview(base64.b64encode(content.getvalue()).decode())


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
    def identity(self) -> str:
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
    """Loads the pictures of a folder and all folders in it, as a mapping by name.

    Only names are read at first. Without a folder the mapping is empty: whoever receives it
    then uses pictures of its own.

    ```yaml
    photographs:
      type: quartet.datasets.pictures.PictureFolderDataset
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
        self._location = None if folder is None else Location.of(folder, credentials, fs_args)
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
        above = len(filesystem._strip_protocol(path).rstrip("/")) + 1
        found = {
            full[above:]: int(entry["size"])
            for full, entry in sorted(filesystem.find(path, detail=True).items())
            if full.lower().endswith(SUFFIXES)
            if not PurePosixPath(full).name.startswith(".")
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


@dataclass(frozen=True)
class LivePicture:
    """A picture's file that long work rewrites, for people to look at while it goes on."""

    location: Location

    def show(self, content: bytes) -> None:
        """Replace the picture by this file's content.

        Where it cannot be written the work goes on, with a warning: it is only for looking at.
        """
        try:
            self.location.write(content)
        except (OSError, DatasetError) as error:
            logger.warning("%s could not be rewritten: %s", self.location.path, error)


class LivePictureDataset(HandleDataset[LivePicture]):
    """Hands a node a `LivePicture`; only the node's work writes through it.

    ```yaml
    style_progress:
      type: quartet.datasets.pictures.LivePictureDataset
      filepath: data/08_reporting/style_training/progress.png
    ```
    """

    def load(self) -> LivePicture:
        """Return the handle; the file need not exist yet."""
        return LivePicture(self._location)

    def preview(self) -> ImagePreview:
        """What the file shows now, for Kedro-Viz."""
        return ImagePreview(base64.b64encode(self._location.read()).decode())
