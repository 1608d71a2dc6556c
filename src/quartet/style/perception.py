"""Measure perceptual losses with VGG-19: distance to the photograph and to the painting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quartet.style.vgg import Vgg19


def gram_matrices(features: Tensor) -> Tensor:
    """Return Gram matrices of features, averaged over positions: (n, c, h, w) → (n, c, c)."""
    flat = features.flatten(2).float()
    return flat @ flat.transpose(1, 2) / flat.shape[2]


@dataclass(frozen=True)
class Losses:
    """Terms of the loss before weighting, each a scalar."""

    content: Tensor
    style: Tensor
    roughness: Tensor


@dataclass(frozen=True)
class PerceptualLoss:
    """Perceptual loss: distance to a photograph in content, and to a painting in style.

    Follows Johnson et al. (2016) with one change: the distance in each layer is divided by
    the squared norm of its target, so that weights mean the same for all paintings.

    Attributes:
        vgg: Loss network.
        style: Gram matrices of the painting by layer, each of shape (1, c, c).
        content_layer: Layer whose activations are compared with the photograph's.
    """

    vgg: Vgg19
    style: Mapping[str, Tensor]
    content_layer: str

    @classmethod
    def from_painting(
        cls, vgg: Vgg19, painting: Tensor, style_layers: Sequence[str], content_layer: str
    ) -> PerceptualLoss:
        """Compute the style targets from a painting.

        Args:
            vgg: Loss network.
            painting: Shape (1, 3, h, w), RGB from 0 to 255.
            style_layers: Layers whose Gram matrices are compared.
            content_layer: Layer whose activations are compared.
        """
        with torch.no_grad():
            activations = vgg(painting, style_layers)
        style = {name: gram_matrices(features) for name, features in activations.items()}
        return cls(vgg, style, content_layer)

    def __call__(self, stylized: Tensor, photographs: Tensor) -> Losses:
        """Return the losses of stylized photographs, averaged over the batch.

        The losses of a photograph do not depend on the rest of the batch.

        Args:
            stylized: Shape (n, 3, h, w), RGB from 0 to 255.
            photographs: Same shape.

        Returns:
            The content and style losses, and the roughness: total variation per pixel.
        """
        with torch.no_grad():
            content_target = self.vgg(photographs, [self.content_layer])[self.content_layer].float()
        activations = self.vgg(stylized, [*{*self.style, self.content_layer}])
        distance = (
            (activations[self.content_layer].float() - content_target).square().mean((1, 2, 3))
        )
        content = (distance / content_target.square().mean((1, 2, 3))).mean()
        style = torch.stack(
            [
                (gram_matrices(activations[name]) - target).square().sum((1, 2)).mean()
                / target.square().sum()
                for name, target in self.style.items()
            ]
        ).mean()
        vertical = (stylized[:, :, 1:] - stylized[:, :, :-1]).abs().mean()
        horizontal = (stylized[:, :, :, 1:] - stylized[:, :, :, :-1]).abs().mean()
        return Losses(content, style, (vertical + horizontal) / 255)
