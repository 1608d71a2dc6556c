"""The node of `faq_ingestion`: the science of `quartet.faq.dump` over two files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader

from quartet import faq
from quartet.faq.settings import DumpReading

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.dump import DumpFile
    from quartet.faq.dump_store import Table
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    Figure = DumpFile = Table = Any


def ingest_dump(
    faq_posts: DumpFile, faq_post_links: DumpFile, faq_dump_reading: DumpReading
) -> tuple[Table, Table, Table, pd.DataFrame, dict[str, float], Figure]:
    """Originals, duplicates and answers with one tag; rows with faults; counts; a figure."""
    ingested = faq.dump.ingest(faq_posts, faq_post_links, faq_dump_reading)
    figure = faq.dump_figures.plot_ingested_duplicates(
        ingested.duplicates_per_original, ingested.counts, faq_dump_reading.tag
    )
    return (
        ingested.originals,
        ingested.duplicates,
        ingested.answers,
        ingested.faults,
        ingested.counts,
        figure,
    )
