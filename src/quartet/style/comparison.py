"""A finished video beside its source: pictures to look at, and numbers on how steady it is.

Only a number of pairs of frames are looked at, and one at a time, so that neither time nor
memory grow with the length of the video more than decoding demands.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise
from math import ceil

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tqdm import tqdm

from quartet.style.consistency import FLICKER_SIDE, Pair, flicker, scaled_down, warping_error
from quartet.style.decode import decode_frames
from quartet.style.probe import plan_video
from quartet.style.video import Picture, Source, VideoPlan, name_of

Numbers = NDArray[np.float64]

NUMBERS = (
    "flicker",
    "source_flicker",
    "still_share",
    "warping_error",
    "source_warping_error",
    "visible_share",
)
"""What is measured of each pair."""

_NOTHING = np.zeros((0, 0, 3), dtype=np.uint8)

_SHOWN_SIDE = 480
"""Longest side of a picture on the contact sheet, pixels."""

_PREVIEW_SECONDS = 3
_PREVIEW_RATE = 12
_PREVIEW_SIZE = (640, 360)
"""Both pictures together, pixels."""
_PREVIEW_GAP = 4
_PREVIEW_BYTES = 1_500_000
_PREVIEW_QUALITIES = (80, 65, 50, 35, 20)


@dataclass(frozen=True)
class Shown:
    """A picture before and after.

    Attributes:
        caption: When it is shown, or what it is called.
        source: Scaled down, with square pixels.
        restyled: Scaled down, with square pixels.
    """

    caption: str
    source: Picture
    restyled: Picture


@dataclass(frozen=True)
class Comparison:
    """What pairs of successive frames say of a restyled video; arrays have one number a pair.

    Attributes:
        frames: Number of each pair's first frame.
        seconds: When that is shown, from the beginning of the video.
        flicker: Change of the restyled picture where the source stands still, levels.
        source_flicker: Change of the source there, levels.
        still_share: Share of the pixels where the source stands still.
        warping_error: Of the restyled picture, levels.
        source_warping_error: Of the source, levels.
        visible_share: Share of the pixels that both frames of the pair show.
        shown: Some frames, evenly spread.
    """

    frames: NDArray[np.int64]
    seconds: Numbers
    flicker: Numbers
    source_flicker: Numbers
    still_share: Numbers
    warping_error: Numbers
    source_warping_error: Numbers
    visible_share: Numbers
    shown: tuple[Shown, ...]

    def to_table(self) -> pd.DataFrame:
        """A row a pair: `frame`, `seconds` and the numbers."""
        numbers = {name: getattr(self, name) for name in NUMBERS}
        return pd.DataFrame({"frame": self.frames, "seconds": self.seconds, **numbers})

    def means(self) -> dict[str, float]:
        """Mean of each number over the pairs that have it; without those that no pair has."""
        columns = {name: getattr(self, name) for name in NUMBERS}
        known = {name: column[~np.isnan(column)] for name, column in columns.items()}
        return {name: float(column.mean()) for name, column in known.items() if len(column)}


def compare(
    source: Source, restyled: Source, plan: VideoPlan, pairs: int, *, pictures: int = 6
) -> Comparison:
    """Numbers on evenly spread pairs of successive frames, and some of the pictures.

    A video of fewer frames has fewer pairs, one of a single frame none, but a picture. See
    `consistency` for what the numbers mean, and when they are NaN.

    Args:
        source: That the plan was made of.
        restyled: The finished video, with the same frames.
        plan: Of the source.
        pairs: How many; each takes about a second.
        pictures: How many are shown, if it has so many frames.

    Raises:
        ValueError: Number or size of the frames differ, or a number asked for is below 1.
        OSError: A video cannot be read.
    """
    if pairs < 1 or pictures < 1:
        raise ValueError(f"at least one pair and one picture, not {pairs} and {pictures}")
    restyled_plan = _same_frames(restyled, plan)
    chosen = _spread(plan.frames - 1, pairs)
    shown_at = _spread(plan.frames, pictures)
    wanted = sorted({*chosen, *(number + 1 for number in chosen), *shown_at})
    rows, shown = [], []
    before: tuple[int, Pair] = (-1, (_NOTHING, _NOTHING))
    both = tqdm(
        _both(source, restyled, plan, restyled_plan, wanted),
        total=len(wanted),
        desc="measuring flicker",
        unit="frame",
        disable=None,
        delay=2,
    )
    for number, pair in both:
        small = (scaled_down(pair[0], FLICKER_SIDE), scaled_down(pair[1], FLICKER_SIDE))
        del pair  # Frames can be large.
        if number in shown_at:
            caption = _clock(_seconds(plan, number))
            shown.append(shown_picture(caption, *small, sample_aspect=plan.sample_aspect))
        if before[0] in chosen:
            rows.append(_measured(before[1], small))
        before = (number, small)
    return Comparison(
        frames=np.array(chosen, dtype=np.int64),
        seconds=np.array([_seconds(plan, number) for number in chosen], dtype=np.float64),
        shown=tuple(shown),
        **{name: np.array([row[name] for row in rows], dtype=np.float64) for name in NUMBERS},
    )


def shown_picture(
    caption: str, source: Picture, restyled: Picture, sample_aspect: tuple[int, int] = (1, 1)
) -> Shown:
    """Both pictures as a contact sheet needs them: at most 480 pixels large.

    Args:
        caption: To be written above.
        source: Of any size.
        restyled: Of any size.
        sample_aspect: Width to height of a pixel.
    """
    return Shown(
        caption,
        *(_fitted(each, (_SHOWN_SIDE, _SHOWN_SIDE), sample_aspect) for each in (source, restyled)),
    )


def preview(source: Source, restyled: Source, plan: VideoPlan) -> bytes:
    """Three seconds from the middle, source and restyled side by side, as animated WebP.

    At most 640 × 360 pixels, 12 frames per second and 1.5 MB; it repeats for ever.

    Args:
        source: That the plan was made of.
        restyled: The finished video, with the same frames.
        plan: Of the source.

    Raises:
        ValueError: Number or size of the frames differ.
        OSError: A video cannot be read.
    """
    numbers, milliseconds = _moments(plan)
    restyled_plan = _same_frames(restyled, plan)
    pictures = [
        _side_by_side(pair, plan.sample_aspect)
        for _, pair in _both(source, restyled, plan, restyled_plan, numbers)
    ]
    return _small_animation(pictures, milliseconds)


def of_pictures(shown: Sequence[Shown]) -> Comparison:
    """What can be said of pictures that are no video: they can be looked at."""
    nothing = {name: np.empty(0) for name in ("seconds", *NUMBERS)}
    return Comparison(frames=np.empty(0, dtype=np.int64), shown=tuple(shown), **nothing)


def slide_show(shown: Sequence[Shown]) -> bytes:
    """Pictures before and after, one pair a second, as animated WebP; sizes as of `preview`."""
    sheets = [_side_by_side((each.source, each.restyled), (1, 1)) for each in shown]
    size = (max(sheet.width for sheet in sheets), max(sheet.height for sheet in sheets))
    slides = [ImageOps.pad(sheet, size, color="white") for sheet in sheets]
    return _small_animation(slides, [1000] * len(slides))


def _same_frames(restyled: Source, plan: VideoPlan) -> VideoPlan:
    """A plan of the finished video.

    Raises:
        ValueError: It has other frames than the source.
    """
    other = plan_video(restyled, plan.frames)
    found, expected = (
        f"{each.frames} frames of {each.width}×{each.height} pixels" for each in (other, plan)
    )
    if found != expected:
        raise ValueError(f"{name_of(restyled)}: has {found}, not {expected} as {plan.name}")
    return other


def _spread(places: int, wanted: int) -> list[int]:
    """At most so many of the numbers below `places`: the middles of equal stretches."""
    return sorted(
        {(2 * part + 1) * places // (2 * wanted) for part in range(wanted if places else 0)}
    )


def _both(
    source: Source, restyled: Source, plan: VideoPlan, restyled_plan: VideoPlan, wanted: list[int]
) -> Iterator[tuple[int, Pair]]:
    """The wanted frames of both videos, each with its number; `wanted` ascends.

    Frames that hang on the same key frame are decoded in one go.
    """
    for _, group in groupby(wanted, lambda number: bisect_right(plan.keys, number)):
        numbers = set(group)
        first, last = min(numbers), max(numbers) + 1
        decoded = zip(
            decode_frames(source, plan, first, last),
            decode_frames(restyled, restyled_plan, first, last),
            strict=True,
        )
        for left, right in decoded:
            if left.number in numbers:
                yield left.number, (left.rgb, right.rgb)


def _measured(before: Pair, after: Pair) -> dict[str, float]:
    """The numbers of two successive frames, each a picture of the source and one restyled."""
    source, restyled = (before[0], after[0]), (before[1], after[1])
    still, moved = flicker(source, restyled), warping_error(source, restyled)
    return {
        "flicker": still.restyled,
        "source_flicker": still.source,
        "still_share": still.still_share,
        "warping_error": moved.restyled,
        "source_warping_error": moved.source,
        "visible_share": moved.visible_share,
    }


def _seconds(plan: VideoPlan, number: int) -> float:
    return float((plan.timestamps[number] - plan.timestamps[0]) * plan.tick)


def _clock(seconds: float) -> str:
    """Hours where there are any, minutes, seconds and hundredths."""
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{clock}:{hundredths / 100:05.2f}"


def _fitted(picture: Picture, size: tuple[int, int], sample_aspect: tuple[int, int]) -> Picture:
    """The picture with square pixels, scaled down to fit into width and height."""
    height, width = picture.shape[:2]
    shown_width = width * sample_aspect[0] / sample_aspect[1]
    factor = min(1.0, size[0] / shown_width, size[1] / height)
    fitted = (max(1, round(shown_width * factor)), max(1, round(height * factor)))
    if fitted == (width, height):
        return picture
    scaled = Image.fromarray(picture).resize(fitted, Image.Resampling.LANCZOS, reducing_gap=3)
    return np.asarray(scaled)


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
    left, right = (Image.fromarray(_fitted(each, size, sample_aspect)) for each in pair)
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
