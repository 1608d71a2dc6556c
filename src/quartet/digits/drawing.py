"""Turn strokes of a pen into an image as the classifiers were trained on.

MNIST's digits were scaled to a box of 20 × 20 pixels, and placed in 28 × 28 so that their centre
of mass is in the middle (LeCun et al., http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from quartet.digits.data import SIDE

_BOX = 20
"""Side of the box that a digit fills, pixels."""
_PEN = 2.6
"""Width of the pen, pixels: about that of MNIST's digits, however large the strokes are."""
_OVERSAMPLING = 8
"""Pixels drawn per pixel of the image, along each side: they become its grey levels."""


def draw_strokes(strokes: Sequence[ArrayLike]) -> NDArray[np.uint8]:
    """Draw strokes in the middle of an image, as large as MNIST's digits.

    Args:
        strokes: Points x, y of each stroke, shape (n, 2), in any unit; y grows downwards.

    Returns:
        Shape (28, 28), from 0 (background) to 255 (ink).

    Raises:
        ValueError: There are no points, or they are not finite pairs.
    """
    lines = [np.asarray(stroke, np.float64).reshape(-1, 2) for stroke in strokes]
    points = np.concatenate([np.empty((0, 2)), *lines])
    if not len(points) or not np.isfinite(points).all():
        raise ValueError("strokes: expected at least one point x, y of finite numbers; draw again")
    corner, size = points.min(axis=0), np.ptp(points, axis=0)
    scale = (_BOX - _PEN) / (size.max() or 1.0)
    margin = (SIDE - size * scale) / 2
    canvas = Image.new("L", (SIDE * _OVERSAMPLING, SIDE * _OVERSAMPLING))
    for line in lines:
        _draw_line(ImageDraw.Draw(canvas), ((line - corner) * scale + margin) * _OVERSAMPLING)
    return np.asarray(_center(canvas).reduce(_OVERSAMPLING))


def _draw_line(draw: ImageDraw.ImageDraw, line: NDArray[np.float64]) -> None:
    """Draw a line with round joints and ends."""
    radius = _PEN * _OVERSAMPLING / 2
    draw.line([tuple(point) for point in line], fill=255, width=round(2 * radius))
    for point in line:
        draw.ellipse([*(point - radius), *(point + radius)], fill=255)


def _center(canvas: Image.Image) -> Image.Image:
    """Move the centre of mass to the middle."""
    ink = np.asarray(canvas, np.float64)
    rows, columns = (np.average(np.arange(len(ink)), weights=ink.sum(axis=axis)) for axis in (1, 0))
    middle = (len(ink) - 1) / 2
    moved = Image.new("L", canvas.size)
    moved.paste(canvas, (round(middle - columns), round(middle - rows)))
    return moved
