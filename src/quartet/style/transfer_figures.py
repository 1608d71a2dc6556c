"""Draw the figures of a style transfer: contact sheet, consistency, and time per stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from quartet.style.comparison import Thumbnails

_INK = "#1f3a5f"
_MARK = "#c8553d"
_PALE = "#8fa9c4"
_WIDTH = 12.0
_HEADING = 0.4
_CAPTION = 0.28
_GAP = 0.04
"""Width of the contact sheet; heights of its heading and captions; gap of pictures. Inches."""
_MAX_LABEL_LENGTH = 60
_REPLACEMENT = "▯"


def draw_contact_sheet(thumbnails: Sequence[Thumbnails], name: str, style: str) -> Figure:
    """Draw pairs of pictures in rows, each source above its stylized version, with a caption.

    Args:
        thumbnails: Pairs of pictures, at least one.
        name: Name of the source file or folder.
        style: Name of the style.
    """
    aspect = _median_aspect(thumbnails)
    columns = min(3 if aspect < 1 else 6, len(thumbnails))
    blocks = -(-len(thumbnails) // columns)
    cell = min(_WIDTH / columns, _WIDTH / 2)
    height = cell * aspect
    block = _CAPTION + 2 * height + _GAP
    size = (cell * columns, blocks * block + _HEADING)
    figure = Figure(figsize=size)
    heading = f"{format_label(name)} in the style {format_label(style)}"
    figure.text(0.5, 1 - _HEADING / 2 / size[1], heading, ha="center", va="center", fontsize=12,
                parse_math=False)  # fmt: skip
    for index, pair in enumerate(thumbnails):
        row, column = divmod(index, columns)
        top = size[1] - _HEADING - row * block - _CAPTION
        for place, picture in enumerate((pair.source, pair.stylized)):
            bottom = top - height - place * (height + _GAP)
            box = (column * cell + _GAP / 2, bottom, cell - _GAP, height)
            axis = figure.add_axes(tuple(np.divide(box, (*size, *size))))
            axis.imshow(picture)
            axis.set_anchor("N" if place else "S")
            axis.axis("off")
            if place == 0:
                caption = format_label(pair.caption, round(11 * cell))
                axis.set_title(caption, fontsize=9, pad=3, parse_math=False)
    return figure


def draw_stage_times(seconds: Mapping[str, float], frames: int, elapsed: float) -> Figure:
    """Draw the work per frame in each stage, with its share of all work.

    Work adds up over workers: two concurrent workers do two seconds of work per second. So
    only the elapsed time has frames per second.

    Args:
        seconds: Work of each stage, summed over all workers, in the order of the stages.
        frames: Number of frames.
        elapsed: Elapsed seconds, in which stages and workers overlap; a bar of its own, with
            frames per second.
    """
    total = sum(seconds.values())
    rows = {
        stage: (value, f"{value / total:.1%} of the work" if total else "no work")
        for stage, value in seconds.items()
    }
    rows["elapsed"] = (elapsed, f"{frames / elapsed:,.1f} frames/s")
    figure = Figure(figsize=(9, 1.5 + 0.42 * len(rows)), layout="constrained")
    axis = figure.subplots()
    values = [1000 * value / max(frames, 1) for value, _ in rows.values()]
    colours = [*[_INK] * len(seconds), _MARK]
    bars = axis.barh(range(len(rows)), values, 0.65, color=colours)
    captions = [
        f"{value:,.1f} ms, {caption}"
        for value, (_, caption) in zip(values, rows.values(), strict=True)
    ]
    axis.bar_label(bars, captions, padding=5, fontsize=9)
    axis.set_yticks(range(len(rows)), [format_label(row, 40) for row in rows], parse_math=False)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    # Leave room for the label of the longest bar.
    axis.set_xlim(0, 1.45 * max(values))
    axis.set(
        xlabel="milliseconds per frame (stages: work of all workers; stages overlap)",
        title=f"Time per stage: {frames:,} frame{'' if frames == 1 else 's'}",
    )
    _hide_spines(axis)
    return figure


def draw_consistency(table: pd.DataFrame, name: str, style: str) -> Figure:
    """Draw flicker and warping error over time, stylized against source.

    Pairs without a value leave a gap.

    Args:
        table: Metrics of pairs of frames, as from `comparison.compare`.
        name: Name of the source file.
        style: Name of the style.
    """
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    figure.suptitle(
        f"Temporal consistency of {format_label(name, 40)} in {format_label(style, 30)}",
        parse_math=False,
    )
    upper, lower = figure.subplots(2, 1, sharex=True)
    _plot_over_time(upper, table, "flicker")
    upper.set(title="Flicker: change where the source is still", ylabel="levels of 255")
    _plot_over_time(lower, table, "warping_error")
    lower.set(
        title="Warping error: difference after motion compensation",
        ylabel="levels of 255",
        xlabel="seconds",
    )
    return figure


def format_label(text: str, longest: int = _MAX_LABEL_LENGTH) -> str:
    """Format text as one line in characters that the font supports, shortened in the middle.

    Characters that the font lacks become ▯.
    """
    line = "".join(
        letter if letter.isprintable() and ord(letter) in _supported_code_points() else _REPLACEMENT
        for letter in " ".join(text.split())
    )
    if len(line) <= longest:
        return line
    tail = longest // 3
    return f"{line[: longest - tail - 1]}…{line[-tail:]}"


@cache
def _supported_code_points() -> frozenset[int]:
    """Return the code points that the figures' font supports."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())


def _median_aspect(thumbnails: Sequence[Thumbnails]) -> float:
    """Return the median height to width of the pictures, limited to 0.15 to 2.5."""
    ratios = [pair.source.shape[0] / pair.source.shape[1] for pair in thumbnails]
    return min(max(float(np.median(ratios)), 0.15), 2.5)


def _plot_over_time(axis: Any, table: pd.DataFrame, metric: str) -> None:
    """Plot a metric of the stylized video and of its source, with their means in the legend."""
    seconds = table["seconds"].to_numpy(float)
    for name, label, colour in (
        (metric, "stylized", _MARK),
        (f"source_{metric}", "source", _PALE),
    ):
        values = table[name].to_numpy(float)
        defined = values[~np.isnan(values)]
        if len(defined):
            axis.plot(seconds, values, ".-", color=colour, label=f"{label}: {defined.mean():.2f}")
    if axis.lines:
        axis.legend(title="mean", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    else:
        axis.text(0.5, 0.5, "no pair can be measured", ha="center", transform=axis.transAxes)
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(min_n_ticks=1))
    axis.grid(alpha=0.3)
    _hide_spines(axis)


def _hide_spines(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
