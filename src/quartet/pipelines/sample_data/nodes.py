"""Making the committed samples."""

from __future__ import annotations

import numpy as np

from quartet import digits
from quartet.digits.settings import ValidationSplit

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def make_digit_sample(digit_sample_split: ValidationSplit) -> Arrays:
    """Training images and labels, test images and labels, from scikit-learn's digits."""
    train, test = digits.data.stratified_split(
        digits.sample.bundled_digits(),
        digit_sample_split.fraction,
        np.random.default_rng(digit_sample_split.seed),
    )
    return train["images"], train["labels"], test["images"], test["labels"]
