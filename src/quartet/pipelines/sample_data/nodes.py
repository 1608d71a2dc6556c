"""Making the committed samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np

from quartet import digits, faq, sensors
from quartet.digits.settings import ValidationSplit
from quartet.faq.settings import DumpReading
from quartet.sensors.settings import Fleet

if TYPE_CHECKING:
    import pandas as pd

    from quartet.datasets.dump import DumpFile
    from quartet.faq.dump_store import Table
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    DumpFile = Table = Any

Entries = list[dict[str, Any]]
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def make_digit_sample(digit_sample_split: ValidationSplit) -> Arrays:
    """Training images and labels, test images and labels, from scikit-learn's digits."""
    train, test = digits.data.stratified_split(
        digits.sample.bundled_digits(),
        digit_sample_split.fraction,
        np.random.default_rng(digit_sample_split.seed),
    )
    return train["images"], train["labels"], test["images"], test["labels"]


def make_faq_dump(
    faq_sample_language: Entries,
    faq_sample_values: Entries,
    faq_sample_asynchrony: Entries,
    faq_sample_browser: Entries,
) -> tuple[bytes, bytes, pd.DataFrame]:
    """Posts and their links as in a Stack Exchange data dump, and new questions to match."""
    entries = [
        *faq_sample_language,
        *faq_sample_values,
        *faq_sample_asynchrony,
        *faq_sample_browser,
    ]
    return *faq.sample.build_dump(entries), faq.sample.asked_questions(entries)


def make_faq_tables(
    faq_sample_posts: DumpFile, faq_sample_post_links: DumpFile, faq_sample_reading: DumpReading
) -> tuple[Table, Table, Table]:
    """Originals, duplicates and answers, as `faq_ingestion` makes them from the dump."""
    ingested = faq.dump.ingest(faq_sample_posts, faq_sample_post_links, faq_sample_reading)
    return ingested.originals, ingested.duplicates, ingested.answers


def make_sensor_sample(sensor_sample_fleet: Fleet) -> tuple[dict[str, bytes], pd.DataFrame]:
    """Files as Azure Event Hubs Capture writes them, of a simulated fleet, and its anomalies."""
    captured = sensors.simulator.write_captures(sensor_sample_fleet)
    files = {name.removesuffix(".avro"): content for name, content in captured.files.items()}
    return files, captured.labels


def make_style_sample() -> bytes:
    """A video of four seconds: a camera over scikit-learn's two photographs, to a melody."""
    # PyAV comes only with the module needing it.
    from quartet.style import sample_clip

    return sample_clip.make_clip()
