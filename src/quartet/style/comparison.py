"""Compare a finished video with its source: sample pictures and consistency metrics.

Only some pairs of frames are decoded, one at a time, so memory does not grow with the
length of the video, and time hardly does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from tqdm import tqdm

from quartet.style.consistency import FLICKER_SIDE, Pair, flicker, scale_down, warping_error
from quartet.style.pairs import decode_frame_pairs, plan_stylized, scale_to_fit
from quartet.style.video import Picture, Source, VideoPlan

METRICS = (
    "flicker",
    "source_flicker",
    "still_share",
    "warping_error",
    "source_warping_error",
    "visible_share",
)
"""Metrics of each pair of frames."""

_THUMBNAIL_SIDE = 480
"""Longest side of a thumbnail, pixels."""


@dataclass(frozen=True)
class Thumbnails:
    """A source picture and its stylized version, scaled down.

    Attributes:
        caption: Time of the frame, or name of the picture.
        source: Source picture with square pixels, shape (h, w, 3).
        stylized: Stylized picture with square pixels, shape (h, w, 3).
    """

    caption: str
    source: Picture
    stylized: Picture


def compare(
    source: Source, stylized: Source, plan: VideoPlan, pairs: int, *, pictures: int = 6
) -> tuple[pd.DataFrame, list[Thumbnails]]:
    """Measure evenly spaced pairs of successive frames, and scale some frames to thumbnails.

    A video with fewer frames gives fewer pairs; a single frame gives a thumbnail and no pair.

    Args:
        source: Video that the plan was made from.
        stylized: Finished video with the same frames.
        plan: Plan of the source.
        pairs: Number of pairs; each takes about a second.
        pictures: Number of thumbnails.

    Returns:
        One row per pair: `frame`, the index of its first frame; `seconds`, the time of that frame
        from the start of the video; and the metrics, as `consistency` defines them. And evenly
        spaced thumbnails.

    Raises:
        ValueError: The videos differ in number or size of frames.
        OSError: A video cannot be read.
    """
    stylized_plan = plan_stylized(stylized, plan)
    chosen = _sample_evenly(plan.frames - 1, pairs)
    thumbnail_indices = _sample_evenly(plan.frames, pictures)
    indices = sorted({*chosen, *(index + 1 for index in chosen), *thumbnail_indices})
    rows, thumbnails = [], []
    before: Pair | None = None
    both = tqdm(
        decode_frame_pairs(source, stylized, plan, stylized_plan, indices),
        total=len(indices),
        desc="measuring flicker",
        unit="frame",
        disable=None,
        delay=2,
    )
    for index, pair in both:
        small = (scale_down(pair[0], FLICKER_SIDE), scale_down(pair[1], FLICKER_SIDE))
        del pair  # Frames can be large.
        if index in thumbnail_indices:
            caption = _format_time(_to_seconds(plan, index))
            thumbnails.append(make_thumbnails(caption, *small, sample_aspect=plan.sample_aspect))
        if before is not None and index - 1 in chosen:
            time = {"frame": index - 1, "seconds": _to_seconds(plan, index - 1)}
            rows.append(time | _measure_pair(before, small))
        before = small
    return build_table(rows), thumbnails


def make_thumbnails(
    caption: str, source: Picture, stylized: Picture, sample_aspect: tuple[int, int] = (1, 1)
) -> Thumbnails:
    """Scale a source picture and its stylized version to at most 480 pixels.

    Args:
        caption: Text above the pair.
        source: Source picture of any size, shape (h, w, 3).
        stylized: Stylized picture of any size, shape (h, w, 3).
        sample_aspect: Width to height of a pixel.
    """
    return Thumbnails(
        caption,
        *(
            scale_to_fit(each, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), sample_aspect)
            for each in (source, stylized)
        ),
    )


def build_table(rows: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Return a table of pairs of frames, with the columns `frame`, `seconds` and the metrics."""
    table = pd.DataFrame(rows, columns=["frame", "seconds", *METRICS], dtype=float)
    return table.astype({"frame": int})


def _sample_evenly(size: int, count: int) -> list[int]:
    """Return up to `count` indices below `size`: the middles of equal intervals."""
    return sorted({(2 * part + 1) * size // (2 * count) for part in range(count if size else 0)})


def _measure_pair(before: Pair, after: Pair) -> dict[str, float]:
    """Measure two successive frames, each a (source, stylized) tuple."""
    source, stylized = zip(before, after, strict=True)
    flickering, warping = flicker(source, stylized), warping_error(source, stylized)
    return {
        "flicker": flickering.stylized,
        "source_flicker": flickering.source,
        "still_share": flickering.still_share,
        "warping_error": warping.stylized,
        "source_warping_error": warping.source,
        "visible_share": warping.visible_share,
    }


def _to_seconds(plan: VideoPlan, index: int) -> float:
    return float((plan.timestamps[index] - plan.timestamps[0]) * plan.tick)


def _format_time(seconds: float) -> str:
    """Format as minutes, seconds and hundredths, with hours if there are any."""
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{clock}:{hundredths / 100:05.2f}"
