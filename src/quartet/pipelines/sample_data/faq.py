"""The sample of questions: a data dump, and the tables made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
from kedro.pipeline import Node, Pipeline

from quartet import faq
from quartet.faq.settings import DumpSelection

if TYPE_CHECKING:
    import pandas as pd

    from quartet.datasets.dump import DumpFile
    from quartet.faq.dump_store import Table
else:
    # Kedro resolves these annotations in a run; lazily, so that listing the pipelines stays fast.
    pd = lazy_loader.load("pandas")
    DumpFile = Table = Any

Entries = list[dict[str, Any]]


def make_faq() -> Pipeline:
    """Questions written by hand → Stack Exchange data dump → three tables."""
    return Pipeline(
        [
            Node(
                func=make_faq_dump,
                inputs=[
                    "faq_sample_language",
                    "faq_sample_values",
                    "faq_sample_asynchrony",
                    "faq_sample_browser",
                ],
                outputs=["faq_sample_posts", "faq_sample_post_links", "faq_sample_asked"],
                name="make_faq_dump",
            ),
            Node(
                func=make_faq_tables,
                inputs=["faq_sample_posts", "faq_sample_post_links", "params:faq_sample_reading"],
                outputs=["faq_sample_originals", "faq_sample_duplicates", "faq_sample_answers"],
                name="make_faq_tables",
            ),
        ]
    )


def make_faq_dump(
    faq_sample_language: Entries,
    faq_sample_values: Entries,
    faq_sample_asynchrony: Entries,
    faq_sample_browser: Entries,
) -> tuple[bytes, bytes, pd.DataFrame]:
    """Return posts and post links as a Stack Exchange data dump, and new questions to match."""
    entries = [
        *faq_sample_language,
        *faq_sample_values,
        *faq_sample_asynchrony,
        *faq_sample_browser,
    ]
    return *faq.sample.build_dump(entries), faq.sample.build_new_questions(entries)


def make_faq_tables(
    faq_sample_posts: DumpFile, faq_sample_post_links: DumpFile, faq_sample_reading: DumpSelection
) -> tuple[Table, Table, Table]:
    """Return originals, duplicates and answers of the dump, as `faq_ingestion` does."""
    ingested = faq.dump.ingest(faq_sample_posts, faq_sample_post_links, faq_sample_reading)
    return ingested.originals, ingested.duplicates, ingested.answers
