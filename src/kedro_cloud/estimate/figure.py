"""Draw a plan: cost against makespan of each cluster size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kedro_cloud.estimate.plans import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BEST, _OTHER = "#c8501e", "#1f4e79"


def draw_plan(plan: Plan) -> Figure:
    """Draw cost against the median and the 95th percentile of the makespan, in minutes.

    Args:
        plan: Plan with at least one estimate; saturated sizes are drawn only if all are.
    """
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    rows = [row for row in plan.estimates if not row.is_saturated] or list(plan.estimates)
    for row in rows:
        colour = _BEST if row is plan.best else _OTHER
        p50, p95 = row.p50_s / 60, row.p95_s / 60
        axes.plot([p50, p95], [row.cost] * 2, color=colour, marker="|")
        axes.plot(p50, row.cost, "o", color=colour)
        axes.annotate(
            str(row.nodes), (p50, row.cost), (0, 8), textcoords="offset points", color=colour
        )
    within = (plan.options.within_s or 0.0) / 60
    if within:
        axes.axvline(within, color="grey", linestyle="--")
        axes.annotate(" --within", (within, 0), (0, 4), textcoords="offset points", color="grey")
    currency = next(iter(plan.prices.values())).currency
    axes.set_xlabel("makespan of a job, minutes (dot: median, bar: 95th percentile)")
    axes.set_ylabel(f"cost, {currency} per {'day' if plan.options.interval_s else 'job'}")
    axes.set_xlim(0, 1.1 * max(within, *(row.p95_s / 60 for row in rows)))
    axes.set_ylim(0, 1.15 * max(row.cost for row in rows) or None)
    axes.grid(alpha=0.3)
    axes.set_title(f"{plan.pipeline}, by minimum : maximum number of nodes")
    prices = "\n".join(f"{name}: {price}" for name, price in plan.prices.items())
    figure.supxlabel(f"{prices}\noverheads: planning.yml; work: rehearsal or --seconds", size=8)
    return figure


def check_path(path: Path) -> None:
    """Check that a path is a PNG file in an existing folder; else raise ValueError."""
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise ValueError(
            f"--out {path}: expected a name that ends with .png, in an existing folder"
        )


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file atomically."""
    beside = path.with_suffix(".new")
    figure.savefig(beside, format="png")
    beside.replace(path)
