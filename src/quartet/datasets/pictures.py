"""Pictures as people have them: what is in their files, and a dataset of one."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from kedro.io.core import DatasetError
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from quartet.compat import ImagePreview
from quartet.datasets.file import InputDataset

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


def is_hidden(path: str) -> bool:
    """Whether a path below a folder is of a hidden file, or of one in a hidden folder.

    Such files are nobody's pictures: macOS lays a `._a.jpg` beside `a.jpg`, and programs keep
    small copies in folders like `.thumbnails`.
    """
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


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
