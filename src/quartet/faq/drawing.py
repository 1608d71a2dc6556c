"""Share colours, bar charts and axis styles among the figures of the FAQ scenario.

The figures follow the rules in `CONTRIBUTING.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

Values = NDArray[np.floating]

PRIMARY = "#1f3a5f"
ACCENT = "#c8553d"
LIGHT = "#8fa9c4"
COLOUR_MAP = LinearSegmentedColormap.from_list("shades", ["#d9e3ed", LIGHT, PRIMARY])


def plot_horizontal_bars(
    names: Sequence[str], values: Values, captions: Sequence[str]
) -> tuple[Figure, Any]:
    """Plot horizontal bars, the first one on top.

    Args:
        names: Labels on the vertical axis.
        values: Length of each bar.
        captions: Text at the end of each bar.

    Returns:
        The figure and its axes.
    """
    figure = Figure(figsize=(9, 1.4 + 0.28 * len(names)), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh(np.arange(len(names)), values, 0.7, color=PRIMARY)
    axis.bar_label(bars, captions, padding=4, fontsize=8)
    # Questions about jQuery contain dollar signs, which are not formulas.
    axis.set_yticks(np.arange(len(names)), names, fontsize=9, parse_math=False)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.margins(x=0.15)
    axis.set_xlim(left=0)
    hide_spines(axis)
    return figure, axis


def plot_message(title: str, text: str) -> Figure:
    """Plot only a text, for a figure without data."""
    figure = Figure(figsize=(8, 2), layout="constrained")
    axis = figure.subplots()
    axis.axis("off")
    axis.set_title(title)
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes)
    return figure


def make_integer_locator() -> MaxNLocator:
    """Return a locator with ticks at integers only, at least one."""
    return MaxNLocator(integer=True, min_n_ticks=1)


def format_name(name: str) -> str:
    """Return the name of a column or metric as it is written in figures."""
    return name.replace("gain_at_", "gain@").replace("_", " ")


def hide_spines(axis: Any) -> None:
    """Hide the top and right spines."""
    axis.spines[["top", "right"]].set_visible(False)
