"""The pipeline `sample_data`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from .nodes import make_digit_sample


def create_pipeline(**kwargs: Any) -> Pipeline:
    """scikit-learn's digits → four IDX files with MNIST's names."""
    return Pipeline(
        [
            Node(
                make_digit_sample,
                "params:digit_sample_split",
                [
                    "digit_sample_train_images",
                    "digit_sample_train_labels",
                    "digit_sample_test_images",
                    "digit_sample_test_labels",
                ],
                name="make_digit_sample",
            ),
        ]
    )
