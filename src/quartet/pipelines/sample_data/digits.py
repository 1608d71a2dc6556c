"""The sample of handwritten digits."""

from __future__ import annotations

import numpy as np
from kedro.pipeline import Node, Pipeline

from quartet import digits
from quartet.digits.settings import ValidationSplit

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def make_digits() -> Pipeline:
    """scikit-learn's digits → four IDX files with MNIST's names."""
    return Pipeline(
        [
            Node(
                func=make_digit_sample,
                inputs="params:digit_sample_split",
                outputs=[
                    "digit_sample_train_images",
                    "digit_sample_train_labels",
                    "digit_sample_test_images",
                    "digit_sample_test_labels",
                ],
                name="make_digit_sample",
            ),
        ]
    )


def make_digit_sample(digit_sample_split: ValidationSplit) -> Arrays:
    """Return training images and labels, test images and labels, from scikit-learn's digits."""
    train, test = digits.data.stratified_split(
        digits.sample.load_bundled_digits(),
        digit_sample_split.fraction,
        np.random.default_rng(digit_sample_split.seed),
    )
    return train["images"], train["labels"], test["images"], test["labels"]
