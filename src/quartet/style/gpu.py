"""Compute the style network in the form that is fastest on a GPU."""

from __future__ import annotations

import copy
from threading import Lock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quartet.style.inference import (
    Pad,
    is_uniform,
    pack_phases,
    pack_squares,
    pad_reflect,
    pad_replicate,
    residual_blocks,
)
from quartet.style.network import StyleNetwork, to_pictures

_SIDE = 4
"""Side in pixels of the squares that the 9×9 convolutions compute at once."""


class GpuNetwork:
    """Compute what a `StyleNetwork` computes, from bytes to bytes, in the form for a GPU.

    - The 9×9 convolutions compute squares of 4×4 pixels at once: with three channels, most of a
      matrix unit would be idle.
    - Doubling the size followed by a 3×3 convolution is one convolution that gives squares of 2×2
      pixels.
    - Pictures are computed one after the other: instance normalisation is then batch
      normalisation, which cuDNN computes 4 to 24 times as fast with channels last.
    - ReLU writes into the middle of a buffer whose border is then reflected.
    - Constants that instance normalisation removes are left out: biases before it, and the mean
      colours of the pictures.

    Args:
        network: Network to compute, in evaluation mode.
        device: Device to compute on; a CPU gives the same results, slowly.
        dtype: Data type of the convolutions.
    """

    def __init__(self, network: StyleNetwork, device: torch.device, dtype: torch.dtype) -> None:
        self._network = copy.deepcopy(network).to(device).requires_grad_(False)
        self._dtype = dtype
        self.device = device
        self.lock = Lock()
        """To be held while a graph is captured."""

        def cast(weight: Tensor) -> Tensor:
            weight = weight.detach().to(device, dtype)
            return weight.contiguous(memory_format=torch.channels_last)

        self._first = cast(_to_blocks(pack_squares(network.conv1, _SIDE)))
        self._second = cast(network.conv2.conv2d.weight)
        self._third = cast(network.conv3.conv2d.weight)
        self._residual = [
            (block, cast(block.conv1.conv2d.weight), cast(block.conv2.conv2d.weight))
            for block in residual_blocks(self._network)
        ]
        self._upward = [cast(pack_phases(layer, 3)) for layer in (network.deconv1, network.deconv2)]
        self._last = cast(pack_squares(network.deconv3, _SIDE))
        bias = network.deconv3.conv2d.bias
        assert bias is not None
        self._last_bias = bias.detach().to(device, dtype).repeat(_SIDE * _SIDE)
        if device.type == "cuda":  # the threads' own streams do not wait for the default one
            torch.cuda.synchronize(device)

    def __call__(self, pictures: Tensor) -> Tensor:
        """Stylize pictures in the memory of the device.

        Args:
            pictures: Shape (n, h, w, 3), uint8 RGB; h and w at least 24.

        Returns:
            The stylized pictures, of the same shape and type.
        """
        stylized = torch.empty_like(pictures)
        for picture, result in zip(pictures, stylized, strict=True):
            self._stylize(picture, result)
        return stylized

    def stylize_exactly(self, picture: Tensor) -> Tensor:
        """Stylize one picture (h, w, 3) in float32, on the device, as the network was trained."""
        height, width, _ = picture.shape
        values = self._network(picture.to(self.device).permute(2, 0, 1)[None].float())
        return to_pictures(values)[0].permute(1, 2, 0)[:height, :width]

    def _stylize(self, picture: Tensor, result: Tensor) -> None:
        network = self._network
        x = self._rectify(self._first_layer(picture), network.in1, 1)
        x = self._rectify(_to_squares(F.conv2d(x, self._second, stride=2)), network.in2, 1)
        x = self._rectify(_to_squares(F.conv2d(x, self._third, stride=2)), network.in3, 1)
        middle = x[:, :, 1:-1, 1:-1]
        for block, first, second in self._residual:
            y = self._rectify(_to_squares(F.conv2d(x, first)), block.in1, 1)
            middle += _normalise(F.conv2d(y, second), block.in2)
            pad_reflect(x, 1)
        # Upsampling comes before the reflection, so the edge is repeated.
        pad_replicate(x, 1)
        x = F.conv2d(x, self._upward[0])
        x = self._rectify(_to_squares(x, 2), network.in4, 1, pad_replicate)
        x = self._rectify(_to_squares(F.conv2d(x, self._upward[1]), 2), network.in5, 4)
        x = F.conv2d(x, self._last, self._last_bias, stride=_SIDE)
        height, width, _ = picture.shape
        levels = _to_squares(x.round_().clamp_(0, 255), _SIDE)
        result.copy_(_to_pixels(levels)[0, :height, :width])

    def _first_layer(self, picture: Tensor) -> Tensor:
        """Apply the first convolution: (h, w, 3) uint8 → squares of the same picture."""
        height, width, _ = picture.shape
        rows, columns = (-(-size // _SIDE) for size in (height, width))
        side = _SIDE * (rows + 2), _SIDE * (columns + 2)
        x = torch.zeros((1, *side, 3), dtype=self._dtype, device=picture.device)
        inner = x[:, : height + 8, : width + 8]
        # float16 represents integers up to 255 exactly. Subtract the mean of the picture, as a
        # common offset would cost the contrast of a dark scene its precision.
        levels = picture.to(self._dtype)
        mean = levels.mean((0, 1), dtype=torch.float32).round_().to(self._dtype)
        torch.sub(levels, mean, out=inner[0, 4:-4, 4:-4])
        pad_reflect(inner.permute(0, 3, 1, 2), 4)
        squares = _to_squares(F.conv2d(_to_blocks(x.permute(0, 3, 1, 2)), self._first), _SIDE)
        if (rows * _SIDE, columns * _SIDE) == (height, width):
            return squares
        return _to_pixels(squares)[:, :height, :width].contiguous()[:, :, :, None, None]

    def _rectify(
        self, squares: Tensor, normalisation: nn.Module, padding: int, pad: Pad = pad_reflect
    ) -> Tensor:
        """Normalise, apply ReLU and pad: (1, h, w, s, s, c) → (1, c, sh + 2p, sw + 2p)."""
        _, rows, columns, side, _, channels = squares.shape
        size = side * rows + 2 * padding, side * columns + 2 * padding
        padded = squares.new_empty((1, *size, channels))
        inner = padded[:, padding:-padding, padding:-padding]
        target = inner.unflatten(2, (columns, side)).unflatten(1, (rows, side))
        # The order of the pixels does not matter to the normalisation.
        x = _normalise(squares.flatten(2, 4).permute(0, 3, 1, 2), normalisation)
        x = x.permute(0, 2, 3, 1).view(squares.shape)
        torch.clamp_min(x.transpose(2, 3), 0, out=target)
        result = padded.permute(0, 3, 1, 2)
        pad(result, padding)
        return result


class GraphedNetwork:
    """Stylize pictures in the memory of the CPU, on a stream of its own.

    The second call with a size is captured as a CUDA graph, later ones replay it: the GPU never
    waits for Python. Several of these, each in a thread, copy and compute at the same time.
    """

    def __init__(self, network: GpuNetwork) -> None:
        self._network = network
        self._stream = torch.cuda.Stream(network.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._upload = self._result = torch.empty(0)

    def __call__(self, pictures: Tensor) -> Tensor:
        """Stylize pictures.

        Args:
            pictures: Shape (n, h, w, 3), uint8 RGB; h and w at least 24.

        Returns:
            The stylized pictures, of the same shape and type.
        """
        with torch.cuda.stream(self._stream):
            if self._upload.shape != pictures.shape:
                self._allocate(pictures)
            elif self._graph is None:
                self._capture()
            self._upload.copy_(pictures)
            self._input.copy_(self._upload, non_blocking=True)
            self._result.copy_(self.compute(), non_blocking=True)
        self._stream.synchronize()
        stylized = self._result.clone()
        for index, picture in enumerate(pictures):
            # Lower precision would only enlarge rounding errors.
            if is_uniform(picture):
                stylized[index] = self._network.stylize_exactly(picture)
        return stylized

    def compute(self) -> Tensor:
        """Stylize the pictures that were copied to the GPU last, without waiting."""
        with torch.cuda.stream(self._stream):
            if self._graph is None:
                self._output = self._network(self._input)
            else:
                self._graph.replay()
        return self._output

    def _allocate(self, pictures: Tensor) -> None:
        """Replace the buffers by ones of another size."""
        self._graph = None
        self._upload = torch.empty(pictures.shape, dtype=torch.uint8, pin_memory=True)
        self._result = torch.empty_like(self._upload, pin_memory=True)
        self._input = torch.empty_like(self._upload, device=self._network.device)

    def _capture(self) -> None:
        """Record the computation."""
        graph = torch.cuda.CUDAGraph()
        with (
            self._network.lock,
            torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            self._output = self._network(self._input)
        self._graph = graph


def _normalise(x: Tensor, normalisation: nn.Module) -> Tensor:
    """Normalise each channel of one picture (1, c, h, w)."""
    assert isinstance(normalisation, nn.InstanceNorm2d)
    weight, bias, epsilon = normalisation.weight, normalisation.bias, normalisation.eps
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=epsilon)


def _to_squares(x: Tensor, side: int = 1) -> Tensor:
    """(1, s·s·c, h, w) → (1, h, w, s, s, c), without a copy."""
    return x.permute(0, 2, 3, 1).unflatten(3, (side, side, -1))


def _to_pixels(squares: Tensor) -> Tensor:
    """(1, h, w, s, s, c) → (1, sh, sw, c)."""
    return squares.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _to_blocks(x: Tensor) -> Tensor:
    """Make blocks of 4×4 pixels channels: (n, c, 4h, 4w) → (n, 16c, h, w), channels last.

    A convolution with a stride of 4 is one of blocks: cuDNN computes that faster.
    """
    blocks = x.unflatten(3, (-1, _SIDE)).unflatten(2, (-1, _SIDE)).permute(0, 2, 4, 3, 5, 1)
    return blocks.flatten(3).permute(0, 3, 1, 2)
