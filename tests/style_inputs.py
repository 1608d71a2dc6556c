"""Inputs of style trainings in tests: a painting, photographs and random weights of VGG-19."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quartet.style.settings import StyleTraining

_CHANNELS = ((3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 3)
_INDEXES = (0, 2, 5, 7, 10, 12, 14, 16)


def random_vgg(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights of VGG-19's shapes and names up to conv3_4, scaled so that activations stay alike."""
    generator = np.random.default_rng(seed)
    weights = {}
    for index, (inputs, outputs) in zip(_INDEXES, _CHANNELS, strict=True):
        scale = np.sqrt(2 / (9 * inputs))
        values = generator.normal(0, scale, (outputs, inputs, 3, 3)).astype(np.float32)
        weights[f"features.{index}.weight"] = values
        weights[f"features.{index}.bias"] = np.full(outputs, 0.1, dtype=np.float32)
    return weights


def stripes(height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    """A painting of blue and yellow stripes, shape (height, width, 3)."""
    phase = np.add.outer(np.arange(height), np.arange(width)) // 6 % 2
    colours = np.array([[20, 40, 140], [240, 200, 60]], dtype=np.uint8)
    return colours[phase]


def photographs(count: int = 3, side: int = 80) -> dict[str, NDArray[np.uint8]]:
    """Smooth pictures in colours of their own, each of shape (side, side + 16, 3)."""
    generator = np.random.default_rng(1)
    found = {}
    for number in range(count):
        down, across = np.mgrid[0 : 1 : side * 1j, 0 : 1 : (side + 16) * 1j]
        waves = [
            np.sin(down * generator.uniform(2, 9) + across * generator.uniform(2, 9) + shift)
            for shift in generator.uniform(0, 6, 3)
        ]
        found[f"{number}.png"] = (127 + 100 * np.stack(waves, axis=2)).astype(np.uint8)
    return found


def small_training(**changes: object) -> StyleTraining:
    """Settings of a training that takes about a second."""
    settings: dict[str, object] = {
        "seed": 1,
        "width": 4,
        "steps": 4,
        "crop": 64,
        "painting_side": 64,
        "style_layers": ("conv1_2", "conv2_2"),
        "preview_every": 2,
        "verify_vgg": False,
    }
    return StyleTraining(**{**settings, **changes})
