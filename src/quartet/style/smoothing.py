"""Reduce flicker: where the source is still, the stylized picture follows the one before.

The network sees every frame by itself, and the noise of a camera or of a codec, hardly
visible in the source, may turn strokes of the brush. A recursive filter calms them; the
source alone decides where, so that nothing lags behind what moves, and nothing of a scene
is left after a cut.
"""

from __future__ import annotations

from math import ceil, log

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter
from scipy.ndimage import uniform_filter

from quartet.style.video import Picture

_STILL = 4
_MOVED = 12
"""Levels by which the source may change and still count as noise, and from which on it moves."""

_LINES = 360
"""Height, about, of the small pictures on which movement is looked for."""

_COARSE = 8
"""Side of the cells, in squares of the small picture, in which the surroundings are weighed."""

_BAND = 32
"""Lines that are blended at a time, so that they stay in the processor's cache."""

_REMAINDER = 1 / 64
"""Share of what came before a segment that may be left in its first frame: of a flicker of 30
levels, less than half a level."""

_LEVELS = np.arange(256)
_STILLNESS = np.clip(255 * (_MOVED - _LEVELS) / (_MOVED - _STILL), 0, 255).astype(np.uint8)


def warm_up(strength: float) -> int:
    """Return how many frames before a segment must be smoothed first, if there are so many.

    Then it hardly matters where the segment begins: what came before those frames weighs at
    most 1/64, so that the joint of two segments cannot be seen. 0 at a strength of 0.

    Raises:
        ValueError: The strength is not from 0 to below 1.
    """
    _check(strength)
    return ceil(log(_REMAINDER) / log(strength)) if strength else 0


class Smoother:
    """Reduces the flicker of stylized pictures, frame by frame.

    Where the source is still, a picture is `strength` times the one returned before it and
    1 - `strength` times the stylized one; where it moves, the stylized one; between, in
    proportion. What counts is how far the means of small squares, 2 × 2 pixels at 720 lines,
    have changed in the colour that changes most since the frame before: noise mostly cancels
    out in them. Up to 4 levels are none, 12 levels are full movement, and so is what lies beside
    it. An even area amid movement, as the sky when the camera turns, moves too. Only one
    frame is remembered.

    Args:
        strength: From 0, which changes nothing, to below 1. At 0.8 flicker has a third of
            its amplitude, and slow changes of the light come four frames late.

    Raises:
        ValueError: The strength is out of range.
    """

    def __init__(self, strength: float) -> None:
        _check(strength)
        self._strength = strength
        self._source: Image.Image | None = None
        """Of the frame before, scaled down."""
        self._shown = np.empty((0, 0), dtype=np.float32)
        """The picture returned before, shape (h, 3 w), levels with fractions: rounded ones
        would never quite reach a colour that stays."""

    def smooth(self, source: Picture, stylized: Picture) -> Picture:
        """Return the stylized picture of the next frame with less flicker.

        Args:
            source: Of the frame, shape (h, w, 3).
            stylized: Of the frame, the same shape.

        Raises:
            ValueError: A picture has another shape than those of the first frame.
        """
        if self._source is None:
            self._shown = _lines(stylized).astype(np.float32)
        if source.shape != stylized.shape or _lines(stylized).shape != self._shown.shape:
            raise ValueError(
                f"smoothing: the stylized picture has the shape {stylized.shape}, its source "
                f"{source.shape}; all must have the shape of the first frame"
            )
        before, self._source = self._source, _small(source)
        if before is None:
            return stylized
        return _blend(self._shown, stylized, _stillness(before, self._source), self._strength)


def _check(strength: float) -> None:
    if not 0 <= strength < 1:
        raise ValueError(f"the strength of smoothing must be from 0 to below 1, not {strength}")


def _lines(picture: Picture) -> Picture:
    return picture.reshape(len(picture), -1)


def _small(picture: Picture) -> Image.Image:
    """Means of squares of `_side` pixels; at the right and below also of parts of squares."""
    return Image.fromarray(picture).reduce(_side(picture))


def _side(picture: Picture) -> int:
    return max(1, round(min(picture.shape[:2]) / _LINES))


def _stillness(before: Image.Image, after: Image.Image) -> NDArray[np.uint8]:
    """How still each square stands: 0 where it or a neighbour moves, 255 where all is as before.

    The border between still and moved is soft, and lies outside what moves.
    """
    change = _strongest(ImageChops.difference(before, after))
    anchored = _anchored(change, after)
    _spread(change)
    still = Image.fromarray(_STILLNESS.take(change)).filter(ImageFilter.BoxBlur(1))
    return np.asarray(ImageChops.multiply(still, anchored))


def _anchored(change: NDArray[np.uint8], after: Image.Image) -> Image.Image:
    """How much speaks for a camera at rest, from 0 to 255, in the wider surroundings.

    An even sky looks the same while the camera turns, though the strokes on it go along. So
    structure that stays is weighed against what moves; without either all is at rest.
    """
    grey = np.array(after.convert("L"))
    structure = np.zeros_like(grey)
    structure[1:, 1:] = np.maximum(_apart(grey[1:, 1:], grey[:-1, 1:]),
                                   _apart(grey[1:, 1:], grey[1:, :-1]))  # fmt: skip
    stays = (structure > _MOVED) & (change <= _STILL)
    shares = []
    for mask in (stays, change >= _MOVED):
        coarse = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).reduce(_COARSE)
        cells = np.asarray(coarse, dtype=np.float32) / 255
        near = uniform_filter(cells, max(cells.shape) // 3 + 1, mode="nearest")
        shares.append(near + np.float32(0.2) * cells.mean())
    ratio = (shares[0] + 1e-3) / (shares[0] + shares[1] + 1e-3)
    levels = np.clip(255 * (ratio - 0.05) / 0.2, 0, 255).astype(np.uint8)
    return Image.fromarray(levels).resize(after.size, Image.Resampling.BILINEAR)


def _strongest(difference: Image.Image) -> NDArray[np.uint8]:
    """Of the channel that changes most; shape (h, w)."""
    red, green, blue = difference.split()
    return np.array(ImageChops.lighter(ImageChops.lighter(red, green), blue))


def _spread(change: NDArray[np.uint8]) -> None:
    """Give each square the strongest change of the 3 × 3 around it."""
    for lines in (change, change.T):
        original = lines.copy()
        np.maximum(lines[1:], original[:-1], out=lines[1:])
        np.maximum(lines[:-1], original[1:], out=lines[:-1])


def _apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.maximum(first, second) - np.minimum(first, second)


def _blend(
    shown: NDArray[np.float32], stylized: Picture, still: NDArray[np.uint8], strength: float
) -> Picture:
    """Move `shown` to the stylized picture, the less the stiller; return it in whole levels."""
    side = _side(stylized)
    new = _lines(stylized)
    result = np.empty_like(new)
    rows = np.repeat(still, 3 * side, axis=1)[:, : new.shape[1]]
    scale = np.float32(strength / 255)
    for top in range(0, len(new), _BAND):
        band = slice(top, top + _BAND)
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
