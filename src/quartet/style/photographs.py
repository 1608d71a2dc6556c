"""Load training photographs and sample random crops from them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
"""Shape (h, w, 3), RGB."""
Photographs = Mapping[str, Picture]
"""Photographs by name, read on access; access to an unreadable one raises ValueError."""

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
_PREFETCHED_BATCHES = 4
"""Batches computed ahead of use."""


def load_bundled_photographs() -> dict[str, Picture]:
    """Return colour photographs bundled with scikit-learn and scikit-image, by file name."""
    import skimage.data
    from sklearn.datasets import load_sample_image

    folder = Path(skimage.data.__file__).parent
    return {
        **{name: np.asarray(load_sample_image(name)) for name in _SCIKIT_LEARN},
        **{name: _read_photograph(folder / name) for name in _SCIKIT_IMAGE},
    }


def load_bundled_test_photographs() -> dict[str, Picture]:
    """Return photographs of Matplotlib and scikit-image that are not used for training."""
    import skimage.data
    from matplotlib import get_data_path

    return {
        "grace_hopper.jpg": _read_photograph(Path(get_data_path(), "sample_data/grace_hopper.jpg")),
        "camera.png": _read_photograph(Path(skimage.data.__file__).with_name("camera.png")),
    }


def _read_photograph(path: Path) -> Picture:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def generate_crop_batches(
    photographs: Photographs, count: int, side: int, seed: int, steps: range
) -> Generator[Picture]:
    """Yield a batch of random crops per step, computed a few steps ahead in other threads.

    The crops of a step depend only on the seed and the step, so resumed training sees the
    same ones.

    Args:
        photographs: Photographs to sample from, uniformly.
        count: Crops per batch.
        side: Side of a crop, pixels.
        seed: Random seed.
        steps: Range of steps.

    Yields:
        Shape (count, side, side, 3).

    Raises:
        ValueError: No photograph can be read.
    """

    def batch(step: int) -> Picture:
        generator = np.random.default_rng([seed, step])
        return sample_crops(photographs, count, side, generator)

    pool = ThreadPoolExecutor(2, thread_name_prefix="crops")
    try:
        pending = deque(pool.submit(batch, step) for step in steps[:_PREFETCHED_BATCHES])
        for step in steps:
            crops = pending.popleft().result()
            if step + _PREFETCHED_BATCHES in steps:
                pending.append(pool.submit(batch, step + _PREFETCHED_BATCHES))
            yield crops
    finally:
        pool.shutdown(cancel_futures=True)


def sample_crops(
    photographs: Photographs, count: int, side: int, generator: np.random.Generator
) -> Picture:
    """Return random square crops of photographs, of random scale, reflection and brightness.

    Before scaling, the side of a crop is at least 0.8 × `side`, or 0.8 × the photograph's shorter
    side if that is less, and at most the shorter side, so that objects appear at many scales. An
    unreadable photograph is replaced by the next one.

    Args:
        photographs: Photographs to sample from, uniformly.
        count: Number of crops.
        side: Side of a crop, pixels.
        generator: Random number generator.

    Returns:
        Shape (count, side, side, 3).

    Raises:
        ValueError: No photograph can be read.
    """
    names = list(photographs)
    crops = []
    for _ in range(count):
        chosen = int(generator.integers(len(names)))
        crops.append(_crop(_find_readable(photographs, names, chosen), side, generator))
    return np.stack(crops)


def is_readable(photographs: Photographs, name: str) -> bool:
    """Return whether the photograph of this name can be read."""
    try:
        return photographs[name] is not None
    except ValueError:
        return False


def _find_readable(photographs: Photographs, names: list[str], chosen: int) -> Picture:
    for index in range(chosen, chosen + len(names)):
        try:
            return photographs[names[index % len(names)]]
        except ValueError as error:
            reason = error
    raise ValueError(
        f"none of the {len(names)} photographs can be read; last error: {reason}"
    ) from reason


def _crop(photograph: Picture, side: int, generator: np.random.Generator) -> Picture:
    height, width = photograph.shape[:2]
    largest = min(height, width)
    part = int(generator.uniform(0.8 * min(side, largest), largest + 1))
    part = min(max(part, 1), largest)
    top, left = (generator.integers(size - part + 1) for size in (height, width))
    square = Image.fromarray(photograph[top : top + part, left : left + part])
    scaled = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    if generator.random() < 0.5:
        scaled = scaled[:, ::-1]
    return np.clip(scaled * generator.uniform(0.7, 1.3), 0, 255).round().astype(np.uint8)


def scale_shorter_side(picture: Picture, shorter_side: int) -> Picture:
    """Scale the picture so that its shorter side has this many pixels; keep the aspect ratio."""
    height, width = picture.shape[:2]
    factor = shorter_side / min(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
