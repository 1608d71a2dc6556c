"""How steady stylized pictures are in time: numbers on pairs of successive frames.

Flicker is what changes though nothing moves. The warping error of Lai et al. (2018),
"Learning Blind Video Temporal Consistency", also counts what moves: strokes ought to move
with the things they are painted on. The source's own numbers are the floor: noise, light,
and what the measurement itself gets wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quartet.style.video import Picture

Pair = tuple[Picture, Picture]
"""A frame and the one after it, both of shape (h, w, 3)."""

Flow = NDArray[np.float32]
"""Shape (2, h, w): rows and columns from each pixel to its like in the other picture."""

_STILL = 4
"""Levels, in the mean of 3 × 3 pixels, up to which a source that changes stands still."""

_LEAST_STILL = 0.05
_LEAST_VISIBLE = 0.1
"""Share of the pixels: a number that rests on fewer says nothing of the picture."""

_LARGEST_FLOOR = 40
"""Levels: a source that differs by more, its movement undone, is another scene."""

FLICKER_SIDE = 1280
FLOW_SIDE = 256
"""Longest side on which flicker and movement are measured, pixels."""

_FLOW_LEAST = 16
"""Shortest side of a picture in which movement can be found, pixels."""

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32) / 255


@dataclass(frozen=True)
class Flicker:
    """What changes in a pair where its source stands still.

    Attributes:
        stylized: Mean absolute change of the stylized picture, levels; NaN where hardly
            anything stands still.
        source: That of the source on the same pixels, levels; the floor.
        still_share: Share of the pixels where the source stands still.
    """

    stylized: float
    source: float
    still_share: float


@dataclass(frozen=True)
class WarpingError:
    """What differs in a pair once its movement is undone.

    Attributes:
        stylized: Root mean square difference, levels; NaN where the frames show different
            scenes.
        source: That of the source on the same pixels, levels; the floor.
        visible_share: Share of the pixels that are seen in both frames.
    """

    stylized: float
    source: float
    visible_share: float


def flicker(source: Pair, stylized: Pair) -> Flicker:
    """The mean absolute change of the stylized picture over pixels where the source stands still.

    A pixel stands still if the change of the source is at most 4 levels: the absolute
    change of the channel that changes most, mean of the 3 × 3 pixels around. An even area,
    as a sky, stands still also when the camera moves. The mean goes over those pixels and the
    three channels, in levels from 0 to 255. Pictures with a side above 1280 pixels are scaled
    down to that before. Where fewer than 5 % of the pixels stand still, the numbers are NaN.

    Args:
        source: Two successive frames.
        stylized: The same frames, stylized.

    Raises:
        ValueError: The four pictures are not of one size.
    """
    from scipy.ndimage import uniform_filter

    _check(source, stylized)
    change = _change(*(scaled_down(picture, FLICKER_SIDE) for picture in source))
    still = uniform_filter(change.max(axis=2).astype(np.float32), 3, mode="nearest") <= _STILL
    share = float(still.mean())
    if share < _LEAST_STILL:
        return Flicker(np.nan, np.nan, share)
    stylized_change = _change(*(scaled_down(picture, FLICKER_SIDE) for picture in stylized))
    return Flicker(float(stylized_change[still].mean()), float(change[still].mean()), share)


def warping_error(source: Pair, stylized: Pair) -> WarpingError:
    """How far the stylized frame is from the one before it, moved as the source moves.

    The movement is the optical flow of the source by TV-L1 (Zach et al., 2007), on pictures
    of at most 256 pixels a side. Left out is what is not seen in both frames: where the
    flow there and the flow back do not cancel out (Sundaram et al., 2010, as in Lai et al.),
    and what comes from outside the picture. The difference is the root of the mean square
    over those pixels and the three channels, in levels from 0 to 255; Lai et al. give the
    mean of the squared lengths, levels from 0 to 1: (`stylized` / 255)² × 3. The numbers are
    NaN after a cut, that is, where fewer than 10 % of the pixels are seen twice or the source
    itself differs by more than 40 levels, and if a side is below 16 pixels.

    Args:
        source: Two successive frames.
        stylized: The same frames, stylized.

    Raises:
        ValueError: The four pictures are not of one size.
    """
    _check(source, stylized)
    before, after = (scaled_down(picture, FLOW_SIDE) for picture in source)
    if min(before.shape[:2]) < _FLOW_LEAST:
        return WarpingError(np.nan, np.nan, np.nan)
    back, forth = optical_flow(after, before), optical_flow(before, after)
    visible = visible_in_both(back, forth)
    share = float(visible.mean())
    floor = _distance(warped(before, back), after, visible) if share >= _LEAST_VISIBLE else np.nan
    if not floor <= _LARGEST_FLOOR:
        return WarpingError(np.nan, np.nan, share)
    earlier, later = (scaled_down(picture, FLOW_SIDE) for picture in stylized)
    return WarpingError(_distance(warped(earlier, back), later, visible), floor, share)


def optical_flow(reference: Picture, moved: Picture) -> Flow:
    """Where each pixel of `reference` is in `moved`: shape (2, h, w), pixels down and right.

    By skimage's TV-L1. Between two views of a photograph, before which another one moves, the
    source's warping error with it is 5 levels, at 0.25 s for 256 × 144 pixels; with skimage's
    other method, ILK, 5 to 8 levels, at 0.1 s.
    """
    from skimage.registration import optical_flow_tvl1

    return np.asarray(optical_flow_tvl1(reference @ _GREY, moved @ _GREY), dtype=np.float32)


def warped(picture: Picture, flow: Flow) -> NDArray[np.float32]:
    """The picture whose pixels are those that the flow points to, by cubic splines."""
    from scipy.ndimage import map_coordinates

    places = np.indices(flow.shape[1:], dtype=np.float32) + flow
    channels = [
        map_coordinates(picture[..., channel].astype(np.float32), places, order=3, mode="nearest")
        for channel in range(3)
    ]
    return np.stack(channels, axis=2)


def visible_in_both(back: Flow, forth: Flow) -> NDArray[np.bool_]:
    """Which pixels of the later picture are seen in the earlier one too; shape (h, w).

    Args:
        back: From the later picture to the earlier one.
        forth: From the earlier picture to the later one.
    """
    from scipy.ndimage import map_coordinates

    places = np.indices(back.shape[1:], dtype=np.float32) + back
    returned = np.stack([map_coordinates(axis, places, order=1, mode="nearest") for axis in forth])
    gap = ((back + returned) ** 2).sum(axis=0)
    lengths = (back**2 + returned**2).sum(axis=0)
    last = np.array(back.shape[1:], dtype=np.float32).reshape(2, 1, 1) - 1
    inside = ((places >= 0) & (places <= last)).all(axis=0)
    return inside & (gap <= 0.01 * lengths + 0.5)


def scaled_down(picture: Picture, side: int) -> Picture:
    """The picture, scaled down to `side` pixels if its longest side is longer."""
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = Image.fromarray(picture).resize(size, Image.Resampling.BOX, reducing_gap=2)
    return np.asarray(small)


def _distance(first: NDArray[np.float32], second: Picture, chosen: NDArray[np.bool_]) -> float:
    return float(np.sqrt(np.mean((first[chosen] - second[chosen]) ** 2)))


def _change(before: Picture, after: Picture) -> Picture:
    return np.maximum(before, after) - np.minimum(before, after)


def _check(source: Pair, stylized: Pair) -> None:
    shapes = [picture.shape for picture in (*source, *stylized)]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"the frames to compare must be of one size, not {shapes[0]} and {shapes[1]} beside "
            f"{shapes[2]} and {shapes[3]} stylized"
        )
