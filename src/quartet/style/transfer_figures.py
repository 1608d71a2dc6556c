"""Figures of a stylized video or of stylized pictures: to look at, and to see where time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from quartet.style.comparison import Comparison, Numbers, Shown

_INK = "#1f3a5f"
_MARK = "#c8553d"
_PALE = "#8fa9c4"
_WIDTH = 12.0
_HEADING = 0.4
_CAPTION = 0.28
_GAP = 0.04
"""In the contact sheet, inches."""
_MOST_SHOWN = 12
_LONGEST_NAME = 60
_MISSING = "▯"


def contact_sheet(shown: Sequence[Shown], name: str, style: str) -> Figure:
    """Pictures in rows, the source's above, stylized below, each pair under its caption.

    Args:
        shown: At most twelve of them are drawn, evenly chosen.
        name: Of the source's file or folder.
        style: That it was stylized in.
    """
    if len(shown) > _MOST_SHOWN:
        places = np.linspace(0, len(shown) - 1, _MOST_SHOWN).round().astype(int)
        shown = [shown[place] for place in places]
    tallness = _tallness(shown)
    columns = _columns(len(shown), tallness)
    blocks = -(-max(1, len(shown)) // columns)
    cell = min(_WIDTH / columns, _WIDTH / 2)
    height = cell * tallness
    block = _CAPTION + 2 * height + _GAP
    size = (cell * columns, blocks * block + _HEADING)
    figure = Figure(figsize=size)
    heading = f"{readable(name)} in the style {readable(style)}"
    figure.text(0.5, 1 - _HEADING / 2 / size[1], heading, ha="center", va="center", fontsize=12,
                parse_math=False)  # fmt: skip
    for number, each in enumerate(shown):
        row, column = divmod(number, columns)
        top = size[1] - _HEADING - row * block - _CAPTION
        for place, picture in enumerate((each.source, each.stylized)):
            bottom = top - height - place * (height + _GAP)
            box = (column * cell + _GAP / 2, bottom, cell - _GAP, height)
            axis = figure.add_axes(tuple(np.divide(box, (*size, *size))))
            axis.imshow(picture)
            axis.set_anchor("N" if place else "S")
            axis.axis("off")
            if place == 0:
                caption = readable(each.caption, round(11 * cell))
                axis.set_title(caption, fontsize=9, pad=3, parse_math=False)
    return figure


def stage_times(seconds: Mapping[str, float], frames: int, elapsed: float | None = None) -> Figure:
    """Work that each stage did for a frame, with its share of all work.

    A worker's second is a second of work: two workers side by side do two in one. So a stage
    has no frames per second of its own here; only the time from start to end has.

    Args:
        seconds: Of work in each stage, added up over all workers, in the order of the stages.
        frames: That went through them.
        elapsed: Seconds from the beginning to the end, in which stages and workers overlap;
            drawn as a bar of its own, with its frames per second, if given.
    """
    total = sum(seconds.values())
    rows = {
        stage: (value, f"{value / total:.1%} of the work" if total else "no work")
        for stage, value in seconds.items()
    }
    if elapsed is not None:
        speed = f"{frames / elapsed:,.1f} frames/s" if elapsed else "no time"
        rows["from start to end"] = (elapsed, speed)
    figure = Figure(figsize=(9, 1.5 + 0.42 * len(rows)), layout="constrained")
    axis = figure.subplots()
    values = [1000 * value / max(frames, 1) for value, _ in rows.values()]
    colours = [_INK] * len(seconds) + [_MARK] * (len(rows) - len(seconds))
    bars = axis.barh(range(len(rows)), values, 0.65, color=colours)
    captions = [
        f"{value:,.1f} ms, {told}" for value, (_, told) in zip(values, rows.values(), strict=True)
    ]
    axis.bar_label(bars, captions, padding=5, fontsize=9)
    axis.set_yticks(range(len(rows)), [readable(row, 40) for row in rows], parse_math=False)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    # Room behind the longest bar for what is written there.
    axis.set_xlim(0, 1.45 * max([*values, 1e-9]))
    axis.set(
        xlabel="milliseconds a frame (of a stage: its work, all workers added up; they overlap)",
        title=f"Where the time went: {frames:,} frame{'' if frames == 1 else 's'}",
    )
    _open_frame(axis)
    return figure


def steadiness(comparison: Comparison, name: str, style: str) -> Figure:
    """Flicker and warping error over time, stylized against source.

    Pairs in which nothing stands still, or nothing is seen twice, leave a gap.

    Args:
        comparison: Of the finished video with its source.
        name: Of the source's file.
        style: That it was stylized in.
    """
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    figure.suptitle(
        f"How steady {readable(name, 40)} is in {readable(style, 30)}", parse_math=False
    )
    upper, lower = figure.subplots(2, 1, sharex=True)
    _over_time(upper, comparison.seconds, comparison.flicker, comparison.source_flicker)
    upper.set(title="Flicker: change where the source stands still", ylabel="levels of 255")
    _over_time(lower, comparison.seconds, comparison.warping_error, comparison.source_warping_error)
    lower.set(
        title="Warping error: difference once movement is undone",
        ylabel="levels of 255",
        xlabel="seconds",
    )
    return figure


def readable(text: str, longest: int = _LONGEST_NAME) -> str:
    """The text in one line that the figures' font can show, the middle left out if it is long.

    Characters that the font lacks are shown as ▯.
    """
    shown = "".join(
        letter if letter.isprintable() and ord(letter) in _letters() else _MISSING
        for letter in " ".join(text.split())
    )
    if len(shown) <= longest:
        return shown
    tail = longest // 3
    return f"{shown[: longest - tail - 1]}…{shown[-tail:]}"


@cache
def _letters() -> frozenset[int]:
    """Code points that the figures' font has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())


def _tallness(shown: Sequence[Shown]) -> float:
    """Height to width of most of the pictures, within reason."""
    ratios = [each.source.shape[0] / each.source.shape[1] for each in shown]
    return min(max(float(np.median(ratios)), 0.15), 2.5) if ratios else 0.5


def _columns(pictures: int, tallness: float) -> int:
    """How many of them to put side by side, so that the sheet is no ribbon."""
    if pictures <= 2:
        return max(1, pictures)
    fitting = 3 if tallness < 1 else 6
    return min(fitting, pictures)


def _over_time(axis: Any, seconds: Numbers, stylized: Numbers, source: Numbers) -> None:
    """Two lines and their means."""
    for values, label, colour in ((stylized, "stylized", _MARK), (source, "source", _PALE)):
        known = values[~np.isnan(values)]
        if len(known):
            axis.plot(seconds, values, ".-", color=colour, label=f"{label}: {known.mean():.2f}")
    if axis.lines:
        axis.legend(title="mean", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    else:
        axis.text(0.5, 0.5, "no pair can be measured", ha="center", transform=axis.transAxes)
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(min_n_ticks=1))
    axis.grid(alpha=0.3)
    _open_frame(axis)


def _open_frame(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
