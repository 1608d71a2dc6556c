"""A plan as a picture: time against cost by nodes, and how busy the nodes were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quartet.azure.planning.comparing import Row
from quartet.azure.planning.simulation import play

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 120
_HOUR = 3600.0
_MINUTE = 60.0
_ROOM = 1.12
"""Of the axes beyond the largest value."""
_THERE = "#9db7d5"
_BUSY = "#1f4e79"
_CHOSEN = "#c8501e"


def draw(rows: Sequence[Row], best: Row | None, title: str, currency: str, seed: int) -> Figure:
    """Time against cost of all sizes, and the nodes of one play of the best.

    Args:
        rows: The sizes.
        best: That one chooses; the quickest if there is none.
        title: Above all.
        currency: Of the costs.
        seed: Of the play.
    """
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(5, 6))
    figure.suptitle(title)
    _draw_costs(left, rows, best, currency)
    shown = best or min(rows, key=lambda row: row.time_p95_s)
    _draw_nodes(right, shown, seed)
    return figure


def refuse_unfit(path: Path) -> None:
    """Raise if a picture could not be written there, before it is made.

    Raises:
        ValueError: The name does not end with .png, or its folder is not there.
    """
    if path.suffix.lower() != ".png":
        raise ValueError(f"--out {path}: the picture is a PNG; end its name with .png")
    if not path.parent.is_dir():
        raise ValueError(f"--out {path}: there is no folder {path.parent}")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    beside = path.with_suffix(".new")
    figure.savefig(beside, format="png", dpi=_DPI)
    beside.replace(path)


def _draw_costs(axes: Axes, rows: Sequence[Row], best: Row | None, currency: str) -> None:
    """Sizes that keep up; of the others, whose times mean nothing, the names."""
    shown = [row for row in rows if not row.full] or list(rows)
    unit, label = _unit(max(row.time_p95_s for row in shown))
    for row in shown:
        colour = _CHOSEN if row is best else _BUSY
        middle, late = row.time_p50_s / unit, row.time_p95_s / unit
        axes.plot([middle, late], [row.cost, row.cost_p95], color=colour, linewidth=1)
        axes.plot(middle, row.cost, "o", color=colour)
        axes.plot(late, row.cost_p95, "|", color=colour, markersize=9)
        axes.annotate(
            str(row.nodes),
            (middle, row.cost),
            xytext=(-5, -4),
            textcoords="offset points",
            horizontalalignment="right",
            verticalalignment="top",
            color=colour,
        )
    once = rows[0].scenario.arrivals.kind == "once"
    axes.set_xlabel(f"{label} from a job's arrival to its end, median to 95th percentile")
    axes.set_ylabel(f"cost, {currency}{'' if once else ' a day'}")
    axes.set_xlim(0, _ROOM * max(row.time_p95_s for row in shown) / unit)
    axes.set_ylim(0, _ROOM * max(row.cost_p95 for row in shown) or None)
    axes.grid(alpha=0.3)
    left_out = ", ".join(str(row.nodes) for row in rows if row not in shown)
    also = f"; cannot keep up: {left_out}" if left_out else ""
    axes.set_title(f"least nodes : most nodes{also}", fontsize=10)


def _draw_nodes(axes: Axes, row: Row, seed: int) -> None:
    from matplotlib.ticker import MaxNLocator

    replication = play(row.scenario, np.random.SeedSequence(seed).spawn(1)[0], trace=True)
    end = replication.end_s
    unit, label = _unit(end)
    there, busy, moments = _together([spent.trace for spent in replication.spent], end)
    x = np.array(moments) / unit
    axes.fill_between(x, there, step="post", color=_THERE, label="there, and paid")
    axes.fill_between(x, busy, step="post", color=_BUSY, label="with a step")
    axes.set_xlabel(f"{label} since the first job")
    axes.set_ylabel("nodes")
    axes.set_xlim(0, end / unit)
    axes.set_ylim(0, 1.25 * max(there))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper right", ncols=2, frameon=False)
    axes.set_title(f"one play with {row.nodes}", fontsize=10)


def _unit(longest_s: float) -> tuple[float, str]:
    return (_HOUR, "hours") if longest_s > 3 * _HOUR else (_MINUTE, "minutes")


def _together(
    traces: Sequence[Sequence[tuple[float, int, int]]], end: float
) -> tuple[list[int], list[int], list[float]]:
    """Nodes there and busy in all clusters, at each moment when that changes."""
    changes = sorted(
        (moment, number, there, busy)
        for number, trace in enumerate(traces)
        for moment, there, busy in trace
    )
    now = [(0, 0)] * len(traces)
    there, busy, moments = [0], [0], [0.0]
    for moment, number, nodes, working in changes:
        now[number] = (nodes, working)
        there.append(sum(each[0] for each in now))
        busy.append(sum(each[1] for each in now))
        moments.append(moment)
    return [*there, there[-1]], [*busy, busy[-1]], [*moments, end]
