"""Define the pipeline `faq_matching`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Create the pipeline: new questions → most probable originals and their answers."""
    return Pipeline(
        [
            Node(
                func=nodes.match_questions,
                inputs=["faq_new_questions", "faq_ranker", "params:faq_matching_settings"],
                outputs=[
                    "faq_matches",
                    "faq_match_examples",
                    "unanswered_questions",
                    "unmatched_questions",
                    "top_probabilities_figure",
                    "faq_matching_metrics",
                ],
                name="match_questions",
            ),
        ]
    )
