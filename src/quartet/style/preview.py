"""Source and stylized side by side, as a small animation."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil

from PIL import Image, ImageOps

from quartet.style.comparison import Shown
from quartet.style.consistency import Pair
from quartet.style.pairs import fitted, frame_pairs, plan_stylized
from quartet.style.video import Source, VideoPlan

_PREVIEW_SECONDS = 3
_PREVIEW_RATE = 12
_PREVIEW_SIZE = (640, 360)
"""Both pictures together, pixels."""
_PREVIEW_GAP = 4
_PREVIEW_BYTES = 1_500_000
_PREVIEW_QUALITIES = (80, 65, 50, 35, 20)


def preview(source: Source, stylized: Source, plan: VideoPlan) -> bytes:
    """Three seconds from the middle, source and stylized side by side, as animated WebP.

    At most 640 × 360 pixels, 12 frames per second and 1.5 MB; it repeats for ever.

    Args:
        source: That the plan was made of.
        stylized: The finished video, with the same frames.
        plan: Of the source.

    Raises:
        ValueError: Number or size of the frames differ.
        OSError: A video cannot be read.
    """
    numbers, milliseconds = _moments(plan)
    stylized_plan = plan_stylized(stylized, plan)
    pictures = [
        _side_by_side(pair, plan.sample_aspect)
        for _, pair in frame_pairs(source, stylized, plan, stylized_plan, numbers)
    ]
    return _small_animation(pictures, milliseconds)


def slide_show(shown: Sequence[Shown]) -> bytes:
    """Pictures before and after, one pair a second, as animated WebP; sizes as of `preview`."""
    sheets = [_side_by_side((each.source, each.stylized), (1, 1)) for each in shown]
    size = (max(sheet.width for sheet in sheets), max(sheet.height for sheet in sheets))
    slides = [ImageOps.pad(sheet, size, color="white") for sheet in sheets]
    return _small_animation(slides, [1000] * len(slides))


def _moments(plan: VideoPlan) -> tuple[list[int], list[int]]:
    """Numbers of the preview's frames, and how long each is shown, milliseconds."""
    ticks = plan.end - plan.timestamps[0]
    length = min(Fraction(ticks), _PREVIEW_SECONDS / plan.tick)
    start = plan.timestamps[0] + (ticks - length) / 2
    step = 1 / (_PREVIEW_RATE * plan.tick)
    times = [start + count * step for count in range(ceil(length / step))]
    numbers = sorted({max(0, bisect_right(plan.timestamps, time) - 1) for time in times})
    changes = [Fraction(plan.timestamps[number]) for number in numbers[1:]]
    edges = [start, *changes, start + length]
    milliseconds = [round(1000 * (edge - start) * plan.tick) for edge in edges]
    return numbers, [max(1, end - begin) for begin, end in pairwise(milliseconds)]


def _side_by_side(pair: Pair, sample_aspect: tuple[int, int]) -> Image.Image:
    width, height = _PREVIEW_SIZE
    size = ((width - _PREVIEW_GAP) // 2, height)
    left, right = (Image.fromarray(fitted(each, size, sample_aspect)) for each in pair)
    sheet = Image.new("RGB", (2 * left.width + _PREVIEW_GAP, left.height), "white")
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + _PREVIEW_GAP, 0))
    return sheet


def _small_animation(pictures: list[Image.Image], milliseconds: list[int]) -> bytes:
    while True:
        for quality in _PREVIEW_QUALITIES:
            content = _animation(pictures, milliseconds, quality)
            if len(content) < _PREVIEW_BYTES:
                return content
        pictures = [picture.reduce(2) for picture in pictures]


def _animation(pictures: list[Image.Image], milliseconds: list[int], quality: int) -> bytes:
    content = io.BytesIO()
    pictures[0].save(
        content,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds,
        loop=0,
        quality=quality,
        method=4,
    )
    return content.getvalue()
