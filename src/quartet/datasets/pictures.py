"""Picture files: decoding, and a dataset of one picture."""

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
from quartet.datasets.picture_headers import FORMATS, MAX_MEGAPIXELS, check_size

Pixels = NDArray[np.uint8]
"""Shape (h, w, 3), RGB, in display orientation."""

_PREVIEW_SIDE = 800
_BACKGROUND = (255, 255, 255)
"""Colour of transparent pixels."""


@dataclass(frozen=True)
class PictureFile:
    """A picture and its file.

    Attributes:
        name: Name of the file.
        pixels: Shape (h, w, 3), uint8 RGB, in display orientation.
        sha256: SHA-256 of the file, hexadecimal.
    """

    name: str
    pixels: Pixels
    sha256: str


def is_hidden(path: str) -> bool:
    """Return whether a relative path is a hidden file, or a file in a hidden folder.

    macOS writes `._a.jpg` next to `a.jpg`, and programs keep thumbnails in folders such as
    `.thumbnails`.
    """
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def decode_picture(
    content: bytes, longest_side: int | None = None, max_megapixels: float = MAX_MEGAPIXELS
) -> Pixels:
    """Decode a file of one of the `FORMATS`; the first picture of several.

    Applies the EXIF orientation. Greyscale, palette, CMYK and 16-bit pictures are converted
    to 8-bit RGB; transparent pixels become white.

    Args:
        content: Content of the file.
        longest_side: Longest side in pixels to which larger pictures are scaled down.
        max_megapixels: Most pixels of a picture, in millions, checked before it is decoded.

    Raises:
        ValueError: The file is not a picture, is truncated, or has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            check_size(picture, max_megapixels)
            if longest_side is not None:
                picture.draft("RGB", (longest_side, longest_side))  # decodes a JPEG at reduced size
            rgb = convert_to_rgb(picture)
    except UnidentifiedImageError as error:
        raise ValueError("not a picture of a supported format") from error
    except Exception as error:  # decoders raise any exception on damaged files
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if longest_side is not None:
        rgb.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return np.array(rgb)


def convert_to_rgb(picture: Image.Image) -> Image.Image:
    """Return the picture as RGB, with the EXIF orientation applied."""
    picture.load()
    oriented = ImageOps.exif_transpose(picture)
    if oriented.mode.startswith(("I", "F")):  # 16 bits and more, which Pillow would clip
        oriented = _convert_to_8_bits(oriented)
    if oriented.has_transparency_data:
        background = Image.new("RGBA", oriented.size, (*_BACKGROUND, 255))
        oriented = Image.alpha_composite(background, oriented.convert("RGBA"))
    return oriented.convert("RGB")


def _convert_to_8_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(np.float64)
    if picture.mode.startswith("I"):
        values = values / 257  # 16 bits to 8
    elif values.max(initial=0) <= 1:
        values = values * 255
    return Image.fromarray(np.clip(values, 0, 255).round().astype(np.uint8))


class PictureDataset(InputDataset[PictureFile]):
    """Loads one picture: JPEG, PNG, WebP or another of the `FORMATS`.

    ```yaml
    painting:
      type: quartet.datasets.pictures.PictureDataset
      filepath: ${runtime_params:painting,data/01_raw/style/painting.jpg}
      hint: "set the painting with --params painting=FILE"
    ```
    """

    def __init__(
        self,
        *,
        filepath: str,
        hint: str = "set the file of the picture",
        max_megapixels: float = MAX_MEGAPIXELS,
        **options: Any,
    ):
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            hint: End of the message if the file is missing or cannot be decoded: what to do.
            max_megapixels: Most pixels of the picture, in millions.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._hint = hint
        self._max_megapixels = max_megapixels

    def load(self) -> PictureFile:
        """Return the picture.

        Raises:
            DatasetError: The file is missing, damaged or not a picture.
        """
        path = self._location.path
        try:
            content = self._location.read()
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no such file; {self._hint}") from error
        try:
            pixels = decode_picture(content, max_megapixels=self._max_megapixels)
        except ValueError as error:
            raise DatasetError(f"{path}: not a complete picture ({error}); {self._hint}") from error
        return PictureFile(PurePosixPath(path).name, pixels, hashlib.sha256(content).hexdigest())

    def preview(self) -> ImagePreview:
        """Return the picture for Kedro-Viz, PNG in base64."""
        picture = Image.fromarray(decode_picture(self._location.read(), _PREVIEW_SIDE))
        content = io.BytesIO()
        picture.save(content, "PNG")
        return ImagePreview(base64.b64encode(content.getvalue()).decode())
