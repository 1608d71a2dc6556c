"""The pipeline `sample_data`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """scikit-learn's digits as MNIST's files, a FAQ written by hand, a simulated fleet, a clip."""
    samples = make_digits() + make_faq() + make_sensors() + make_style()
    return Pipeline(samples, tags="step.make_samples")


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


def make_sensors() -> Pipeline:
    """Simulated fleet → capture files of Azure Event Hubs, and what was wrong when."""
    return Pipeline(
        [
            Node(
                nodes.make_sensor_sample,
                "params:sensor_sample_fleet",
                ["sensor_sample_captures", "sensor_sample_labels"],
                name="make_sensor_sample",
            ),
        ]
    )


def make_style() -> Pipeline:
    """scikit-learn's photographs → a video with sound."""
    return Pipeline(
        [
            Node(
                nodes.make_style_sample,
                None,
                "style_sample_video",
                name="make_style_sample",
            ),
        ]
    )
