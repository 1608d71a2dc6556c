"""The feed-forward network that stylizes a picture in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CHECKED_SIDE = 32
"""Height and width in pixels of the picture on which weights are checked."""

_UNUSED = ("running_mean", "running_var", "num_batches_tracked")
"""Buffers that old PyTorch versions saved with instance normalisation and never used."""


class StyleNetwork(nn.Module):
    """Stylize a picture in one pass; the output has the size of the input.

    The network of Johnson et al., "Perceptual losses for real-time style transfer and
    super-resolution" (2016), with the instance normalisation of Ulyanov et al. (2016) and
    resize-convolutions. Layers are laid out and named as in `TransformerNet` of
    pytorch/examples, so its published weights can be loaded.

    Args:
        width: Channels of the first layer; the deepest have four times as many.
            The published networks have 32.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.conv1 = PaddedConvolution(3, width, 9)
        self.in1 = _normalisation(width)
        self.conv2 = PaddedConvolution(width, 2 * width, 3, stride=2)
        self.in2 = _normalisation(2 * width)
        self.conv3 = PaddedConvolution(2 * width, 4 * width, 3, stride=2)
        self.in3 = _normalisation(4 * width)
        self.res1 = ResidualBlock(4 * width)
        self.res2 = ResidualBlock(4 * width)
        self.res3 = ResidualBlock(4 * width)
        self.res4 = ResidualBlock(4 * width)
        self.res5 = ResidualBlock(4 * width)
        self.deconv1 = UpsampledConvolution(4 * width, 2 * width)
        self.in4 = _normalisation(2 * width)
        self.deconv2 = UpsampledConvolution(2 * width, width)
        self.in5 = _normalisation(width)
        self.deconv3 = PaddedConvolution(width, 3, 9)

    def forward(self, pictures: Tensor) -> Tensor:
        """Stylize pictures.

        Args:
            pictures: Shape (n, 3, h, w), RGB from 0 to 255; h and w at least 24.

        Returns:
            Shape (n, 3, h', w'), about 0 to 255, not clipped; h' and w' are h and w
            rounded up to a multiple of 4.
        """
        x = F.relu(self.in1(self.conv1(pictures)))
        x = F.relu(self.in2(self.conv2(x)))
        x = F.relu(self.in3(self.conv3(x)))
        x = self.res1(x)
        x = self.res2(x)
        x = self.res3(x)
        x = self.res4(x)
        x = self.res5(x)
        x = F.relu(self.in4(self.deconv1(x)))
        x = F.relu(self.in5(self.deconv2(x)))
        return self.deconv3(x)


class PaddedConvolution(nn.Module):
    """Convolution with reflection padding that keeps the size, apart from the stride."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.padding = [size // 2] * 4
        self.conv2d = nn.Conv2d(inputs, outputs, size, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, ⌈h/stride⌉, ⌈w/stride⌉)."""
        return self.conv2d(F.pad(x, self.padding, mode="reflect"))


class UpsampledConvolution(nn.Module):
    """Upsampling by two and convolution, without checkerboards (Odena et al., 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, 2h, 2w)."""
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv2d(F.pad(x, [1] * 4, mode="reflect"))


class ResidualBlock(nn.Module):
    """Two convolutions with a skip connection, and no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = PaddedConvolution(channels, channels, 3)
        self.in1 = _normalisation(channels)
        self.conv2 = PaddedConvolution(channels, channels, 3)
        self.in2 = _normalisation(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        return x + self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))


def _normalisation(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True)


def network_width(weights: Mapping[str, Any]) -> int:
    """Return the width of the network that weights, arrays or tensors by name, belong to.

    Raises:
        ValueError: They belong to another architecture; the message names the difference.
    """
    given = {
        name: tuple(value.shape) for name, value in weights.items() if not name.endswith(_UNUSED)
    }
    first = given.get("conv1.conv2d.weight", ())
    if len(first) != 4 or first[1:] != (3, 9, 9) or first[0] < 1:
        raise _architecture_error(
            f"conv1.conv2d.weight: expected shape (width, 3, 9, 9), found {first or 'no tensor'}"
        )
    with torch.device("meta"):
        expected = {
            name: tuple(value.shape) for name, value in StyleNetwork(first[0]).state_dict().items()
        }
    for name in (*expected, *given):
        if given.get(name) != expected.get(name):
            found, wanted = (shapes.get(name, "no tensor") for shapes in (given, expected))
            raise _architecture_error(f"{name}: expected {wanted}, found {found}")
    return first[0]


def _architecture_error(difference: str) -> ValueError:
    return ValueError(
        f"the weights do not belong to TransformerNet of pytorch/examples: {difference}"
    )


def build_network(weights: Mapping[str, Tensor]) -> StyleNetwork:
    """Return a network with these weights, in evaluation mode.

    Raises:
        ValueError: They belong to another architecture.
    """
    network = StyleNetwork(network_width(weights))
    used = {name: value for name, value in weights.items() if not name.endswith(_UNUSED)}
    network.load_state_dict(used)
    return network.eval()


def check_output(weights: Mapping[str, Any]) -> None:
    """Check on a small picture of noise that a network with these weights gives a picture.

    Args:
        weights: NumPy arrays by name.

    Raises:
        ValueError: They belong to another architecture, are not floating-point numbers, or
            give values that are not finite or one colour only.
    """
    network = build_network({name: torch.tensor(each).float() for name, each in weights.items()})
    for name, values in weights.items():
        if not name.endswith(_UNUSED) and values.dtype.kind != "f":
            raise ValueError(
                f"'{name}' has the type {values.dtype}, expected floating-point numbers; save the "
                "weights as float32"
            )
    noise = np.random.default_rng(0).uniform(0, 255, (1, 3, _CHECKED_SIDE, _CHECKED_SIDE))
    with torch.no_grad():
        values = network(torch.tensor(noise, dtype=torch.float32))
    if not bool(values.isfinite().all()):
        problem = "overflow: they give values that are NaN or infinite"
    elif bool((picture := to_pictures(values)).eq(picture[:, :, :1, :1]).all()):
        problem = "stylize every picture to a single colour"
    else:
        return
    raise ValueError(
        f"the weights {problem}; the training diverged or the file is damaged: download it or "
        "train again"
    )


def to_pictures(values: Tensor) -> Tensor:
    """Convert network output to uint8: rounded and clipped to 0 to 255."""
    return values.float().round_().clamp_(0, 255).to(torch.uint8)
