"""Compute the style network in the form that is fastest on a CPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quartet.style.network import (
    PaddedConvolution,
    ResidualBlock,
    StyleNetwork,
    UpsampledConvolution,
)

Pad = Callable[[Tensor, int], None]
Network = TypeVar("Network", bound=Any)
_CHANNELS_LAST = torch.channels_last
_STRIP_VALUES = 1 << 18
"""Values processed at a time: as float32, they fit into a core's own cache."""


class InferenceNetwork:
    """Compute what a `StyleNetwork` computes, from bytes to bytes, with less work.

    - Activations are channels-last, and each ReLU writes into the middle of a buffer whose
      border is then reflected, so padding needs no pass of its own. Buffers are reused between
      calls.
    - Doubling the size followed by a 3×3 convolution is one 4×4 transposed convolution, which
      needs four products per output instead of nine.
    - The 9×9 convolutions process two columns (the first) or four pixels (the last) as one, so
      that three channels do not leave most of a vector register empty.
    - Constants that instance normalisation removes are left out: biases before it, and the
      mean colours of the pictures. Lower precision loses less on the rest.
    - In lower precision, the first normalisation and the convolution after it stay in float32:
      rounding errors there appear as grain in smooth areas.

    Not thread-safe; `clone_network` gives each thread a copy that shares the weights.

    Args:
        network: Network to compute, in evaluation mode, on the CPU.
        dtype: Data type of the convolutions, float32 or bfloat16.
    """

    def __init__(self, network: StyleNetwork, dtype: torch.dtype) -> None:
        self._network = network
        self._dtype = dtype
        self._buffers: dict[str, Tensor] = {}

        def cast(weight: Tensor, to: torch.dtype = dtype) -> Tensor:
            return weight.detach().to(to).contiguous(memory_format=_CHANNELS_LAST)

        self._first = cast(pair_columns(network.conv1.conv2d.weight))
        self._second = cast(network.conv2.conv2d.weight, torch.float32)
        self._third = cast(network.conv3.conv2d.weight)
        self._residual = [
            (block, cast(block.conv1.conv2d.weight), cast(block.conv2.conv2d.weight))
            for block in residual_blocks(network)
        ]
        self._upward = [
            _to_transposed(layer).to(dtype) for layer in (network.deconv1, network.deconv2)
        ]
        self._last = cast(pack_squares(network.deconv3))
        # Add it in float32 after the last convolution: bfloat16 has smaller steps near zero.
        bias = network.deconv3.conv2d.bias
        assert bias is not None
        self._last_bias = bias.detach().float()
        # In a picture of a single colour, normalisation would only enlarge rounding errors.
        exact = dtype == torch.float32
        self._exact = None if exact else InferenceNetwork(network, torch.float32)

    @property
    def precision(self) -> str:
        """Name of the data type."""
        return str(self._dtype).removeprefix("torch.")

    def __call__(self, pictures: Tensor) -> Tensor:
        """Stylize pictures.

        Args:
            pictures: Shape (n, h, w, 3), uint8 RGB; h and w at least 24.

        Returns:
            The stylized pictures, of the same shape and type.
        """
        if self._exact is not None and any(map(is_uniform, pictures)):
            return self._exact(pictures)
        height, width = pictures.shape[1:3]
        x = self._first_layer(pictures)
        x = self._normalise_and_rectify("in1", x, 1, dtype=torch.float32)
        x = self._normalise_and_rectify("in2", F.conv2d(x, self._second, stride=2), 1)
        x = self._normalise_and_rectify("in3", F.conv2d(x, self._third, stride=2), 1)
        middle = x[:, :, 1:-1, 1:-1]
        for index, (block, first, second) in enumerate(self._residual, start=1):
            y = self._normalise_and_rectify(f"res{index}.in1", F.conv2d(x, first), 1)
            middle += _normalise(block.in2, F.conv2d(y, second))
            pad_reflect(x, 1)
        # Upsampling comes before the reflection, so the edge is repeated.
        pad_replicate(x, 1)
        x = F.conv_transpose2d(x, self._upward[0], stride=2, padding=3)
        x = self._normalise_and_rectify("in4", x, 1, pad=pad_replicate)
        x = F.conv_transpose2d(x, self._upward[1], stride=2, padding=3)
        x = self._normalise_and_rectify("in5", x, 4)
        return self._last_layer(x)[:, :height, :width]

    def _first_layer(self, pictures: Tensor) -> Tensor:
        """Apply the first convolution: (n, h, w, 3) uint8 → (n, channels, h, w)."""
        count, height, width, _ = pictures.shape
        even = width + width % 2
        x = self._buffer("pictures", (count, 3, height + 8, even + 8), self._dtype)
        inner = x[..., : width + 8]
        # bfloat16 represents integers up to 255 exactly. Subtract the mean of the picture, as a
        # common offset would cost the contrast of a dark scene its precision.
        levels = pictures.permute(0, 3, 1, 2).to(self._dtype)
        mean = pictures.float().mean((1, 2)).round_().to(self._dtype)
        torch.sub(levels, mean[:, :, None, None], out=inner[:, :, 4:-4, 4:-4])
        pad_reflect(inner, 4)
        pairs = x.permute(0, 2, 3, 1).reshape(count, height + 8, (even + 8) // 2, 6)
        y = F.conv2d(pairs.permute(0, 3, 1, 2), self._first)
        y = y.permute(0, 2, 3, 1).reshape(count, height, even, -1)
        return y[:, :, :width].permute(0, 3, 1, 2)

    def _last_layer(self, x: Tensor) -> Tensor:
        """Apply the last convolution: (n, channels, h + 8, w + 8) → (n, h, w, 3) uint8."""
        count, _, height, width = x.shape
        x = F.conv2d(x, self._last, stride=2).permute(0, 2, 3, 1).float()
        x = x.view(count, (height - 8) // 2, (width - 8) // 2, 2, 2, 3)
        levels = x.add_(self._last_bias).round_().clamp_(0, 255).to(torch.uint8)
        return levels.transpose(2, 3).reshape(count, height - 8, width - 8, 3)

    def _normalise_and_rectify(
        self,
        name: str,
        x: Tensor,
        padding: int,
        *,
        dtype: torch.dtype | None = None,
        pad: Pad | None = None,
    ) -> Tensor:
        """Apply the named normalisation and ReLU, and pad the result."""
        dtype = dtype or self._dtype
        count, channels, height, width = x.shape
        size = (count, channels, height + 2 * padding, width + 2 * padding)
        padded = self._buffer(name, size, dtype)
        inner = padded[:, :, padding:-padding, padding:-padding]
        normalisation = self._network.get_submodule(name)
        if dtype == torch.float32:
            _rectify_in_strips(x, normalisation, inner)
        else:
            torch.clamp_min(_normalise(normalisation, x).to(dtype), 0, out=inner)
        (pad or pad_reflect)(padded, padding)
        return padded

    def _buffer(self, name: str, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return the buffer of a layer's input, replaced if its size has changed."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape != size:
            buffer = torch.zeros(size, dtype=dtype).contiguous(memory_format=_CHANNELS_LAST)
            self._buffers[name] = buffer
        return buffer


def residual_blocks(network: StyleNetwork) -> tuple[ResidualBlock, ...]:
    """Return the network's residual blocks in order."""
    return network.res1, network.res2, network.res3, network.res4, network.res5


def is_uniform(picture: Tensor) -> bool:
    """Return whether all pixels of a picture (h, w, 3) have the same colour."""
    colour = picture[0, 0]
    # Most pictures already differ in the first row.
    return bool((picture[0] == colour).all()) and bool((picture == colour).all())


def _normalise(normalisation: nn.Module, x: Tensor) -> Tensor:
    # One group per channel is equivalent, and much faster with channels last.
    assert isinstance(normalisation, nn.InstanceNorm2d)
    return F.group_norm(x, x.shape[1], normalisation.weight, normalisation.bias, normalisation.eps)


def _rectify_in_strips(x: Tensor, normalisation: nn.Module, target: Tensor) -> None:
    """Normalise and apply ReLU in float32, some rows at a time.

    Complete float32 layers of a large picture do not fit into the cache, and allocating new
    memory for them takes longer than the arithmetic.
    """
    assert isinstance(normalisation, nn.InstanceNorm2d)
    count, channels, height, width = x.shape
    rows = max(1, _STRIP_VALUES // (count * channels * width))
    # Relative to one pixel, values are small: exactly zero in a frame of a single colour.
    origin = x[:, :, :1, :1].float()
    sums = torch.zeros(2, count, channels, dtype=torch.float64)
    for top in range(0, height, rows):
        strip = x[:, :, top : top + rows] - origin
        values = strip.permute(0, 2, 3, 1).reshape(count, -1, channels)
        sums[0] += values.sum(1)
        sums[1] += values.square_().sum(1)
    mean, square = sums / (height * width)
    deviation = ((square - mean * mean).clamp_min_(0) + normalisation.eps).sqrt()
    scale = (normalisation.weight / deviation).float()[:, :, None, None]
    origin = origin + mean.float()[:, :, None, None]
    bias = normalisation.bias[:, None, None]
    for top in range(0, height, rows):
        strip = (x[:, :, top : top + rows] - origin).mul_(scale).add_(bias)
        torch.clamp_min(strip, 0, out=target[:, :, top : top + rows])


def pad_reflect(padded: Tensor, padding: int) -> None:
    """Fill the border by reflecting the interior; the outermost pixel is not repeated."""
    height, width = padded.shape[2:]
    for i in range(padding):
        padded[:, :, i] = padded[:, :, 2 * padding - i]
        padded[:, :, height - 1 - i] = padded[:, :, height - 1 - 2 * padding + i]
    for i in range(padding):
        padded[..., i] = padded[..., 2 * padding - i]
        padded[..., width - 1 - i] = padded[..., width - 1 - 2 * padding + i]


def pad_replicate(padded: Tensor, padding: int) -> None:
    """Fill a border of one pixel with the outermost one."""
    padded[:, :, 0], padded[:, :, -1] = padded[:, :, 1], padded[:, :, -2]
    padded[..., 0], padded[..., -1] = padded[..., 1], padded[..., -2]


def clone_network(network: Network) -> Network:
    """Return a copy of a network that shares the weights and has its own buffers."""
    clone = copy.copy(network)
    clone._buffers = {}
    if clone._exact is not None:
        clone._exact = clone_network(clone._exact)
    return clone


def pair_columns(weight: Tensor) -> Tensor:
    """Return weights for pairs of columns: (o, i, k, k) → (2o, 2i, k, (k+1)/2)."""
    weight = weight.detach()
    outputs, inputs, size, _ = weight.shape
    pairs = weight.new_zeros(2, outputs, 2, inputs, size, (size + 1) // 2)
    for right in range(2):
        for column in range(size):
            pair, half = divmod(column + right, 2)
            pairs[right, :, half, :, :, pair] = weight[:, :, :, column]
    return pairs.reshape(2 * outputs, 2 * inputs, size, (size + 1) // 2)


def pack_squares(layer: PaddedConvolution, side: int = 2) -> Tensor:
    """Return weights for squares of s×s pixels, stride s: (o, i, k, k) → (s²o, i, k+s-1, k+s-1)."""
    weight = layer.conv2d.weight.detach()
    outputs, inputs, size, _ = weight.shape
    window = size + side - 1
    squares = weight.new_zeros(side, side, outputs, inputs, window, window)
    for down in range(side):
        for right in range(side):
            squares[down, right, :, :, down : down + size, right : right + size] = weight
    return squares.flatten(0, 2)


def pack_phases(layer: UpsampledConvolution, window: int) -> Tensor:
    """(o, i, 3, 3) after doubling the size → (4o, i, w, w), which gives squares of 2×2 pixels.

    With a window of 2, the second row and column of a square are those of the next pixel's window.
    """
    weight = layer.conv2d.weight.detach()
    squares = weight.new_zeros(2, 2, *weight.shape[:2], window, window)
    shift = 3 - window
    for down in range(2):
        for right in range(2):
            for row in range(3):
                for column in range(3):
                    y = (down + row + 1) // 2 - shift * down
                    x = (right + column + 1) // 2 - shift * right
                    squares[down, right, :, :, y, x] += weight[:, :, row, column]
    return squares.flatten(0, 2)


def _to_transposed(layer: UpsampledConvolution) -> Tensor:
    """Return weights of the equivalent transposed convolution: (o, i, 3, 3) → (i, o, 4, 4)."""
    weight = layer.conv2d.weight.detach().transpose(0, 1).flip(2, 3)
    spread = weight.new_zeros(*weight.shape[:2], 4, 4)
    for down in range(2):
        for right in range(2):
            spread[:, :, down : down + 3, right : right + 3] += weight
    return spread
