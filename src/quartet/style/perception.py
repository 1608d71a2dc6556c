"""What a painting and a photograph look like to VGG-19: features, their correlations, the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MEAN_BGR = (103.939, 116.779, 123.68)
"""Of ImageNet, as the Caffe weights were trained with."""
_LAYERS = {
    # name: index of its convolution in torchvision's `features`
    "conv1_1": 0, "conv1_2": 2,
    "conv2_1": 5, "conv2_2": 7,
    "conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv3_4": 16,
}  # fmt: skip
_POOLED = ("conv1_2", "conv2_2")


class Vgg19(nn.Module):
    """VGG-19 (Simonyan and Zisserman, 2014) up to its third block, weights frozen.

    Args:
        weights: torchvision's names, `features.0.weight` and so on, of the Caffe
            model: its input is BGR from 0 to 255 less the mean.

    Raises:
        ValueError: Some weights are missing or of another shape.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN_BGR).view(1, 3, 1, 1))
        channels = 3
        for name, index in _LAYERS.items():
            outputs = 64 * 2 ** (int(name[4]) - 1)
            convolution = nn.Conv2d(channels, outputs, 3, padding=1)
            for part in ("weight", "bias"):
                given, own = weights.get(f"features.{index}.{part}"), getattr(convolution, part)
                if given is None or given.shape != own.shape:
                    raise ValueError(
                        f"not the weights of VGG-19 up to conv3_4: features.{index}.{part} of "
                        f"shape {tuple(own.shape)} is missing"
                    )
                own.data = given.float()
            self.add_module(name, convolution)
            channels = outputs
        self.requires_grad_(False)

    def forward(self, pictures: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Activations after the rectifiers of these layers, as deep as the deepest of them.

        Args:
            pictures: Shape (n, 3, h, w), RGB from 0 to 255.
            layers: Names such as `conv2_2`.
        """
        found = {}
        mean: Tensor = self.mean  # type: ignore[assignment]
        x = pictures.flip(1) - mean
        for name in _LAYERS:
            x = F.relu(self.get_submodule(name)(x))
            if name in layers:
                found[name] = x
                if len(found) == len(layers):
                    break
            if name in _POOLED:
                x = F.max_pool2d(x, 2)
        return found


def correlations(features: Tensor) -> Tensor:
    """Gram matrices of features: (n, c, h, w) → (n, c, c), means over the positions."""
    flat = features.flatten(2).float()
    return flat @ flat.transpose(1, 2) / flat.shape[2]


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, each a scalar."""

    content: Tensor
    style: Tensor
    roughness: Tensor


@dataclass(frozen=True)
class PerceptualLoss:
    """How far a picture is from a photograph in content, and from a painting in style.

    After Johnson et al. (2016), with one change: each layer's distance is divided
    by the size of what it should be. Weights then mean the same for all paintings.

    Attributes:
        vgg: The network that looks.
        style: Gram matrices of the painting by layer, each of shape (1, c, c).
        content_layer: Layer whose activations should be the photograph's.
    """

    vgg: Vgg19
    style: Mapping[str, Tensor]
    content_layer: str

    @classmethod
    def of(
        cls, vgg: Vgg19, painting: Tensor, style_layers: Sequence[str], content_layer: str
    ) -> PerceptualLoss:
        """For a painting of shape (1, 3, h, w), RGB from 0 to 255."""
        with torch.no_grad():
            found = vgg(painting, style_layers)
        style = {name: correlations(features) for name, features in found.items()}
        return cls(vgg, style, content_layer)

    def __call__(self, restyled: Tensor, photographs: Tensor) -> Losses:
        """Losses of restyled photographs, means over the batch.

        Args:
            restyled: Shape (n, 3, h, w), RGB from 0 to 255.
            photographs: The same shape.
        """
        with torch.no_grad():
            wanted = self.vgg(photographs, [self.content_layer])[self.content_layer].float()
        found = self.vgg(restyled, [*{*self.style, self.content_layer}])
        content = F.mse_loss(found[self.content_layer].float(), wanted) / wanted.square().mean()
        style = torch.stack(
            [
                (correlations(found[name]) - target).square().sum((1, 2)).mean()
                / target.square().sum()
                for name, target in self.style.items()
            ]
        ).mean()
        down = (restyled[:, :, 1:] - restyled[:, :, :-1]).abs().mean()
        across = (restyled[:, :, :, 1:] - restyled[:, :, :, :-1]).abs().mean()
        return Losses(content, style, (down + across) / 255)
