"""Photographs to learn on, and the random crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
"""Shape (h, w, 3), RGB."""

_SCIKIT_LEARN = ("china.jpg", "flower.jpg")
_SCIKIT_IMAGE = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "color.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)


def bundled_photographs() -> dict[str, Picture]:
    """Colour photographs that come with scikit-learn and scikit-image, by file name."""
    import skimage.data
    from sklearn.datasets import load_sample_image

    folder = Path(skimage.data.__file__).parent
    return {
        **{name: np.asarray(load_sample_image(name)) for name in _SCIKIT_LEARN},
        **{name: np.asarray(Image.open(folder / name).convert("RGB")) for name in _SCIKIT_IMAGE},
    }


def random_crops(
    photographs: Sequence[Picture], count: int, side: int, generator: np.random.Generator
) -> Picture:
    """Square parts of photographs, scaled, mirrored and lit at random.

    A part is at least 0.8 × `side` wide where the photograph is, at most all of
    it, so that things are learned at many scales.

    Args:
        photographs: To choose from, each as likely.
        count: Crops.
        side: Their side, pixels.
        generator: Of all that is random here.

    Returns:
        Shape (count, side, side, 3).
    """
    crops = [_crop(photographs, side, generator) for _ in range(count)]
    return np.stack(crops)


def _crop(photographs: Sequence[Picture], side: int, generator: np.random.Generator) -> Picture:
    photograph = photographs[int(generator.integers(len(photographs)))]
    height, width = photograph.shape[:2]
    largest = min(height, width)
    part = int(generator.uniform(0.8 * min(side, largest), largest + 1))
    top, left = (generator.integers(size - part + 1) for size in (height, width))
    square = Image.fromarray(photograph[top : top + part, left : left + part])
    scaled = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    if generator.random() < 0.5:
        scaled = scaled[:, ::-1]
    return np.clip(scaled * generator.uniform(0.7, 1.3), 0, 255).round().astype(np.uint8)


def scaled_to(picture: Picture, shorter_side: int) -> Picture:
    """The picture with its shorter side of this length, pixels; its proportions stay."""
    height, width = picture.shape[:2]
    factor = shorter_side / min(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
