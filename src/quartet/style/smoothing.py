"""Reduce flicker: where the source is still, blend each stylized picture with the previous one.

The network processes each frame independently, and noise of a camera or codec that is
hardly visible in the source may change brush strokes. A recursive filter reduces this. Only
the source controls it, so moving objects do not lag, and nothing remains after a cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter
from scipy.ndimage import uniform_filter

from quartet.style.consistency import absolute_difference
from quartet.style.video import Picture

_STILL_BELOW = 4
_MOVING_FROM = 12
"""Change of the source, levels, up to which it counts as noise, and from which on as motion."""

_ANALYSIS_HEIGHT = 180
"""Approximate shorter side of the reduced pictures in which motion is detected; at least two pixels
are averaged in each direction."""

_CELL_SIDE = 8
"""Side of the cells, pixels of the reduced picture, in which the surroundings are averaged."""

_BAND_ROWS = 32
"""Rows blended at a time, so that they stay in the CPU cache."""

_LEVELS = np.arange(256)
_STILLNESS = np.clip(255 * (_MOVING_FROM - _LEVELS) / (_MOVING_FROM - _STILL_BELOW), 0, 255).astype(
    np.uint8
)


def warm_up_frames(strength: float) -> int:
    """Return how many frames before a segment to smooth first, where they exist.

    Their number is the mean age of the pictures in a weighted mean: 2 at a strength of 0.7.
    If flicker is noise, the first frame of the segment then differs from the frame before by
    1.3 times as much as frames within a segment, and by less than without smoothing.
    """
    return round(strength / (1 - strength))


class Smoother:
    """Reduce the flicker of stylized pictures frame by frame with a recursive filter.

    Where the source is still, the output is `strength` times the previous output plus
    1 - `strength` times the stylized picture; where it moves, the stylized picture; in
    between, interpolated. The first outputs are means of the pictures so far. Motion is the
    change of the source since the previous frame, in block means (4 × 4 pixels at 720 lines,
    where noise mostly cancels out) of the channel that changes most: up to 4 levels are still,
    12 levels are full motion, which also extends to neighbouring blocks. A uniform area
    surrounded by motion, such as the sky while the camera pans, also counts as moving. Only
    one frame is kept in memory.

    Args:
        strength: From 0 (off) to below 1. At 0.7, flicker has 0.4 times its amplitude, and
            slow changes of light are delayed by two frames.
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength
        self._frames = 0
        self._previous_source: Image.Image | None = None
        """Source of the previous frame, scaled down."""
        self._previous_result = np.empty((0, 0), dtype=np.float32)
        """Previous output, shape (h, 3 w), not rounded: rounded values would not converge to a
        constant colour."""

    def smooth(self, source: Picture, stylized: Picture) -> Picture:
        """Return the stylized picture of the next frame with less flicker.

        Args:
            source: Frame of the source, shape (h, w, 3).
            stylized: Stylized frame of the same shape, which is that of all frames.
        """
        if self._previous_source is None:
            self._previous_result = _flatten_rows(stylized).astype(np.float32)
        before, self._previous_source = self._previous_source, _downscale(source)
        self._frames += 1
        if before is None:
            return stylized
        return _blend(
            self._previous_result,
            stylized,
            _stillness_mask(before, self._previous_source),
            min(self._strength, 1 - 1 / self._frames),
        )


def _flatten_rows(picture: Picture) -> Picture:
    return picture.reshape(len(picture), -1)


def _downscale(picture: Picture) -> Image.Image:
    """Average blocks of `_block_side` pixels, partial ones at the right and bottom included."""
    return Image.fromarray(picture).reduce(_block_side(picture))


def _block_side(picture: Picture) -> int:
    return max(2, round(min(picture.shape[:2]) / _ANALYSIS_HEIGHT))


def _stillness_mask(before: Image.Image, after: Image.Image) -> NDArray[np.uint8]:
    """Return how still each block is: 0 where it or a neighbour moves, 255 where nothing changes.

    The transition is soft, and lies outside the moving area.
    """
    change = _max_over_channels(ImageChops.difference(before, after))
    static_camera = _static_camera_weight(change, after)
    _dilate(change)
    still = Image.fromarray(_STILLNESS.take(change)).filter(ImageFilter.BoxBlur(1))
    return np.asarray(ImageChops.multiply(still, static_camera))


def _static_camera_weight(change: NDArray[np.uint8], after: Image.Image) -> Image.Image:
    """Estimate how static the camera is around each block, from 0 to 255.

    A uniform sky looks unchanged while the camera pans, although its strokes should move. So
    static structure is weighed against motion nearby; without either, the camera is static.
    """
    grey = np.array(after.convert("L"))
    structure = np.zeros_like(grey)
    structure[1:, 1:] = np.maximum(absolute_difference(grey[1:, 1:], grey[:-1, 1:]),
                                   absolute_difference(grey[1:, 1:], grey[1:, :-1]))  # fmt: skip
    stays = (structure > _MOVING_FROM) & (change <= _STILL_BELOW)
    shares = []  # of static structure, and of motion: nearby, with a little of the whole picture
    for mask in (stays, change >= _MOVING_FROM):
        coarse = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).reduce(_CELL_SIDE)
        cells = np.asarray(coarse, dtype=np.float32) / 255
        near = uniform_filter(cells, max(cells.shape) // 3 + 1, mode="nearest")
        shares.append(near + np.float32(0.2) * cells.mean())
    ratio = (shares[0] + 1e-3) / (shares[0] + shares[1] + 1e-3)
    # The camera counts as moving up to a ratio of 0.05, as static from 0.25 on.
    levels = np.clip(255 * (ratio - 0.05) / 0.2, 0, 255).astype(np.uint8)
    return Image.fromarray(levels).resize(after.size, Image.Resampling.BILINEAR)


def _max_over_channels(difference: Image.Image) -> NDArray[np.uint8]:
    """Return the change of the channel that changes most, shape (h, w)."""
    red, green, blue = difference.split()
    return np.array(ImageChops.lighter(ImageChops.lighter(red, green), blue))


def _dilate(change: NDArray[np.uint8]) -> None:
    """Replace each value with the maximum of the 3 × 3 values around it, in place.

    This takes a fifth of the time of `scipy.ndimage.maximum_filter`.
    """
    for lines in (change, change.T):
        original = lines.copy()
        np.maximum(lines[1:], original[:-1], out=lines[1:])
        np.maximum(lines[:-1], original[1:], out=lines[:-1])


def _blend(
    shown: NDArray[np.float32], stylized: Picture, still: NDArray[np.uint8], strength: float
) -> Picture:
    """Update `shown` towards the stylized picture, less where it is still; return it rounded."""
    side = _block_side(stylized)
    new = _flatten_rows(stylized)
    result = np.empty_like(new)
    rows = np.repeat(still, 3 * side, axis=1)[:, : new.shape[1]]
    scale = np.float32(strength / 255)
    for top in range(0, len(new), _BAND_ROWS):
        band = slice(top, top + _BAND_ROWS)
        target = new[band].astype(np.float32)
        weight = rows[np.arange(top, top + len(target)) // side] * scale
        old = shown[band]
        old -= target
        old *= weight
        old += target
        target[:] = old
        target += np.float32(0.5)
        result[band] = target
    return result.reshape(stylized.shape)
