"""Normalisation and random affine augmentation of images."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from quartet.digits.data import SIDE, Images
from quartet.digits.settings import ConvNetTraining

_MEAN, _STD = 0.1307, 0.3081
"""Mean and standard deviation of MNIST's training pixels, scaled to 0 to 1."""
_BACKGROUND = -_MEAN / _STD
"""Normalised value of a background pixel."""


def normalise(images: Images) -> Tensor:
    """Scale images to zero mean and unit variance over MNIST: float32, shape (n, 1, 28, 28)."""
    return torch.tensor(images).float().div_(255).sub_(_MEAN).div_(_STD)[:, None]


def augment(images: Tensor, settings: ConvNetTraining, generator: torch.Generator) -> Tensor:
    """Apply a random affine transformation to each image, with bilinear interpolation.

    Args:
        images: Normalised images, shape (n, 1, 28, 28).
        settings: The largest rotation, scaling, shear and shift.
        generator: Draws the transformations, uniform and independent; on the CPU, so
            that every device gets the same ones.

    Returns:
        Images of the same shape; pixels from outside are background.
    """
    count, device = len(images), images.device
    angle, width, height, shear, dx, dy = torch.rand(6, count, generator=generator) * 2 - 1
    angle = angle * math.radians(settings.rotation_degrees)
    width, height = 1 + width * settings.scaling, 1 + height * settings.scaling
    shear = shear * settings.shear
    dx, dy = (shift * settings.shift_pixels * 2 / SIDE for shift in (dx, dy))
    matrices = torch.stack(
        [
            torch.stack([angle.cos() * width, shear - angle.sin() * height, dx], dim=1),
            torch.stack([angle.sin() * width, angle.cos() * height, dy], dim=1),
        ],
        dim=1,
    )
    # One matrix product for all sampling grids is eight times as fast as F.affine_grid.
    grid = matrices.view(2 * count, 3).to(device) @ _pixel_centres(device)
    grid = grid.view(count, 2, SIDE, SIDE).permute(0, 2, 3, 1)
    return F.grid_sample(images - _BACKGROUND, grid, align_corners=False) + _BACKGROUND


def _pixel_centres(device: torch.device) -> Tensor:
    """Return x and y of each pixel, from -1 to 1, and ones below them: shape (3, 784)."""
    centres = (torch.arange(SIDE, device=device) * 2 + 1) / SIDE - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), torch.ones(SIDE * SIDE, device=device)])
