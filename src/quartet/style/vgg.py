"""VGG-19, the loss network of style training, and the check of its weights."""

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
"""Mean of ImageNet that the Caffe weights were trained with."""
_LAYERS = {
    # name: index of its convolution in torchvision's `features`
    "conv1_1": 0, "conv1_2": 2,
    "conv2_1": 5, "conv2_2": 7,
    "conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv3_4": 16,
}  # fmt: skip
_PARTS = ("weight", "bias")
_POOLED = ("conv1_2", "conv2_2")

CAFFE_SHA256 = "d9aea267e8892db21c244ec8a26ec4ac5aab70da5225deb8e27bf87789660ffa"
"""`weights_digest` of the model of the Visual Geometry Group, CC BY 4.0, as converted from Caffe by
Justin Johnson for jcjohnson/pytorch-vgg (vgg19-d01eb7cb.pth); computed from an extract of its
layers up to conv3_4, vgg19_caffe_bgr_conv1_1-conv3_4.pth."""


class Vgg19(nn.Module):
    """VGG-19 (Simonyan and Zisserman, 2014) up to its third block, with frozen weights.

    Args:
        weights: Weights of the Caffe model with torchvision's names (`features.0.weight`, …);
            its input is BGR from 0 to 255 minus the mean. Further layers are ignored.

    Raises:
        ValueError: A weight is missing or has another shape.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN_BGR).view(1, 3, 1, 1))
        for name, (weight, bias) in _check_convolutions(weights).items():
            convolution = nn.utils.skip_init(
                nn.Conv2d, weight.shape[1], weight.shape[0], 3, padding=1
            )
            convolution.load_state_dict({"weight": weight, "bias": bias})
            self.add_module(name, convolution)
        self.requires_grad_(False)

    def forward(self, pictures: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the activations after the ReLU of these layers; deeper layers are not computed.

        Args:
            pictures: Shape (n, 3, h, w), RGB from 0 to 255.
            layers: Names such as `conv2_2`.
        """
        activations = {}
        mean: Tensor = self.mean  # type: ignore[assignment]
        x = pictures.flip(1) - mean
        for name in _LAYERS:
            x = F.relu(self.get_submodule(name)(x))
            if name in layers:
                activations[name] = x
                if len(activations) == len(layers):
                    break
            if name in _POOLED:
                x = F.max_pool2d(x, 2)
        return activations


def select_vgg_weights(
    arrays: Mapping[str, NDArray[Any]], verify: bool = True
) -> dict[str, Tensor]:
    """Return the weights for `Vgg19` as float32 tensors, checked against the Caffe model.

    Args:
        arrays: State dict of VGG-19 with torchvision's names; further layers are dropped.
        verify: Whether they must be the weights of the Caffe model. Others, such as
            torchvision's, expect another range of input values.

    Raises:
        ValueError: A weight is missing or has another shape; or, with `verify`, the weights
            are not those of the Caffe model.
    """
    names = [f"features.{index}.{part}" for index in _LAYERS.values() for part in _PARTS]
    tensors = {name: torch.tensor(arrays[name]).float() for name in names if name in arrays}
    sha256 = weights_digest(tensors)
    if verify and sha256 != CAFFE_SHA256:
        raise ValueError(
            "vgg_weights: expected the Caffe model of VGG-19, whose input is BGR from 0 to 255 "
            f"minus the mean (SHA-256 {CAFFE_SHA256[:12]}…, found {sha256[:12]}…); run "
            "`kedro fetch vgg`. torchvision's weights expect normalised RGB from 0 to 1, and the "
            "default loss weights do not suit them. To use other weights: --params "
            "style_training.verify_vgg=false"
        )
    return tensors


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over weights and biases of the eight convolutions, in order.

    Values are hashed as little-endian float32.

    Raises:
        ValueError: A weight is missing or has another shape.
    """
    sha256 = hashlib.sha256()
    for weight, bias in _check_convolutions(weights).values():
        for part in (weight, bias):
            sha256.update(np.ascontiguousarray(part.cpu().numpy(), dtype="<f4").data)
    return sha256.hexdigest()


def _check_convolutions(weights: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return weight and bias of each convolution as float32, with shapes checked."""
    convolutions, inputs = {}, 3
    for name, index in _LAYERS.items():
        outputs = 64 * 2 ** (int(name[4]) - 1)
        shapes = {"weight": (outputs, inputs, 3, 3), "bias": (outputs,)}
        for part, shape in shapes.items():
            tensor = weights.get(f"features.{index}.{part}")
            if tensor is None or tuple(tensor.shape) != shape:
                raise ValueError(
                    f"the weights are not those of VGG-19 up to conv3_4: features.{index}.{part} "
                    f"of shape {shape} is missing"
                )
        weight, bias = (weights[f"features.{index}.{part}"].float() for part in _PARTS)
        convolutions[name] = (weight, bias)
        inputs = outputs
    return convolutions
