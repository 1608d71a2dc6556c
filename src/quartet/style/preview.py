"""Render source and stylized pictures side by side as a small animation."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil

from PIL import Image, ImageOps

from quartet.style.comparison import Thumbnails
from quartet.style.consistency import Pair
from quartet.style.pairs import decode_frame_pairs, plan_stylized, scale_to_fit
from quartet.style.video import Source, VideoPlan

_PREVIEW_SECONDS = 3
_PREVIEW_RATE = 12
_PREVIEW_SIZE = (640, 360)
"""Width and height of both pictures together, pixels."""
_PREVIEW_GAP = 4
"""White columns between them, pixels."""
_PREVIEW_BYTES = 1_500_000
_PREVIEW_QUALITIES = (80, 65, 50, 35, 20)
"""Quality settings of WebP, tried until the file is small enough."""


def render_preview(source: Source, stylized: Source, plan: VideoPlan) -> bytes:
    """Return three seconds from the middle, source and stylized side by side, as animated WebP.

    It has at most 640 × 360 pixels, 12 frames per second and 1.5 MB, and loops.

    Args:
        source: Video that the plan was made from.
        stylized: Finished video with the same frames.
        plan: Plan of the source.

    Raises:
        ValueError: The videos differ in number or size of frames.
        OSError: A video cannot be read.
    """
    indices, milliseconds = _select_frames(plan)
    stylized_plan = plan_stylized(stylized, plan)
    pictures = [
        _side_by_side(pair, plan.sample_aspect)
        for _, pair in decode_frame_pairs(source, stylized, plan, stylized_plan, indices)
    ]
    return _encode_within_limit(pictures, milliseconds)


def render_slide_show(thumbnails: Sequence[Thumbnails]) -> bytes:
    """Return pairs of pictures, one per second, as animated WebP within the same limits."""
    sheets = [_side_by_side((each.source, each.stylized), (1, 1)) for each in thumbnails]
    size = (max(sheet.width for sheet in sheets), max(sheet.height for sheet in sheets))
    slides = [ImageOps.pad(sheet, size, color="white") for sheet in sheets]
    return _encode_within_limit(slides, [1000] * len(slides))


def _select_frames(plan: VideoPlan) -> tuple[list[int], list[int]]:
    """Return the indices of the frames, and how long each is displayed, milliseconds."""
    ticks = plan.end - plan.timestamps[0]
    length = min(Fraction(ticks), _PREVIEW_SECONDS / plan.tick)
    start = plan.timestamps[0] + (ticks - length) / 2
    step = 1 / (_PREVIEW_RATE * plan.tick)
    times = [start + count * step for count in range(ceil(length / step))]
    indices = sorted({max(0, bisect_right(plan.timestamps, time) - 1) for time in times})
    changes = [Fraction(plan.timestamps[index]) for index in indices[1:]]
    edges = [start, *changes, start + length]
    milliseconds = [round(1000 * (edge - start) * plan.tick) for edge in edges]
    return indices, [max(1, end - begin) for begin, end in pairwise(milliseconds)]


def _side_by_side(pair: Pair, sample_aspect: tuple[int, int]) -> Image.Image:
    width, height = _PREVIEW_SIZE
    size = ((width - _PREVIEW_GAP) // 2, height)
    left, right = (Image.fromarray(scale_to_fit(each, size, sample_aspect)) for each in pair)
    sheet = Image.new("RGB", (2 * left.width + _PREVIEW_GAP, left.height), "white")
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + _PREVIEW_GAP, 0))
    return sheet


def _encode_within_limit(pictures: list[Image.Image], milliseconds: list[int]) -> bytes:
    while True:
        for quality in _PREVIEW_QUALITIES:
            content = _encode_animation(pictures, milliseconds, quality)
            if len(content) < _PREVIEW_BYTES:
                return content
        pictures = [picture.reduce(2) for picture in pictures]


def _encode_animation(pictures: list[Image.Image], milliseconds: list[int], quality: int) -> bytes:
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
