"""Define the node of `faq_ingestion`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import lazy_loader

from quartet import faq
from quartet.datasets.accepted_share import check_accepted_share
from quartet.faq.settings import DumpSelection

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.dump import DumpFile
    from quartet.faq.dump_store import Table
else:
    # Kedro resolves these annotations in a run; importing them here would slow down the CLI.
    pd = lazy_loader.load("pandas")
    Figure = DumpFile = Table = Any


def ingest_dump(
    faq_posts: DumpFile, faq_post_links: DumpFile, faq_dump_selection: DumpSelection
) -> tuple[Table, Table, Table, pd.DataFrame, dict[str, float], Figure]:
    """Extract the questions with a tag from a dump.

    Returns:
        Originals, duplicates, answers, malformed rows, metrics, and a figure.

    Raises:
        ValueError: A file is not from a dump, too few of its rows are valid, or no original is
            left.
    """
    check_share = partial(
        check_accepted_share,
        minimum=faq_dump_selection.min_accepted_share,
        report="malformed_rows",
    )
    ingested = faq.dump.ingest(faq_posts, faq_post_links, faq_dump_selection, check_share)
    figure = faq.dump_figures.plot_ingested_duplicates(
        ingested.duplicates_per_original, ingested.counts, faq_dump_selection.tag
    )
    return (
        ingested.originals,
        ingested.duplicates,
        ingested.answers,
        ingested.faults,
        ingested.counts,
        figure,
    )
