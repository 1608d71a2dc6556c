"""Normalise, rectify, convert and pad activations between two convolutions of a quantised network.

Each function reads its input once. It runs the C++ code of `passes.cpp` if that could be built, and
else PyTorch's operations, on strips that fit into the cache, with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from quartet.style.inference import pad_reflect, pad_replicate
from quartet.style.native import load_passes

_TYPES = {torch.uint8: 0, torch.bfloat16: 1, torch.float32: 2}
"""Codes of data types in `passes.cpp`."""
_STRIP_VALUES = 1 << 18
"""Values processed at a time by PyTorch: as float32, they fit into a core's own cache."""


@dataclass(frozen=True)
class Moments:
    """Statistics of activations per channel, over all pixels; each of shape (channels,), float32.

    Attributes:
        mean: Mean.
        variance: Population variance.
        low: Minimum.
        high: Maximum.
    """

    mean: Tensor
    variance: Tensor
    low: Tensor
    high: Tensor


def compute_moments(x: Tensor, phases: int = 1) -> Moments:
    """Return the moments of activations.

    Args:
        x: Shape (rows, columns, phases² · channels), uint8, bfloat16 or float32, contiguous.
        phases: 2 after a convolution that doubles the size: each pixel of `x` then contains a
            square of 2×2 pixels, as in `torch.nn.PixelShuffle`. The second row and column of a
            square are stored in the next row and column of `x`. Else 1.
    """
    rows, columns, channels = x.shape[0], x.shape[1], x.shape[2] // phases**2
    sums, extremes = _new_statistics(channels)
    # Sums of differences from one pixel avoid cancellation in the variance. Where all pixels are
    # equal, it is exactly zero. The C++ code uses the same pixel.
    origin = x[0, 0, :channels].float()
    library = load_passes()
    if library is not None:
        library.quartet_measure(
            x.data_ptr(),
            _TYPES[x.dtype],
            rows,
            columns,
            phases,
            channels,
            sums.data_ptr(),
            extremes.data_ptr(),
        )
    else:
        for part, _, _ in _split_phases(x, phases, phases - 1):
            for strip in _strips(part):
                _add_statistics(strip.float(), origin, sums, extremes)
    pixels = (rows - phases + 1) * (columns - phases + 1) * phases**2
    return _to_moments(sums, extremes, pixels, origin)


def scale_and_pad(
    x: Tensor,
    scale: Tensor,
    offset: Tensor,
    out: Tensor,
    *,
    minimum: Tensor | None = None,
    padding: int = 0,
    reflect: bool = True,
    phases: int = 1,
    shift: int = 0,
) -> None:
    """Write max(x · scale + offset, minimum) into the interior of `out`, and pad its border.

    Args:
        x: Shape (rows, columns, phases² · channels), uint8, bfloat16 or float32, contiguous.
        scale: Shape (channels,), float32.
        offset: Shape (channels,), float32.
        out: Shape (height, width, channels) with the border, of the same types as `x`; its rows
            are contiguous, at any distance from each other. As uint8, values are rounded and
            clipped.
        minimum: Lower bounds, shape (channels,), float32; by default zero, which is ReLU.
        padding: Width of the border in pixels.
        reflect: Whether to pad by reflection; otherwise the edge is replicated.
        phases: 2 if each pixel of `x` contains a square of 2×2 pixels, as for `compute_moments`.
        shift: 1 if the second row and column of a square are stored in the next row and column of
            `x`, else 0.
    """
    minimum = torch.zeros_like(scale) if minimum is None else minimum
    library = load_passes()
    if library is not None:
        library.quartet_convert(
            x.data_ptr(),
            _TYPES[x.dtype],
            x.shape[0],
            x.shape[1],
            phases,
            shift,
            out.shape[2],
            scale.data_ptr(),
            offset.data_ptr(),
            minimum.data_ptr(),
            out.data_ptr(),
            _TYPES[out.dtype],
            out.stride(0),
            padding,
            reflect,
        )
        return
    interior = out[padding : out.shape[0] - padding, padding : out.shape[1] - padding]
    for part, down, right in _split_phases(x, phases, shift):
        target = interior[down::phases, right::phases]
        for strip, values in zip(_strips(part), _strips(target), strict=True):
            levels = _scale(strip, scale, offset)
            levels.view(len(levels), -1).clamp_min_(minimum.repeat(levels.shape[1]))
            values.copy_(levels.round_().clamp_(0, 255) if out.dtype == torch.uint8 else levels)
    if padding:
        (pad_reflect if reflect else pad_replicate)(out.permute(2, 0, 1)[None], padding)


def add_scaled(total: Tensor, x: Tensor, scale: Tensor, offset: Tensor) -> Moments:
    """Add x · scale + offset to activations in place, and return the moments of the sum.

    Args:
        total: Shape (rows, columns, channels), float32, contiguous.
        x: Of the same shape, bfloat16, contiguous.
        scale: Shape (channels,), float32.
        offset: Shape (channels,), float32.
    """
    rows, columns, channels = total.shape
    sums, extremes = _new_statistics(channels)
    origin = torch.zeros(channels)
    library = load_passes()
    if library is not None:
        library.quartet_add(
            total.data_ptr(),
            x.data_ptr(),
            rows,
            columns,
            channels,
            scale.data_ptr(),
            offset.data_ptr(),
            sums.data_ptr(),
            extremes.data_ptr(),
        )
    else:
        for strip, values in zip(_strips(total), _strips(x), strict=True):
            strip.add_(_scale(values, scale, offset))
            _add_statistics(strip, origin, sums, extremes)
    return _to_moments(sums, extremes, rows * columns, origin)


def _new_statistics(channels: int) -> tuple[Tensor, Tensor]:
    """Return sums, and minima and maxima, of no values, each of shape (2, channels)."""
    extremes = torch.tensor([[torch.inf], [-torch.inf]]).repeat(1, channels)
    return torch.zeros(2, channels, dtype=torch.float64), extremes


def _to_moments(sums: Tensor, extremes: Tensor, pixels: int, origin: Tensor) -> Moments:
    mean, square = sums / pixels
    variance = (square - mean * mean).clamp_min_(0)
    return Moments((mean + origin).float(), variance.float(), extremes[0], extremes[1])


def _split_phases(x: Tensor, phases: int, shift: int) -> list[tuple[Tensor, int, int]]:
    """Return a view per phase, (rows, columns, channels), with the phase's row and column."""
    rows, columns, channels = x.shape
    squares = x.view(rows, columns, phases, phases, channels // phases**2)
    return [
        (
            squares[
                shift * down : rows - shift + shift * down,
                shift * right : columns - shift + shift * right,
                down,
                right,
            ],
            down,
            right,
        )
        for down in range(phases)
        for right in range(phases)
    ]


def _strips(x: Tensor) -> tuple[Tensor, ...]:
    """Split activations into views of as many rows as fit into the cache."""
    return x.split(max(1, _STRIP_VALUES // (x.shape[1] * x.shape[2])))


def _scale(strip: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """Return strip · scale + offset, row by row: faster than by pixels of few channels."""
    columns = strip.shape[1]
    rows = strip.reshape(len(strip), -1) * scale.repeat(columns)
    return rows.add_(offset.repeat(columns)).view(strip.shape)


def _add_statistics(strip: Tensor, origin: Tensor, sums: Tensor, extremes: Tensor) -> None:
    """Update the sums of differences from `origin` and of their squares, and the extremes."""
    rows, columns, channels = strip.shape
    values = strip.reshape(rows, -1)
    low, high = (each.view(columns, channels) for each in (values.amin(0), values.amax(0)))
    torch.minimum(extremes[0], low.amin(0), out=extremes[0])
    torch.maximum(extremes[1], high.amax(0), out=extremes[1])
    values = values - origin.repeat(columns)
    sums[0] += values.sum(0).view(columns, channels).sum(0)
    sums[1] += values.square_().sum(0).view(columns, channels).sum(0)
