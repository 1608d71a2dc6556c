"""Photographs to learn on, and the random crops of them."""

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
"""By name, read when asked for: one that cannot be read raises ValueError."""

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
_AHEAD = 4
"""Batches made before they are needed."""


def bundled_photographs() -> dict[str, Picture]:
    """Colour photographs that come with scikit-learn and scikit-image, by file name."""
    import skimage.data
    from sklearn.datasets import load_sample_image

    folder = Path(skimage.data.__file__).parent
    return {
        **{name: np.asarray(load_sample_image(name)) for name in _SCIKIT_LEARN},
        **{name: _opened(folder / name) for name in _SCIKIT_IMAGE},
    }


def bundled_test_photographs() -> dict[str, Picture]:
    """Photographs of Matplotlib and scikit-image that are not among those to learn on."""
    import skimage.data
    from matplotlib import get_data_path

    return {
        "grace_hopper.jpg": _opened(Path(get_data_path(), "sample_data/grace_hopper.jpg")),
        "camera.png": _opened(Path(skimage.data.__file__).with_name("camera.png")),
    }


def _opened(path: Path) -> Picture:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def batches_of_crops(
    photographs: Photographs, count: int, side: int, seed: int, steps: range
) -> Generator[Picture]:
    """For each step its batch of crops, made a few steps ahead in other threads.

    The crops of a step depend on the seed and its number only: a training that was stopped
    goes on with the same ones.

    Args:
        photographs: To choose from, each as likely.
        count: Crops a step.
        side: Their side, pixels.
        seed: Of all that is random here.
        steps: Their numbers, one after another.

    Yields:
        Shape (count, side, side, 3).

    Raises:
        ValueError: No photograph can be read.
    """

    def batch(step: int) -> Picture:
        generator = np.random.default_rng([seed, step])
        return random_crops(photographs, count, side, generator)

    pool = ThreadPoolExecutor(2, thread_name_prefix="crops")
    try:
        waiting = deque(pool.submit(batch, step) for step in steps[:_AHEAD])
        for step in steps:
            crops = waiting.popleft().result()
            if step + _AHEAD in steps:
                waiting.append(pool.submit(batch, step + _AHEAD))
            yield crops
    finally:
        pool.shutdown(cancel_futures=True)


def random_crops(
    photographs: Photographs, count: int, side: int, generator: np.random.Generator
) -> Picture:
    """Square parts of photographs, scaled, mirrored and lit at random.

    A part is at least 0.8 × `side` wide where the photograph is, at most all of
    it, so that things are learned at many scales. The next photograph takes the place of
    one that cannot be read.

    Args:
        photographs: To choose from, each as likely.
        count: Crops.
        side: Their side, pixels.
        generator: Of all that is random here.

    Returns:
        Shape (count, side, side, 3).

    Raises:
        ValueError: No photograph can be read.
    """
    names = list(photographs)
    crops = []
    for _ in range(count):
        chosen = int(generator.integers(len(names)))
        crops.append(_crop(_readable(photographs, names, chosen), side, generator))
    return np.stack(crops)


def can_be_read(photographs: Photographs, name: str) -> bool:
    """Whether the photograph of this name is a whole picture."""
    try:
        return photographs[name] is not None
    except ValueError:
        return False


def _readable(photographs: Photographs, names: list[str], chosen: int) -> Picture:
    for number in range(chosen, chosen + len(names)):
        try:
            return photographs[names[number % len(names)]]
        except ValueError as error:
            reason = error
    raise ValueError(
        f"none of the {len(names)} photographs can be read; the last: {reason}"
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


def scaled_to(picture: Picture, shorter_side: int) -> Picture:
    """The picture with its shorter side of this length, pixels; its proportions stay."""
    height, width = picture.shape[:2]
    factor = shorter_side / min(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
