"""A finished video beside its source: pictures to look at, and numbers on how steady it is.

Only a number of pairs of frames are looked at, and one at a time, so that neither time nor
memory grow with the length of the video more than decoding demands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from quartet.style.consistency import FLICKER_SIDE, Pair, flicker, scaled_down, warping_error
from quartet.style.pairs import fitted, frame_pairs, plan_stylized
from quartet.style.video import Picture, Source, VideoPlan

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


@dataclass(frozen=True)
class Shown:
    """A picture before and after.

    Attributes:
        caption: When it is shown, or what it is called.
        source: Scaled down, with square pixels.
        stylized: Scaled down, with square pixels.
    """

    caption: str
    source: Picture
    stylized: Picture


@dataclass(frozen=True)
class Comparison:
    """What pairs of successive frames say of a stylized video; arrays have one number a pair.

    Attributes:
        frames: Number of each pair's first frame.
        seconds: When that is shown, from the beginning of the video.
        flicker: Change of the stylized picture where the source stands still, levels.
        source_flicker: Change of the source there, levels.
        still_share: Share of the pixels where the source stands still.
        warping_error: Of the stylized picture, levels.
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
    source: Source, stylized: Source, plan: VideoPlan, pairs: int, *, pictures: int = 6
) -> Comparison:
    """Numbers on evenly spread pairs of successive frames, and some of the pictures.

    A video of fewer frames has fewer pairs, one of a single frame none, but a picture. See
    `consistency` for what the numbers mean, and when they are NaN.

    Args:
        source: That the plan was made of.
        stylized: The finished video, with the same frames.
        plan: Of the source.
        pairs: How many; each takes about a second.
        pictures: How many are shown, if it has so many frames.

    Raises:
        ValueError: Number or size of the frames differ, or a number asked for is below 1.
        OSError: A video cannot be read.
    """
    if pairs < 1 or pictures < 1:
        raise ValueError(f"at least one pair and one picture, not {pairs} and {pictures}")
    stylized_plan = plan_stylized(stylized, plan)
    chosen = _spread(plan.frames - 1, pairs)
    shown_at = _spread(plan.frames, pictures)
    wanted = sorted({*chosen, *(number + 1 for number in chosen), *shown_at})
    rows, shown = [], []
    before: tuple[int, Pair] = (-1, (_NOTHING, _NOTHING))
    both = tqdm(
        frame_pairs(source, stylized, plan, stylized_plan, wanted),
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
    caption: str, source: Picture, stylized: Picture, sample_aspect: tuple[int, int] = (1, 1)
) -> Shown:
    """Both pictures as a contact sheet needs them: at most 480 pixels large.

    Args:
        caption: To be written above.
        source: Of any size.
        stylized: Of any size.
        sample_aspect: Width to height of a pixel.
    """
    return Shown(
        caption,
        *(fitted(each, (_SHOWN_SIDE, _SHOWN_SIDE), sample_aspect) for each in (source, stylized)),
    )


def of_pictures(shown: Sequence[Shown]) -> Comparison:
    """What can be said of pictures that are no video: they can be looked at."""
    nothing = {name: np.empty(0) for name in ("seconds", *NUMBERS)}
    return Comparison(frames=np.empty(0, dtype=np.int64), shown=tuple(shown), **nothing)


def _spread(places: int, wanted: int) -> list[int]:
    """At most so many of the numbers below `places`: the middles of equal stretches."""
    return sorted(
        {(2 * part + 1) * places // (2 * wanted) for part in range(wanted if places else 0)}
    )


def _measured(before: Pair, after: Pair) -> dict[str, float]:
    """The numbers of two successive frames, each a picture of the source and one stylized."""
    source, stylized = (before[0], after[0]), (before[1], after[1])
    still, moved = flicker(source, stylized), warping_error(source, stylized)
    return {
        "flicker": still.stylized,
        "source_flicker": still.source,
        "still_share": still.still_share,
        "warping_error": moved.stylized,
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
