"""The figure of `faq_ingestion`: what a dump held, and what was kept of it."""

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
    """How many duplicates the originals have, beside what was read, left out and kept.

    Args:
        per_original: Duplicates of each original, shape (originals,), none of them 0.
        counts: Posts, links, duplicates, originals and answers by what became of them.
        tag: The tag of the originals.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    numbers, bars = figure.subplots(1, 2)
    numbers.hist(per_original, _edges(int(per_original.max(initial=1))), color=PRIMARY, rwidth=0.9)
    numbers.set(
        xscale="log",
        yscale="log",
        xlabel="duplicates",
        ylabel="originals",
        title=f"Duplicates of each original tagged {tag}",
    )
    numbers.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    numbers.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    hide_spines(numbers)
    _bars(bars, counts)
    return figure


def _edges(most: int) -> NDArray[np.float64]:
    """Edges between whole numbers, one interval each up to ten, then equally wide to the eye."""
    single = np.arange(1, min(most, 10) + 2)
    wide = np.geomspace(11, most + 1, 20) if most > 10 else single[-1:]
    return np.unique(np.concatenate([single, np.rint(wide)])) - 0.5


def _bars(axis: Any, counts: Mapping[str, float]) -> None:
    names = (*_READ, *_LEFT_OUT, *_KEPT)
    colours = [LIGHT] * len(_READ) + [ACCENT] * len(_LEFT_OUT) + [PRIMARY] * len(_KEPT)
    values = [int(counts[name]) for name in names]
    drawn = axis.barh([name.replace("_", " ") for name in names], values, color=colours)
    axis.bar_label(drawn, [f"{value:,}" for value in values], padding=3, fontsize=8)
    axis.set(title="Read (pale), left out (red), kept (dark)", xlabel="rows")
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(0, 10 * max(*values, 1))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.invert_yaxis()
    hide_spines(axis)
