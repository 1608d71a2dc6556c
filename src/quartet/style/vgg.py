"""VGG-19, through which pictures are compared, and the check that it has the right weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
_PARTS = ("weight", "bias")
_POOLED = ("conv1_2", "conv2_2")

CAFFE_SHA256 = "d9aea267e8892db21c244ec8a26ec4ac5aab70da5225deb8e27bf87789660ffa"
"""`digest` of the model of the Visual Geometry Group, CC BY 4.0, as converted from Caffe by Justin
Johnson for jcjohnson/pytorch-vgg (vgg19-d01eb7cb.pth); computed from an extract of its layers up
to conv3_4, vgg19_caffe_bgr_conv1_1-conv3_4.pth."""


class Vgg19(nn.Module):
    """VGG-19 (Simonyan and Zisserman, 2014) up to its third block, weights frozen.

    Args:
        weights: torchvision's names, `features.0.weight` and so on, of the Caffe
            model: its input is BGR from 0 to 255 less the mean. Further ones are ignored.

    Raises:
        ValueError: Some weights are missing or of another shape.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN_BGR).view(1, 3, 1, 1))
        for name, (weight, bias) in _convolutions(weights).items():
            convolution = nn.utils.skip_init(
                nn.Conv2d, weight.shape[1], weight.shape[0], 3, padding=1
            )
            convolution.load_state_dict({"weight": weight, "bias": bias})
            self.add_module(name, convolution)
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


def vgg_tensors(arrays: Mapping[str, NDArray[Any]], verify: bool = True) -> dict[str, Tensor]:
    """The weights that `Vgg19` takes, float32, checked to be those that losses were weighed for.

    Args:
        arrays: A state_dict of VGG-19 with torchvision's names; further layers are left out.
        verify: Whether they must be those of the Caffe model. Others, such as torchvision's
            own, see colours of another scale.

    Raises:
        ValueError: Some are missing or of another shape; or they are others, with `verify`.
    """
    names = [f"features.{index}.{part}" for index in _LAYERS.values() for part in _PARTS]
    tensors = {name: torch.tensor(arrays[name]).float() for name in names if name in arrays}
    found = digest(tensors)
    if verify and found != CAFFE_SHA256:
        raise ValueError(
            "these are not the weights of VGG-19 that style losses are weighed for: expected the "
            "Caffe model, whose input is BGR from 0 to 255 less the mean (`kedro fetch vgg`; its "
            f"tensors' SHA-256 begins {CAFFE_SHA256[:12]}, found {found[:12]}). torchvision's own "
            "expect RGB from 0 to 1, normalised, and would be misled. To use others knowingly: "
            "--params style_training.verify_vgg=false"
        )
    return tensors


def digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over the weights and biases of the eight convolutions, in order.

    Of each the bytes as float32, little-endian.

    Raises:
        ValueError: Some are missing or of another shape.
    """
    sha256 = hashlib.sha256()
    for weight, bias in _convolutions(weights).values():
        for part in (weight, bias):
            sha256.update(np.ascontiguousarray(part.cpu().numpy(), dtype="<f4").data)
    return sha256.hexdigest()


def _convolutions(weights: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution, float32, their shapes checked."""
    found, inputs = {}, 3
    for name, index in _LAYERS.items():
        outputs = 64 * 2 ** (int(name[4]) - 1)
        shapes = {"weight": (outputs, inputs, 3, 3), "bias": (outputs,)}
        for part, shape in shapes.items():
            given = weights.get(f"features.{index}.{part}")
            if given is None or tuple(given.shape) != shape:
                raise ValueError(
                    f"not the weights of VGG-19 up to conv3_4: features.{index}.{part} of shape "
                    f"{shape} is missing"
                )
        weight, bias = (weights[f"features.{index}.{part}"].float() for part in _PARTS)
        found[name] = (weight, bias)
        inputs = outputs
    return found
