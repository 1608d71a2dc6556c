"""The pipeline `sample_data`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """MNIST's files from scikit-learn's digits, and a FAQ from questions written by hand."""
    return make_digits() + make_faq()


def make_digits() -> Pipeline:
    """scikit-learn's digits → four IDX files with MNIST's names."""
    return Pipeline(
        [
            Node(
                nodes.make_digit_sample,
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


def make_faq() -> Pipeline:
    """Questions written by hand → Stack Exchange data dump → three tables."""
    return Pipeline(
        [
            Node(
                nodes.make_faq_dump,
                [
                    "faq_sample_language",
                    "faq_sample_values",
                    "faq_sample_asynchrony",
                    "faq_sample_browser",
                ],
                ["faq_sample_posts", "faq_sample_post_links", "faq_sample_asked"],
                name="make_faq_dump",
            ),
            Node(
                nodes.make_faq_tables,
                ["faq_sample_posts", "faq_sample_post_links", "params:faq_sample_reading"],
                ["faq_sample_originals", "faq_sample_duplicates", "faq_sample_answers"],
                name="make_faq_tables",
            ),
        ]
    )
