"""The style network in the form that stylizes fastest on a processor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quartet.style.network import (
    PaddedConvolution,
    ResidualBlock,
    StyleNetwork,
    UpsampledConvolution,
)

Border = Callable[[Tensor, int], None]
_CHANNELS_LAST = torch.channels_last
_STRIP = 1 << 18
"""Values that are worked on at a time: as float32 they fit into a core's own cache."""


class InferenceNetwork:
    """Computes what a `StyleNetwork` does, bytes in and bytes out, with less work.

    - Channels lie together in memory, and each rectifier writes into the middle of a buffer whose
      border is then mirrored: padding costs no pass of its own. Buffers are kept from call to call.
    - Doubling the size and convolving with 3×3 is one transposed convolution with 4×4, of which
      each output needs four products instead of nine.
    - The 9×9 convolutions take two columns (the first) or four pixels (the last) as one, so that
      three channels do not leave most of a vector register empty.
    - Constants that instance normalisation removes again are left out: biases before it, and the
      pictures' mean colours. Lower precision loses less on what remains.
    - In lower precision the first normalisation and the convolution after it stay in float32:
      what is rounded there is what smooth areas show as grain.

    Not safe for two threads at a time; `twin` gives another one a copy that shares the weights.

    Args:
        network: To be computed; in evaluation mode, on the processor.
        dtype: In which the convolutions are computed, float32 or bfloat16.
    """

    def __init__(self, network: StyleNetwork, dtype: torch.dtype) -> None:
        self._network = network
        self._dtype = dtype
        self._buffers: dict[str, Tensor] = {}

        def cast(weight: Tensor, to: torch.dtype = dtype) -> Tensor:
            return weight.detach().to(to).contiguous(memory_format=_CHANNELS_LAST)

        self._first = cast(_by_column_pairs(network.conv1))
        self._second = cast(network.conv2.conv2d.weight, torch.float32)
        self._third = cast(network.conv3.conv2d.weight)
        self._residual = [
            (block, cast(block.conv1.conv2d.weight), cast(block.conv2.conv2d.weight))
            for block in residual_blocks(network)
        ]
        self._upward = [
            _as_transposed(layer).to(dtype) for layer in (network.deconv1, network.deconv2)
        ]
        self._last = cast(_by_squares(network.deconv3))
        # Added in float32 after the last convolution, whose own result is finer near zero.
        bias = network.deconv3.conv2d.bias
        assert bias is not None
        self._last_bias = bias.detach().float()
        # Of a picture in one colour, nothing but rounding would be left to normalise.
        exact = dtype == torch.float32
        self._exact = None if exact else InferenceNetwork(network, torch.float32)

    def twin(self) -> InferenceNetwork:
        """Another one with the same weights and buffers of its own."""
        twin = object.__new__(InferenceNetwork)
        twin.__dict__.update(self.__dict__)
        twin._buffers = {}
        twin._exact = self._exact and self._exact.twin()
        return twin

    def __call__(self, pictures: Tensor) -> Tensor:
        """Stylize pictures.

        Args:
            pictures: Shape (n, h, w, 3), uint8 RGB; h and w at least 24.

        Returns:
            The same shape and type.
        """
        if self._exact is not None and _any_in_one_colour(pictures):
            return self._exact(pictures)
        height, width = pictures.shape[1:3]
        x = self._first_layer(pictures)
        x = self._rectified("in1", x, 1, dtype=torch.float32)
        x = self._rectified("in2", F.conv2d(x, self._second, stride=2), 1)
        x = self._rectified("in3", F.conv2d(x, self._third, stride=2), 1)
        middle = x[:, :, 1:-1, 1:-1]
        for number, (block, first, second) in enumerate(self._residual, start=1):
            y = self._rectified(f"res{number}.in1", F.conv2d(x, first), 1)
            middle += _normalised(block.in2, F.conv2d(y, second))
            _mirror(x, 1)
        # A picture that doubles its size before it is mirrored repeats its edge.
        _repeat(x, 1)
        x = F.conv_transpose2d(x, self._upward[0], stride=2, padding=3)
        x = self._rectified("in4", x, 1, border=_repeat)
        x = F.conv_transpose2d(x, self._upward[1], stride=2, padding=3)
        x = self._rectified("in5", x, 4)
        return self._last_layer(x)[:, :height, :width]

    def _first_layer(self, pictures: Tensor) -> Tensor:
        """(n, h, w, 3) uint8 → (n, width, h, w)."""
        count, height, width, _ = pictures.shape
        even = width + width % 2
        x = self._buffer("pictures", (count, 3, height + 8, even + 8), self._dtype)
        inner = x[..., : width + 8]
        # Whole numbers of at most 255, which bfloat16 holds exactly. Around the picture's own mean,
        # as what is common to all pixels would swallow the contrast of a dark scene.
        levels = pictures.permute(0, 3, 1, 2).to(self._dtype)
        mean = pictures.float().mean((1, 2)).round_().to(self._dtype)
        torch.sub(levels, mean[:, :, None, None], out=inner[:, :, 4:-4, 4:-4])
        _mirror(inner, 4)
        pairs = x.permute(0, 2, 3, 1).reshape(count, height + 8, (even + 8) // 2, 6)
        y = F.conv2d(pairs.permute(0, 3, 1, 2), self._first)
        y = y.permute(0, 2, 3, 1).reshape(count, height, even, -1)
        return y[:, :, :width].permute(0, 3, 1, 2)

    def _last_layer(self, x: Tensor) -> Tensor:
        """(n, width, h + 8, w + 8) → (n, h, w, 3) uint8."""
        count, _, height, width = x.shape
        x = F.conv2d(x, self._last, stride=2).permute(0, 2, 3, 1).float()
        x = x.view(count, (height - 8) // 2, (width - 8) // 2, 2, 2, 3)
        levels = x.add_(self._last_bias).round_().clamp_(0, 255).to(torch.uint8)
        return levels.transpose(2, 3).reshape(count, height - 8, width - 8, 3)

    def _rectified(
        self,
        name: str,
        x: Tensor,
        margin: int,
        *,
        dtype: torch.dtype | None = None,
        border: Border | None = None,
    ) -> Tensor:
        """Normalised as the layer of this name does, what is below zero cut, with a margin."""
        dtype = dtype or self._dtype
        count, channels, height, width = x.shape
        size = (count, channels, height + 2 * margin, width + 2 * margin)
        padded = self._buffer(name, size, dtype)
        inner = padded[:, :, margin:-margin, margin:-margin]
        normalisation = self._network.get_submodule(name)
        if dtype == torch.float32:
            _rectify_in_strips(x, normalisation, inner)
        else:
            torch.clamp_min(_normalised(normalisation, x).to(dtype), 0, out=inner)
        (border or _mirror)(padded, margin)
        return padded

    def _buffer(self, name: str, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Room for a layer's input; that of the pictures' size before is given up."""
        known = self._buffers.get(name)
        if known is None or known.shape != size:
            known = torch.zeros(size, dtype=dtype).contiguous(memory_format=_CHANNELS_LAST)
            self._buffers[name] = known
        return known


def residual_blocks(network: StyleNetwork) -> tuple[ResidualBlock, ...]:
    """In their order."""
    return network.res1, network.res2, network.res3, network.res4, network.res5


def _any_in_one_colour(pictures: Tensor) -> bool:
    return bool((pictures == pictures[:, :1, :1]).flatten(1).all(1).any())


def _normalised(normalisation: nn.Module, x: Tensor) -> Tensor:
    # A group for each channel is the same, and much faster where channels lie together.
    assert isinstance(normalisation, nn.InstanceNorm2d)
    return F.group_norm(x, x.shape[1], normalisation.weight, normalisation.bias, normalisation.eps)


def _rectify_in_strips(x: Tensor, normalisation: nn.Module, target: Tensor) -> None:
    """Normalise and cut what is below zero, in float32, some rows at a time.

    Whole float32 layers of a large picture neither fit into the cache nor are they given the
    same memory twice, and fetching new memory takes longer than the sums.
    """
    assert isinstance(normalisation, nn.InstanceNorm2d)
    count, channels, height, width = x.shape
    rows = max(1, _STRIP // (count * channels * width))
    # From one of the values on, the rest is small: of a frame in one colour it is exactly zero.
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


def _mirror(padded: Tensor, margin: int) -> None:
    """Fill the margin by reflecting what is inside; the outermost pixel is not repeated."""
    height, width = padded.shape[2:]
    for i in range(margin):
        padded[:, :, i] = padded[:, :, 2 * margin - i]
        padded[:, :, height - 1 - i] = padded[:, :, height - 1 - 2 * margin + i]
    for i in range(margin):
        padded[..., i] = padded[..., 2 * margin - i]
        padded[..., width - 1 - i] = padded[..., width - 1 - 2 * margin + i]


def _repeat(padded: Tensor, margin: int) -> None:
    """Fill a margin of one pixel with the outermost one."""
    padded[:, :, 0], padded[:, :, -1] = padded[:, :, 1], padded[:, :, -2]
    padded[..., 0], padded[..., -1] = padded[..., 1], padded[..., -2]


def _by_column_pairs(layer: PaddedConvolution) -> Tensor:
    """(o, i, k, k) for single columns → (2o, 2i, k, (k+1)/2) for pairs of them."""
    weight = layer.conv2d.weight.detach()
    outputs, inputs, size, _ = weight.shape
    pairs = weight.new_zeros(2, outputs, 2, inputs, size, (size + 1) // 2)
    for right in range(2):
        for column in range(size):
            place, half = divmod(column + right, 2)
            pairs[right, :, half, :, :, place] = weight[:, :, :, column]
    return pairs.reshape(2 * outputs, 2 * inputs, size, (size + 1) // 2)


def _by_squares(layer: PaddedConvolution) -> Tensor:
    """(o, i, k, k) → (4o, i, k+1, k+1), which at stride 2 gives squares of 2×2 pixels."""
    weight = layer.conv2d.weight.detach()
    outputs, inputs, size, _ = weight.shape
    squares = weight.new_zeros(2, 2, outputs, inputs, size + 1, size + 1)
    for down in range(2):
        for right in range(2):
            squares[down, right, :, :, down : down + size, right : right + size] = weight
    return squares.reshape(4 * outputs, inputs, size + 1, size + 1)


def _as_transposed(layer: UpsampledConvolution) -> Tensor:
    """(o, i, 3, 3) after doubling the size → (i, o, 4, 4) of a transposed one, stride 2."""
    weight = layer.conv2d.weight.detach().transpose(0, 1).flip(2, 3)
    spread = weight.new_zeros(*weight.shape[:2], 4, 4)
    for down in range(2):
        for right in range(2):
            spread[:, :, down : down + 3, right : right + 3] += weight
    return spread
