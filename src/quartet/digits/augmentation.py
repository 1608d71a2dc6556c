"""Normalising images, and moving, turning, stretching and slanting them at random."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from quartet.digits.data import SIDE, Images
from quartet.digits.settings import ConvNetTraining

_MEAN, _DEVIATION = 0.1307, 0.3081
"""Of MNIST's training pixels, as grey levels 0 to 1."""
_PAPER = -_MEAN / _DEVIATION
"""What an empty pixel becomes when normalised."""


def normalise(images: Images) -> Tensor:
    """Float32 of zero mean and unit variance over MNIST, shape (n, 1, 28, 28)."""
    return torch.tensor(images).float().div_(255).sub_(_MEAN).div_(_DEVIATION)[:, None]


def augment(images: Tensor, settings: ConvNetTraining, generator: torch.Generator) -> Tensor:
    """A random affine map of each image, by bilinear sampling, paper coming in from outside.

    Args:
        images: Normalised, shape (n, 1, 28, 28).
        settings: How far each change may go.
        generator: Draws the changes, uniform and independent; on the CPU, so
            that every device sees the same ones.
    """
    count, device = len(images), images.device
    turn, wide, high, slant, across, down = torch.rand(6, count, generator=generator) * 2 - 1
    turn = turn * math.radians(settings.rotation_degrees)
    wide, high = 1 + wide * settings.scaling, 1 + high * settings.scaling
    slant = slant * settings.shear
    across, down = (move * settings.shift_pixels * 2 / SIDE for move in (across, down))
    maps = torch.stack(
        [
            torch.stack([turn.cos() * wide, slant - turn.sin() * high, across], dim=1),
            torch.stack([turn.sin() * wide, turn.cos() * high, down], dim=1),
        ],
        dim=1,
    )
    # One product makes all sampling grids; F.affine_grid takes eight times as long.
    grid = (maps.view(2 * count, 3).to(device) @ _pixel_centres(device)).view(count, 2, SIDE, SIDE)
    sampled = F.grid_sample(images - _PAPER, grid.permute(0, 2, 3, 1), align_corners=False)
    return sampled + _PAPER


def _pixel_centres(device: torch.device) -> Tensor:
    """Horizontal and vertical place of each pixel, from -1 to 1, and a one: shape (3, 784)."""
    line = (torch.arange(SIDE, device=device) * 2 + 1) / SIDE - 1
    vertical, horizontal = torch.meshgrid(line, line, indexing="ij")
    ones = torch.ones(SIDE * SIDE, device=device)
    return torch.stack([horizontal.flatten(), vertical.flatten(), ones])
