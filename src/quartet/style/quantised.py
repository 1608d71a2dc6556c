"""Compute the style network with 8-bit integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quartet.style.inference import (
    InferenceNetwork,
    pack_phases,
    pack_squares,
    pair_columns,
    residual_blocks,
)
from quartet.style.native import load_passes
from quartet.style.network import StyleNetwork
from quartet.style.passes import Moments, add_scaled, compute_moments, scale_and_pad

_LARGEST_WEIGHT = 126
"""Absolute value before error diffusion, which adds less than one."""
_BALANCING_STEPS = 2
"""Iterations towards the best quantisation steps."""
_TINY = 1e-12
"""Lower bound of divisors."""


class QuantisedNetwork:
    """Compute what a `StyleNetwork` computes, from bytes to bytes, mostly with 8-bit integers.

    - Instance normalisation knows each channel's range before the next convolution. So
      activations have a scale per channel and picture, without calibration: the range is divided
      into 255 steps. The scales are multiplied into the weights, which are quantised per output
      channel, for each picture.
    - Activations are unsigned, from the minimum. Paddings repeat values of the picture, so the
      minimum adds a constant to each output channel, which the next normalisation removes. After
      the last convolution there is none, so its activations are counted from zero.
    - A channel that contributes little has coarser steps than its range allows: its weights
      would otherwise determine the steps of all weights.
    - Weights are rounded by error diffusion: the errors of neighbouring pixels cancel, as
      neighbouring activations are similar. The first layer, whose input are the picture's bytes,
      has no other error.
    - The second and third convolution are computed in bfloat16, from activations without their
      expected mean: rounding errors there appear as grain.

    Not thread-safe; `clone_network` gives each thread a copy that shares the weights.

    Args:
        network: Network to compute, in evaluation mode, on the CPU.
        bfloat16_blocks: Number of residual blocks, from the first, computed in bfloat16.
    """

    def __init__(self, network: StyleNetwork, bfloat16_blocks: int = 0) -> None:
        self._network = network
        plural = "s" * (bfloat16_blocks > 1)
        blocks = f", {bfloat16_blocks} residual block{plural} bfloat16" * (bfloat16_blocks > 0)
        self.precision = f"int8{blocks}"
        """Data types of the convolutions, for reports."""
        self._buffers: dict[tuple[torch.Size, torch.dtype], Tensor] = {}
        self._shape = torch.Size()
        """Shape of the picture that the buffers are for."""
        self._exact = InferenceNetwork(network, torch.float32)
        load_passes()  # built once, before threads share the network

        def layer(weight: Tensor, stride: int = 1, dtype: torch.dtype = torch.uint8) -> _Layer:
            return _Layer.from_weight(weight.detach(), stride, dtype)

        first, unit = _quantise(_to_serpentine(network.conv1.conv2d.weight.detach()), 9)
        self._first = pair_columns(first), unit.repeat(2)
        self._first_sums = first.sum((2, 3), dtype=torch.float32) * unit[:, None]
        self._second = layer(network.conv2.conv2d.weight, 2, torch.bfloat16)
        self._third = layer(network.conv3.conv2d.weight, 2, torch.bfloat16)
        self._residual = [
            (
                block,
                layer(block.conv1.conv2d.weight, 1, dtype),
                layer(block.conv2.conv2d.weight, 1, dtype),
            )
            for index, block in enumerate(residual_blocks(network))
            for dtype in [torch.bfloat16 if index < bfloat16_blocks else torch.uint8]
        ]
        self._rectified = {
            each: _rectified_moments(each)
            for each in network.modules()
            if isinstance(each, nn.InstanceNorm2d)
        }
        self._upward = [layer(pack_phases(each, 2)) for each in (network.deconv1, network.deconv2)]
        self._last = layer(pack_squares(network.deconv3), 2)
        bias = network.deconv3.conv2d.bias
        assert bias is not None
        self._last_bias = bias.detach().float()

    def __call__(self, pictures: Tensor) -> Tensor:
        """Stylize pictures.

        Args:
            pictures: Shape (n, h, w, 3), uint8 RGB; h and w at least 24.

        Returns:
            The stylized pictures, of the same shape and type.
        """
        return torch.stack([self._stylize(picture.contiguous()) for picture in pictures])

    def _stylize(self, picture: Tensor) -> Tensor:
        """(h, w, 3) uint8 → the same."""
        height, width, _ = picture.shape
        low, high, mean = _measure_colours(picture)
        if picture.shape != self._shape:
            self._buffers.clear()  # a folder may contain pictures of many sizes
            self._shape = picture.shape
        if torch.equal(low, high):
            # In a picture of a single colour, only rounding errors would be left to normalise.
            return self._exact(picture[None])[0]
        network = self._network
        x = self._convolve_picture(picture, mean)
        x = self._normalise_and_convolve(x, network.in1, self._second)
        x = self._normalise_and_convolve(x, network.in2, self._third)
        total = x.new_empty(x.shape, dtype=torch.float32)
        scale_and_pad(x, *_affine(network.in3, compute_moments(x)), total)
        moments = compute_moments(total)
        for block, first, second in self._residual:
            x = self._convolve(total, moments, first)
            x = self._normalise_and_convolve(x, block.in1, second)
            moments = add_scaled(total, x, *_affine(block.in2, compute_moments(x)))
        # Upsampling comes before the reflection, so the edge is repeated.
        x = self._convolve(total, moments, self._upward[0], reflect=False)
        x = self._normalise_and_convolve(x, network.in4, self._upward[1], phases=2, reflect=False)
        x = self._normalise_and_convolve(
            x, network.in5, self._last, phases=2, padding=4, from_zero=True
        )
        stylized = picture.new_empty(2 * x.shape[0], 2 * x.shape[1], 3)
        scale_and_pad(x, torch.ones(3), self._last_bias, stylized, phases=2)
        return stylized[:height, :width]

    def _convolve_picture(self, picture: Tensor, mean: Tensor) -> Tensor:
        """(h, w, 3) uint8 → (h, w, width) bfloat16."""
        height, width, _ = picture.shape
        even = width + width % 2
        padded = self._buffer(height + 8, even + 8, 3, torch.uint8)
        scale_and_pad(picture, torch.ones(3), torch.zeros(3), padded[:, : width + 8], padding=4)
        # Subtract the mean of the picture: in the bfloat16 result, a common offset would leave few
        # bits for the contrast of a dark scene.
        bias = -(self._first_sums @ mean).repeat(2)
        pairs = padded.view(height + 8, (even + 8) // 2, 6)
        x = _convolve_integers(pairs, *self._first, bias=bias)
        return x.view(height, even, -1)[:, :width].contiguous()

    def _normalise_and_convolve(
        self,
        x: Tensor,
        normalisation: nn.InstanceNorm2d,
        layer: _Layer,
        *,
        phases: int = 1,
        padding: int = 1,
        reflect: bool = True,
        from_zero: bool = False,
    ) -> Tensor:
        """Apply a normalisation and ReLU, pad, and convolve.

        Unless `from_zero`, the result of a quantised convolution lacks a constant per channel.
        """
        found = compute_moments(x, phases)
        scale, offset = _affine(normalisation, found)
        shift = phases - 1
        height, width = ((side - shift) * phases + 2 * padding for side in x.shape[:2])
        padded = self._buffer(height, width, x.shape[2] // phases**2, layer.dtype)
        mean, variance = self._rectified[normalisation]
        steps, minimum = None, -mean
        if layer.dtype == torch.uint8:
            ends = torch.stack([found.low, found.high]) * scale + offset
            low, high = ends.clamp_min_(0).aminmax(dim=0)
            if from_zero:
                low = torch.zeros_like(low)
            steps = layer.steps(low, high, variance)
            scale, offset, minimum = scale / steps, (offset - low) / steps, torch.zeros_like(steps)
        else:
            # A constant only changes means, which the next normalisation removes.
            offset = offset - mean
        scale_and_pad(
            x,
            scale,
            offset,
            padded,
            minimum=minimum,
            padding=padding,
            reflect=reflect,
            phases=phases,
            shift=shift,
        )
        return layer.convolve(padded, steps)

    def _convolve(
        self, total: Tensor, moments: Moments, layer: _Layer, *, reflect: bool = True
    ) -> Tensor:
        """Pad the sum of the residual blocks, and convolve it."""
        height, width, channels = total.shape
        padded = self._buffer(height + 2, width + 2, channels, layer.dtype)
        steps, scale, origin = None, torch.ones(channels), moments.mean
        if layer.dtype == torch.uint8:
            origin = moments.low
            steps = layer.steps(moments.low, moments.high, moments.variance)
            scale = 1 / steps
        scale_and_pad(
            total,
            scale,
            -origin * scale,
            padded,
            minimum=torch.full((channels,), -math.inf),
            padding=1,
            reflect=reflect,
        )
        return layer.convolve(padded, steps)

    def _buffer(self, height: int, width: int, channels: int, dtype: torch.dtype) -> Tensor:
        """Return the input of a convolution; layers of the same size share it."""
        size = torch.Size((height, width, channels))
        if (size, dtype) not in self._buffers:
            self._buffers[size, dtype] = torch.zeros(size, dtype=dtype)
        return self._buffers[size, dtype]


def _measure_colours(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the minimum, maximum and mean of each colour, several pixels at a time."""
    pixels = math.gcd(picture.shape[0] * picture.shape[1], 16)
    found = compute_moments(picture.view(-1, 1, 3 * pixels).transpose(0, 1).contiguous())
    low, high, mean = (each.view(pixels, 3) for each in (found.low, found.high, found.mean))
    return low.amin(0), high.amax(0), mean.mean(0)


@dataclass(frozen=True)
class _Layer:
    """A convolution without bias and padding.

    Attributes:
        weight: Shape (outputs, inputs, k, l) in the layer's type; if that is uint8, float32 as from
            `_to_serpentine`.
        rows: Height k of the kernel.
        stride: Stride.
        dtype: Type of the activations.
        largest: Largest absolute weight, shape (outputs, inputs).
        squares: Sum of the squared weights, shape (outputs, inputs).
    """

    weight: Tensor
    rows: int
    stride: int
    dtype: torch.dtype
    largest: Tensor
    squares: Tensor

    @classmethod
    def from_weight(cls, weight: Tensor, stride: int, dtype: torch.dtype) -> _Layer:
        """Return the layer of a float32 weight, shape (outputs, inputs, k, l)."""
        if dtype == torch.uint8:
            own = _to_serpentine(weight)
        else:
            own = weight.to(dtype).contiguous(memory_format=torch.channels_last)
        return cls(
            own,
            weight.shape[2],
            stride,
            dtype,
            weight.abs().amax((2, 3)),
            weight.square().sum((2, 3)),
        )

    def steps(self, low: Tensor, high: Tensor, variance: Tensor) -> Tensor:
        """Return the quantisation step of each input channel.

        The error of an output channel is that of its activations, Σ w² step² / 12, and that of
        its weights, which are multiples of a unit, the largest w · step / `_LARGEST_WEIGHT`:
        Σ unit² / 12 · variance / step². The returned steps approximately minimise the sum over
        all output channels, relative to the variance of each; none is smaller than a 255th of
        its channel's range. As the units depend on the steps, this takes iterations.

        Args:
            low: Minimum of each input channel.
            high: Maximum of each input channel.
            variance: Variance of each input channel.
        """
        smallest = ((high - low) / 255).clamp_min_(_TINY)
        outputs = (self.squares @ variance).clamp_min_(_TINY)
        importance = (1 / outputs @ self.squares).clamp_min_(_TINY)
        taps = len(self.weight)
        steps = smallest
        for _ in range(_BALANCING_STEPS):
            units = (self.largest * steps).amax(1) / _LARGEST_WEIGHT
            error = taps * (units.square() / outputs).sum()
            steps = torch.maximum(smallest, (error * variance / importance).sqrt().sqrt())
        return steps

    def convolve(self, x: Tensor, steps: Tensor | None = None) -> Tensor:
        """Return the convolution of a picture.

        Args:
            x: Shape (height, width, inputs), in the layer's type.
            steps: Quantisation step of each input channel, if the type is uint8.
        """
        if steps is None:
            y = F.conv2d(x.permute(2, 0, 1)[None], self.weight, stride=self.stride)
            return y[0].permute(1, 2, 0).contiguous()
        return _convolve_integers(x, *_quantise(self.weight * steps, self.rows), self.stride)


def _convolve_integers(
    x: Tensor, weight: Tensor, unit: Tensor, stride: int = 1, bias: Tensor | None = None
) -> Tensor:
    """Return the convolution of a picture as bfloat16.

    Args:
        x: Shape (height, width, inputs), uint8.
        weight: Shape (outputs, inputs, k, l), int8.
        unit: Value of 1 in the weights of each output, shape (outputs,).
        stride: Stride.
        bias: Added before rounding, shape (outputs,).
    """
    values = x.permute(2, 0, 1)[None]
    position = ([stride] * 2, [0, 0], [1, 1], 1)  # stride, padding, dilation, groups
    packed = torch.ops.onednn.qconv_prepack(weight, unit, 1.0, 0, *position, list(values.shape))
    origins = torch.zeros(len(unit), dtype=torch.int32)
    result = (1.0, 0, torch.bfloat16)  # scale, origin and type
    y = torch.ops.onednn.qconv2d_pointwise(
        values, 1.0, 0, packed, unit, origins, bias, *position, *result, "none", [], ""
    )
    return y[0].permute(1, 2, 0).contiguous()


def _to_serpentine(weight: Tensor) -> Tensor:
    """(o, i, k, l) → (k · l, o, i): a kernel's pixels in serpentine order, each beside the last."""
    return weight.flatten(2)[:, :, _serpentine(*weight.shape[2:])].permute(2, 0, 1).contiguous()


def _serpentine(rows: int, columns: int) -> Tensor:
    """Return indices of pixels row by row, every second row backwards."""
    order = torch.arange(rows * columns).view(rows, columns)
    order[1::2] = order[1::2].flip(1)
    return order.flatten()


def _quantise(weight: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Round weights to int8 by error diffusion, and return the value of 1 for each output channel.

    All sums of a kernel's pixels up to one of them are off by at most half, so that the errors of
    neighbouring pixels cancel.

    Args:
        weight: Shape (k · l, outputs, inputs), as from `_to_serpentine`.
        rows: Height k of the kernel.

    Returns:
        Weights of shape (outputs, inputs, k, l), and units of shape (outputs,).
    """
    unit = weight.abs().amax((0, 2)).clamp_min_(_TINY) / _LARGEST_WEIGHT
    sums = (weight / unit[:, None]).cumsum(0).round_()
    pixels, outputs, inputs = weight.shape
    order = _serpentine(rows, pixels // rows)
    rounded = torch.empty(weight.shape, dtype=torch.int8)
    rounded[order[0]] = sums[0].to(torch.int8)
    rounded[order[1:]] = sums.diff(dim=0).to(torch.int8)
    return rounded.permute(1, 2, 0).reshape(outputs, inputs, rows, pixels // rows), unit


def _affine(normalisation: nn.InstanceNorm2d, found: Moments) -> tuple[Tensor, Tensor]:
    """Return the factor and the offset of a normalisation, each of shape (channels,)."""
    scale = normalisation.weight / (found.variance + normalisation.eps).sqrt()
    return scale, normalisation.bias - scale * found.mean


def _rectified_moments(normalisation: nn.InstanceNorm2d) -> tuple[Tensor, Tensor]:
    """Return mean and variance after normalisation and ReLU, if values are normally distributed."""
    mean = normalisation.bias.detach()
    deviation = normalisation.weight.detach().abs().clamp_min(_TINY)
    ratio = mean / deviation
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    positive = torch.special.ndtr(ratio)
    rectified = mean * positive + deviation * density
    square = (mean.square() + deviation.square()) * positive + mean * deviation * density
    return rectified, (square - rectified.square()).clamp_min_(0)
