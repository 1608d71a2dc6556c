"""A small substitute for MNIST, made from scikit-learn's bundled digits."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

from quartet.digits.data import SIDE, Digits

_BOX = 20
"""Side in pixels of the central box that contains MNIST's digits."""
_MAX_LEVEL = 16
"""Largest grey level of scikit-learn's digits."""


def load_bundled_digits() -> Digits:
    """Return scikit-learn's 1,797 digits of 8 x 8 pixels in MNIST's layout.

    Each is enlarged to 20 x 20 pixels by cubic splines and centred in 28 x 28.
    They come from the UCI "Optical Recognition of Handwritten Digits" test set.
    """
    bundled = load_digits()
    small = bundled.images / _MAX_LEVEL
    factor = _BOX / small.shape[1]
    enlarged = zoom(small, (1, factor, factor), order=3, mode="nearest", grid_mode=True)
    grey = np.rint(enlarged.clip(0, 1) * 255).astype(np.uint8)
    margin = (SIDE - _BOX) // 2
    images = np.pad(grey, ((0, 0), (margin, margin), (margin, margin)))
    return Digits(images=images, labels=bundled.target.astype(np.uint8))
