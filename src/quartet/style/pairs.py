"""Decode a source video and its stylized version frame by frame in pairs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby

import numpy as np
from PIL import Image

from quartet.style.consistency import Pair
from quartet.style.decode import decode_frames
from quartet.style.probe import plan_video
from quartet.style.video import Picture, Source, VideoPlan, source_name


def plan_stylized(stylized: Source, plan: VideoPlan) -> VideoPlan:
    """Return a plan of the stylized video.

    Raises:
        ValueError: Its frames differ from the source's in number or size.
    """
    other = plan_video(stylized, plan.frames)
    found, expected = (
        f"{each.frames} frames of {each.width}×{each.height} pixels" for each in (other, plan)
    )
    if found != expected:
        raise ValueError(
            f"{source_name(stylized)}: has {found}, expected {expected} as in {plan.name}"
        )
    return other


def decode_frame_pairs(
    source: Source,
    stylized: Source,
    plan: VideoPlan,
    stylized_plan: VideoPlan,
    wanted_indices: list[int],
) -> Iterator[tuple[int, Pair]]:
    """Yield the frames of both videos at ascending indices: the index, and (source, stylized).

    Frames that depend on the same key frame are decoded in one pass.
    """
    for _, group in groupby(wanted_indices, lambda index: bisect_right(plan.keys, index)):
        indices = set(group)
        first, last = min(indices), max(indices) + 1
        decoded = zip(
            decode_frames(source, plan, first, last),
            decode_frames(stylized, stylized_plan, first, last),
            strict=True,
        )
        for left, right in decoded:
            if left.index in indices:
                yield left.index, (left.rgb, right.rgb)


def scale_to_fit(
    picture: Picture, size: tuple[int, int], sample_aspect: tuple[int, int]
) -> Picture:
    """Return the picture with square pixels, scaled down to fit into `size` (width, height)."""
    height, width = picture.shape[:2]
    shown_width = width * sample_aspect[0] / sample_aspect[1]
    factor = min(1.0, size[0] / shown_width, size[1] / height)
    shown = (max(1, round(shown_width * factor)), max(1, round(height * factor)))
    if shown == (width, height):
        return picture
    scaled = Image.fromarray(picture).resize(shown, Image.Resampling.LANCZOS, reducing_gap=3)
    return np.asarray(scaled)
