"""Define the pipeline `faq_ingestion`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Create the pipeline: posts and post links → originals of a tag, duplicates and answers."""
    return Pipeline(
        [
            Node(
                func=nodes.ingest_dump,
                inputs=["faq_posts", "faq_post_links", "params:faq_dump_selection"],
                outputs=[
                    "ingested_originals",
                    "ingested_duplicates",
                    "ingested_answers",
                    "malformed_rows",
                    "faq_ingestion_metrics",
                    "ingested_duplicates_figure",
                ],
                name="ingest_dump",
            ),
        ]
    )
