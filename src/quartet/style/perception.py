"""How far a stylized photograph is from the photograph and from the painting, as VGG-19 sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quartet.style.vgg import Vgg19


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

    def __call__(self, stylized: Tensor, photographs: Tensor) -> Losses:
        """Losses of stylized photographs, means over the batch.

        Each photograph counts by itself, whatever else is in the batch.

        Args:
            stylized: Shape (n, 3, h, w), RGB from 0 to 255.
            photographs: The same shape.
        """
        with torch.no_grad():
            wanted = self.vgg(photographs, [self.content_layer])[self.content_layer].float()
        found = self.vgg(stylized, [*{*self.style, self.content_layer}])
        apart = (found[self.content_layer].float() - wanted).square().mean((1, 2, 3))
        content = (apart / wanted.square().mean((1, 2, 3))).mean()
        style = torch.stack(
            [
                (correlations(found[name]) - target).square().sum((1, 2)).mean()
                / target.square().sum()
                for name, target in self.style.items()
            ]
        ).mean()
        down = (stylized[:, :, 1:] - stylized[:, :, :-1]).abs().mean()
        across = (stylized[:, :, :, 1:] - stylized[:, :, :, :-1]).abs().mean()
        return Losses(content, style, (down + across) / 255)
