"""Normalisation, cropping and random affine augmentation of images."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from quartet.digits.data import SIDE, Digits, Images
from quartet.digits.settings import ConvNetTraining

_MEAN, _STD = 0.1307, 0.3081
"""Mean and standard deviation of the pixels of MNIST's training set, in [0, 1]."""
_BACKGROUND = -_MEAN / _STD
"""Value of a background pixel (0) after normalisation."""
_LARGEST_MARGIN = 2
"""With wider margins the network's last feature maps would be smaller than 3 x 3."""
_MARGIN_INK = 0.02
"""Largest share of a class's ink in the margin; MNIST's outer two pixels contain 0.017 of the ink
of its sevens, and less of other digits."""


def find_margin(digits: Digits) -> int:
    """Return the width in pixels, 0 to 2, of the border that contains little ink of every class.

    The network does not compute it: without two pixels, a quarter less work.
    """
    images, labels = digits["images"], digits["labels"]
    ink = np.stack(
        [images[labels == label].sum(axis=0, dtype=np.float64) for label in np.unique(labels)]
    )
    total = ink.sum(axis=(1, 2))
    for margin in range(_LARGEST_MARGIN, 0, -1):
        inner = ink[:, margin : SIDE - margin, margin : SIDE - margin].sum(axis=(1, 2))
        if (inner >= (1 - _MARGIN_INK) * total).all():
            return margin
    return 0


def crop(images: Tensor, margin: int) -> Tensor:
    """Return images of shape (n, 1, 28, 28) without a border of `margin` pixels."""
    return images[:, :, margin : SIDE - margin, margin : SIDE - margin]


def normalise(images: Images) -> Tensor:
    """Standardise images with the mean and standard deviation of MNIST's training set.

    Args:
        images: Images, uint8, shape (n, 28, 28).

    Returns:
        Normalised images, float32, shape (n, 1, 28, 28).
    """
    return torch.tensor(images).float().div_(255).sub_(_MEAN).div_(_STD)[:, None]


def augment(
    images: Tensor, settings: ConvNetTraining, generator: torch.Generator, margin: int = 0
) -> Tensor:
    """Apply a random affine transformation to each image, with bilinear interpolation.

    Args:
        images: Normalised images, float32, shape (n, 1, 28, 28).
        settings: Maximum rotation, scaling, shear and shift. The values for each image are drawn
            independently from uniform distributions.
        generator: Random number generator on the CPU, so that the transformations do not depend
            on the device of the images.
        margin: Width of the border to crop, in pixels.

    Returns:
        Transformed images, cropped; positions outside an image are filled with background.
    """
    count, device = len(images), images.device
    angle, scale_x, scale_y, shear, dx, dy = torch.rand(6, count, generator=generator) * 2 - 1
    angle = angle * math.radians(settings.rotation_degrees)
    scale_x, scale_y = 1 + scale_x * settings.scaling, 1 + scale_y * settings.scaling
    shear = shear * settings.shear
    # In the coordinates of grid_sample, images extend from -1 to 1.
    dx, dy = (shift * settings.shift_pixels * 2 / SIDE for shift in (dx, dy))
    # Affine matrices from positions in the output to positions in the image, shape (n, 2, 3).
    matrices = torch.stack(
        [
            torch.stack([angle.cos() * scale_x, shear - angle.sin() * scale_y, dx], dim=1),
            torch.stack([angle.sin() * scale_x, angle.cos() * scale_y, dy], dim=1),
        ],
        dim=1,
    )
    # One matrix product for all sampling grids is eight times as fast as F.affine_grid.
    grid = matrices.view(2 * count, 3).to(device) @ _pixel_centres(margin, device)
    side = SIDE - 2 * margin
    grid = grid.view(count, 2, side, side).permute(0, 2, 3, 1)
    # grid_sample fills with 0, so the background is shifted to 0 and back.
    return F.grid_sample(images - _BACKGROUND, grid, align_corners=False) + _BACKGROUND


def _pixel_centres(margin: int, device: torch.device) -> Tensor:
    """Return homogeneous coordinates (x, y, 1) of the pixels inside the margin: shape (3, n).

    The complete image extends from -1 to 1.
    """
    centres = (torch.arange(margin, SIDE - margin, device=device) * 2 + 1) / SIDE - 1
    y, x = (part.flatten() for part in torch.meshgrid(centres, centres, indexing="ij"))
    return torch.stack([x, y, torch.ones_like(x)])
