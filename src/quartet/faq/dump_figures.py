"""Plot how many rows of a dump were read, left out and kept.

The figures follow the rules in `CONTRIBUTING.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from quartet.faq.drawing import ACCENT, LIGHT, PRIMARY, hide_spines, make_integer_locator

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
    """Plot how many originals have at least n duplicates, and the counts of the ingestion.

    Counts range over orders of magnitude, so axes are logarithmic, with lines and points on them:
    the length of a bar would depend on where the axis begins.

    Args:
        per_original: Shape (originals,): duplicates of each original, at least 1.
        counts: The counts of `dump.IngestedDump`.
        tag: The tag of the originals.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    curve, points = figure.subplots(1, 2)
    _draw_at_least(curve, per_original)
    # A tag may contain dollar signs, which Matplotlib would take for a formula.
    title = f"Duplicates of {len(per_original):,} originals tagged {tag}"
    curve.set_title(title, parse_math=False)
    _draw_counts(points, counts)
    return figure


def _draw_at_least(axis: Any, per_original: NDArray[np.int64]) -> None:
    """Draw the number of originals with at least n duplicates, for each n that occurs."""
    values, counts = np.unique(per_original, return_counts=True)
    at_least = counts[::-1].cumsum()[::-1]
    axis.plot(
        [1, *values],
        [len(per_original), *at_least],
        "o-",
        ms=4,
        color=PRIMARY,
        drawstyle="steps-pre",
    )
    axis.set(xlabel="minimum number of duplicates", ylabel="originals")
    if values.max(initial=1) >= 20:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    else:
        axis.xaxis.set_major_locator(make_integer_locator())
    if len(counts) and len(per_original) >= 20 * counts[-1]:
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.grid(alpha=0.3)
    hide_spines(axis)


def _draw_counts(axis: Any, counts: Mapping[str, float]) -> None:
    names = (*_READ, *_LEFT_OUT, *_KEPT)
    colours = [LIGHT] * len(_READ) + [ACCENT] * len(_LEFT_OUT) + [PRIMARY] * len(_KEPT)
    values = [int(counts[name]) for name in names]
    labels = [name.replace("_", " ") for name in names]
    axis.scatter(values, labels, 40, color=colours)
    for value, label in zip(values, labels, strict=True):
        axis.annotate(
            f"{value:,}",
            (value, label),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axis.set(title="Read (light), left out (red), kept (dark)", xlabel="rows")
    axis.set_xscale("symlog", linthresh=1)
    highest = max(*values, 1)
    axis.set_xlim(-0.2, 10 * highest)
    axis.set_xticks([0, *(100**power for power in range(4) if 100**power <= highest)])
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.grid(axis="y", alpha=0.3)
    axis.invert_yaxis()
    hide_spines(axis)
