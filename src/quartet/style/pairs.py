"""Frames of a video and of what was made of it, two by two."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby

import numpy as np
from PIL import Image

from quartet.style.consistency import Pair
from quartet.style.decode import decode_frames
from quartet.style.probe import plan_video
from quartet.style.video import Picture, Source, VideoPlan, name_of


def plan_stylized(stylized: Source, plan: VideoPlan) -> VideoPlan:
    """A plan of the finished video.

    Raises:
        ValueError: It has other frames than the source.
    """
    other = plan_video(stylized, plan.frames)
    found, expected = (
        f"{each.frames} frames of {each.width}×{each.height} pixels" for each in (other, plan)
    )
    if found != expected:
        raise ValueError(f"{name_of(stylized)}: has {found}, not {expected} as {plan.name}")
    return other


def frame_pairs(
    source: Source, stylized: Source, plan: VideoPlan, stylized_plan: VideoPlan, wanted: list[int]
) -> Iterator[tuple[int, Pair]]:
    """The wanted frames of both videos, each with its number; `wanted` ascends.

    Frames that hang on the same key frame are decoded in one go.
    """
    for _, group in groupby(wanted, lambda number: bisect_right(plan.keys, number)):
        numbers = set(group)
        first, last = min(numbers), max(numbers) + 1
        decoded = zip(
            decode_frames(source, plan, first, last),
            decode_frames(stylized, stylized_plan, first, last),
            strict=True,
        )
        for left, right in decoded:
            if left.number in numbers:
                yield left.number, (left.rgb, right.rgb)


def fitted(picture: Picture, size: tuple[int, int], sample_aspect: tuple[int, int]) -> Picture:
    """The picture with square pixels, scaled down to fit into width and height."""
    height, width = picture.shape[:2]
    shown_width = width * sample_aspect[0] / sample_aspect[1]
    factor = min(1.0, size[0] / shown_width, size[1] / height)
    shown = (max(1, round(shown_width * factor)), max(1, round(height * factor)))
    if shown == (width, height):
        return picture
    scaled = Image.fromarray(picture).resize(shown, Image.Resampling.LANCZOS, reducing_gap=3)
    return np.asarray(scaled)
