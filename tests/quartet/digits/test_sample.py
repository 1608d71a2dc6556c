"""The sample has MNIST's layout."""

import numpy as np
from sklearn.datasets import load_digits

from quartet.digits.sample import load_bundled_digits


def test_sample_contains_all_bundled_digits():
    digits = load_bundled_digits()
    np.testing.assert_array_equal(digits["labels"], load_digits().target)
    assert digits["images"].shape == (1797, 28, 28)


def test_digits_are_in_the_central_box_as_in_mnist():
    images = load_bundled_digits()["images"]
    assert images[:, 4:24, 4:24].max() == 255
    border = images.copy()
    border[:, 4:24, 4:24] = 0
    assert border.max() == 0


def test_enlarged_digits_resemble_the_originals():
    images = load_bundled_digits()["images"][:, 4:24, 4:24].astype(float)
    shrunk = images.reshape(-1, 4, 5, 4, 5).mean(axis=(2, 4)) / 255
    original = load_digits().images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)) / 16
    assert np.abs(shrunk - original).mean() < 0.03
