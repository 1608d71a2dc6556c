"""Measure the temporal consistency of stylized pictures on pairs of successive frames.

Flicker is change without motion. The warping error of Lai et al. (2018), "Learning Blind
Video Temporal Consistency", also covers motion: strokes should move with the objects they
are painted on. The same metrics of the source are the lower bound: noise, changes of
light, and errors of the measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quartet.style.video import Picture

Pair = tuple[Picture, Picture]
"""Two pictures of shape (h, w, 3): successive frames, or a frame and its stylized version."""

Flow = NDArray[np.float32]
"""Shape (2, h, w): displacement in rows and columns from each pixel to its match in the other
picture."""

_STILL = 4
"""Largest change of a still pixel, levels, as a mean over 3 × 3 pixels."""

_MIN_STILL_SHARE = 0.05
_MIN_VISIBLE_SHARE = 0.1
"""Shares of the pixels below which a metric is not meaningful."""

_MAX_SOURCE_ERROR = 40
"""Levels; a source whose warping error is larger shows another scene."""

FLICKER_SIDE = 1280
FLOW_SIDE = 256
"""Longest sides on which flicker and motion are measured, pixels."""

_MIN_FLOW_SIDE = 16
"""Shortest side of a picture on which optical flow can be computed, pixels."""

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32) / 255


@dataclass(frozen=True)
class Flicker:
    """Change within a pair of frames where the source is still.

    Attributes:
        stylized: Mean absolute change of the stylized picture, levels; NaN where hardly any
            pixel is still.
        source: Mean absolute change of the source on the same pixels, levels; the lower bound.
        still_share: Share of the pixels where the source is still.
    """

    stylized: float
    source: float
    still_share: float


@dataclass(frozen=True)
class WarpingError:
    """Difference within a pair of frames after motion compensation.

    Attributes:
        stylized: Root mean square difference, levels; NaN where the frames show different
            scenes.
        source: Root mean square difference of the source on the same pixels, levels; the
            lower bound.
        visible_share: Share of the pixels visible in both frames.
    """

    stylized: float
    source: float
    visible_share: float


def flicker(source: Pair, stylized: Pair) -> Flicker:
    """Return the mean absolute change of the stylized picture over still pixels of the source.

    A pixel is still if the source changes by at most 4 levels: the absolute change of the
    channel that changes most, as a mean over 3 × 3 pixels. A uniform area, such as sky, is
    still even if the camera moves. The mean covers those pixels and all three channels, in
    levels from 0 to 255. Pictures with a side above 1280 pixels are scaled down first. If
    fewer than 5 % of the pixels are still, the values are NaN.

    Args:
        source: Two successive frames, each of shape (h, w, 3).
        stylized: The same frames, stylized, of the same shape.
    """
    from scipy.ndimage import uniform_filter

    change = absolute_difference(*(scale_down(picture, FLICKER_SIDE) for picture in source))
    still = uniform_filter(change.max(axis=2).astype(np.float32), 3, mode="nearest") <= _STILL
    share = float(still.mean())
    if share < _MIN_STILL_SHARE:
        return Flicker(np.nan, np.nan, share)
    stylized_change = absolute_difference(
        *(scale_down(picture, FLICKER_SIDE) for picture in stylized)
    )
    return Flicker(float(stylized_change[still].mean()), float(change[still].mean()), share)


def warping_error(source: Pair, stylized: Pair) -> WarpingError:
    """Return the difference between a stylized frame and the motion-compensated one before it.

    Motion is the optical flow of the source by TV-L1 (Zach et al., 2007), on pictures of at
    most 256 pixels a side. Pixels that are not visible in both frames are excluded: those
    where forward and backward flow do not cancel out (Sundaram et al., 2010, as in Lai et
    al.), and those from outside the picture. The result is the root mean square difference
    over the other pixels and the three channels, in levels from 0 to 255. Lai et al. report
    the mean squared length with levels from 0 to 1: (`stylized` / 255)² × 3. The values are
    NaN after a cut, that is, if fewer than 10 % of the pixels are visible in both frames or
    the source differs by more than 40 levels, and if a side is below 16 pixels.

    Args:
        source: Two successive frames, each of shape (h, w, 3).
        stylized: The same frames, stylized, of the same shape.
    """
    before, after = (scale_down(picture, FLOW_SIDE) for picture in source)
    if min(before.shape[:2]) < _MIN_FLOW_SIDE:
        return WarpingError(np.nan, np.nan, np.nan)
    backward, forward = optical_flow(after, before), optical_flow(before, after)
    visible = visibility_mask(backward, forward)
    share = float(visible.mean())
    source_error = (
        _rms_difference(warp(before, backward), after, visible)
        if share >= _MIN_VISIBLE_SHARE
        else np.nan
    )
    if not source_error <= _MAX_SOURCE_ERROR:
        return WarpingError(np.nan, np.nan, share)
    earlier, later = (scale_down(picture, FLOW_SIDE) for picture in stylized)
    return WarpingError(
        _rms_difference(warp(earlier, backward), later, visible), source_error, share
    )


def optical_flow(reference: Picture, other: Picture) -> Flow:
    """Return where each pixel of `reference` is in `other`: shape (2, h, w), rows and columns.

    Uses scikit-image's TV-L1. On two views of a photograph with another photograph moving in
    front, the warping error of the source is 5 levels, at 0.25 s for 256 × 144 pixels;
    scikit-image's other method, ILK, gives 5 to 8 levels at 0.1 s.
    """
    from skimage.registration import optical_flow_tvl1

    return np.asarray(optical_flow_tvl1(reference @ _GREY, other @ _GREY), dtype=np.float32)


def warp(picture: Picture, flow: Flow) -> NDArray[np.float32]:
    """Warp a picture along the flow with cubic splines; shape (h, w, 3)."""
    from scipy.ndimage import map_coordinates

    positions = np.indices(flow.shape[1:], dtype=np.float32) + flow
    channels = [
        map_coordinates(
            picture[..., channel].astype(np.float32), positions, order=3, mode="nearest"
        )
        for channel in range(3)
    ]
    return np.stack(channels, axis=2)


def visibility_mask(backward: Flow, forward: Flow) -> NDArray[np.bool_]:
    """Return which pixels of the later picture are visible in the earlier one, shape (h, w).

    Args:
        backward: Flow from the later picture to the earlier one.
        forward: Flow from the earlier picture to the later one.
    """
    from scipy.ndimage import map_coordinates

    positions = np.indices(backward.shape[1:], dtype=np.float32) + backward
    returned = np.stack(
        [map_coordinates(axis, positions, order=1, mode="nearest") for axis in forward]
    )
    round_trip = ((backward + returned) ** 2).sum(axis=0)
    lengths = (backward**2 + returned**2).sum(axis=0)
    last = np.array(backward.shape[1:], dtype=np.float32).reshape(2, 1, 1) - 1
    inside = ((positions >= 0) & (positions <= last)).all(axis=0)
    # The bounds of Sundaram et al., pixels².
    return inside & (round_trip <= 0.01 * lengths + 0.5)


def scale_down(picture: Picture, side: int) -> Picture:
    """Return the picture, scaled down if its longest side exceeds `side` pixels."""
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = Image.fromarray(picture).resize(size, Image.Resampling.BOX, reducing_gap=2)
    return np.asarray(small)


def _rms_difference(first: NDArray[np.float32], second: Picture, mask: NDArray[np.bool_]) -> float:
    return float(np.sqrt(np.mean((first[mask] - second[mask]) ** 2)))


def absolute_difference(before: Picture, after: Picture) -> Picture:
    """Return the absolute difference of uint8 arrays of the same shape, as uint8."""
    return np.maximum(before, after) - np.minimum(before, after)
