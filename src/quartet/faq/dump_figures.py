"""Plot how many rows of a dump were read, left out and kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from quartet.faq.drawing import ACCENT, LIGHT, PRIMARY, hide_spines

_READ = ("posts_read", "links_read", "duplicate_links")
_LEFT_OUT = (
    "repeated_links",
    "cyclic_links",
    "duplicates_without_text",
    "duplicates_of_other_tags",
    "duplicates_without_answer",
)
_KEPT = ("duplicates", "originals", "answers")


def plot_ingested_duplicates(
    per_original: NDArray[np.int64], counts: Mapping[str, float], tag: str
) -> Figure:
    """Plot the number of duplicates of each original, and the counts of the ingestion.

    Args:
        per_original: Shape (originals,): duplicates of each original, at least 1.
        counts: The counts of `dump.IngestedDump`.
        tag: The tag of the originals.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    histogram, bars = figure.subplots(1, 2)
    histogram.hist(
        per_original, _make_bins(int(per_original.max(initial=1))), color=PRIMARY, rwidth=0.9
    )
    histogram.set(
        xscale="log",
        yscale="log",
        xlabel="duplicates",
        ylabel="originals",
    )
    # A tag may contain dollar signs, which Matplotlib would take for a formula.
    histogram.set_title(f"Duplicates of each original tagged {tag}", parse_math=False)
    histogram.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    histogram.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    hide_spines(histogram)
    _draw_counts(bars, counts)
    return figure


def _make_bins(highest: int) -> NDArray[np.float64]:
    """Return bin edges: one bin an integer up to ten, then bins of equal width on a log scale."""
    single = np.arange(1, min(highest, 10) + 2)
    wide = np.geomspace(11, highest + 1, 20) if highest > 10 else single[-1:]
    return np.unique(np.concatenate([single, np.rint(wide)])) - 0.5


def _draw_counts(axis: Any, counts: Mapping[str, float]) -> None:
    names = (*_READ, *_LEFT_OUT, *_KEPT)
    colours = [LIGHT] * len(_READ) + [ACCENT] * len(_LEFT_OUT) + [PRIMARY] * len(_KEPT)
    values = [int(counts[name]) for name in names]
    bars = axis.barh([name.replace("_", " ") for name in names], values, color=colours)
    axis.bar_label(bars, [f"{value:,}" for value in values], padding=3, fontsize=8)
    axis.set(title="Read (light), left out (red), kept (dark)", xlabel="rows")
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(0, 10 * max(*values, 1))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.invert_yaxis()
    hide_spines(axis)
