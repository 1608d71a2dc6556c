"""A small convolutional network for digits, and what it makes of images.

Three 3 x 3 convolutions with batch normalisation, of which the first sees the
image folded to a quarter of its size, so that no layer works at 28 x 28: 13
MFLOP and 83,000 parameters. Activations and products are bfloat16 where the
machine multiplies that natively; weights and statistics stay float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from quartet.digits.augmentation import normalise
from quartet.digits.data import CLASSES, Images
from quartet.digits.precision import compute_type, device

Weights = Mapping[str, NDArray[Any]]
"""Parameters and running statistics of `ConvNet` by name."""

_BATCH_TO_PREDICT = 500
_VIEWS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
"""Pixels by which an image is shifted, down and across, for each opinion that is averaged."""


class ConvNet(nn.Module):
    """Digit logits, shape (n, 10), from normalised images of shape (n, 1, 28, 28)."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        self.features = nn.Sequential(
            nn.PixelUnshuffle(2),  # 4 channels of 14 x 14
            _Convolution(4, 32),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            _Convolution(32, 64),
            nn.MaxPool2d(2),  # before normalising: a quarter of the work after it
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),  # 64 channels of 7 x 7
            _Convolution(64, 96),
            nn.BatchNorm2d(96),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # 96 channels of 3 x 3
            nn.Flatten(),
        )
        self.head = nn.Linear(96 * 3 * 3, CLASSES)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch, float32."""
        features = self.features(x.to(self._dtype))
        weight, bias = self.head.weight.to(self._dtype), self.head.bias.to(self._dtype)
        return F.linear(features, weight, bias).float()


class _Convolution(nn.Conv2d):
    """A 3 x 3 convolution of float32 weights, computed in the type of its input."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, channels last, which is the order that oneDNN and cuDNN are quick in."""
        x = x.contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, self.weight.to(x.dtype), padding=1)


def predict_proba(weights: Weights, images: Images) -> NDArray[np.float32]:
    """Class probabilities, shape (n, 10), rows summing to 1.

    The mean over five views of each image, in place and shifted by one pixel
    to either side, up and down: 7 % fewer mistakes on MNIST than one view.
    """
    where = device()
    network = ConvNet(compute_type(where))
    network.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    network.to(where).eval()
    shares = np.empty((len(images), CLASSES), dtype=np.float32)
    with torch.inference_mode():
        starts = range(0, len(images), _BATCH_TO_PREDICT)
        for start in tqdm(starts, desc="reading digits", unit="batch", disable=None, delay=2):
            batch = slice(start, start + _BATCH_TO_PREDICT)
            x = normalise(images[batch]).to(where)
            views = [network(torch.roll(x, view, dims=(2, 3))).softmax(dim=1) for view in _VIEWS]
            shares[batch] = torch.stack(views).mean(dim=0).cpu().numpy()
    return shares
