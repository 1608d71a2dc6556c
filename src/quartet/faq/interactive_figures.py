"""Plot the study and the gains for Kedro-Viz, where the pointer shows the values.

Each function shows what that of the same name in `study_figures` or `figures` shows.
"""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from plotly.graph_objects import Bar, Figure, Scatter

from quartet.faq.drawing import ACCENT, COLOUR_MAP, LIGHT, PRIMARY, format_name
from quartet.faq.study_figures import compute_best_so_far


def plot_study_history(
    trials: pd.DataFrame, parameters: list[str], metric: str, chosen: int
) -> Figure:
    """Plot the metric of each trial and the best so far; the pointer shows the parameters.

    Args:
        trials: Columns `trial`, `state` (`complete`, `pruned` or `fail`), `metric`, and one a
            parameter, which may have gaps.
        parameters: Parameters to show, in order.
        metric: Name of the metric.
        chosen: Number of the chosen trial.
    """
    ordered = trials.sort_values("trial").astype({"metric": float})
    best = compute_best_so_far(ordered)
    line = {"shape": "hv", "color": PRIMARY, "width": 1}
    figure = _make_figure(
        f"Search for the ranker's parameters: {len(trials):,} trials", "trial", format_name(metric)
    )
    figure.add_scatter(
        x=best.index.tolist(), y=best.tolist(), mode="lines", line=line, name="best so far"
    )
    filled, pale, cross = {"color": PRIMARY}, {"color": LIGHT}, {"color": "gray", "symbol": "x"}
    ring = {"color": ACCENT, "symbol": "circle-open", "size": 16, "line": {"width": 2}}
    for label, rows, marker in (
        ("complete", ordered[ordered["state"] == "complete"], filled),
        ("pruned", ordered[ordered["state"] == "pruned"], pale),
        ("failed", ordered[ordered["state"] == "fail"], cross),
        (f"chosen: trial {chosen}", ordered[ordered["trial"] == chosen], ring),
    ):
        failed = label == "failed"
        figure.add_trace(
            Scatter(
                x=rows["trial"].tolist(),
                # On an axis of its own, as a failed trial has no metric.
                y=[0.02] * len(rows) if failed else rows["metric"].tolist(),
                yaxis="y2" if failed else "y",
                mode="markers",
                marker=marker,
                name=label if label.startswith("chosen") else f"{label} ({len(rows):,})",
                hovertext=[_describe(row, parameters, metric) for row in rows.to_dict("records")],
                hoverinfo="text",
            )
        )
    return figure.update_layout(yaxis2={"overlaying": "y", "range": [0, 1], "visible": False})


def _describe(row: dict[Any, Any], parameters: list[str], metric: str) -> str:
    """Return number, state, metric and parameters of a trial, one a line."""
    lines = [f"trial {row['trial']}, {row['state']}"]
    for name in (metric, *parameters):
        value = row["metric" if name == metric else name]
        if not pd.isna(value):
            text = f"{value:,g}" if isinstance(value, float) else str(value)
            lines.append(escape(f"{format_name(name)}: {text}", quote=False))
    return "<br>".join(lines)


def plot_gains(table: pd.DataFrame, questions: int) -> Figure:
    """Plot gain@k of each method as bars with 95 % intervals.

    Args:
        table: Columns `method`, `k`, `gain`, `low_95`, `high_95`; the first method is the ranker.
        questions: Number of questions that the gains are shares of.
    """
    methods = list(table["method"].unique())
    colours = [PRIMARY, *map(to_hex, COLOUR_MAP(np.linspace(0.6, 0.05, len(methods) - 1)))]
    title = f"Right original among the first k: {questions:,} questions"
    figure = _make_figure(title, "", "gain@k (whiskers: 95 % intervals)")
    for method, colour in zip(methods, colours, strict=True):
        rows = table[table["method"] == method].sort_values("k")
        gains, low, high = (rows[name] for name in ("gain", "low_95", "high_95"))
        whiskers = {"array": (high - gains).tolist(), "arrayminus": (gains - low).tolist()}
        name = format_name(method)
        bars = Bar(
            x=[f"k = {k}" for k in rows["k"]],
            y=gains.tolist(),
            error_y={**whiskers, "color": "gray", "thickness": 1, "width": 3},
            marker={"color": colour},
            name=name,
            customdata=rows[["low_95", "high_95"]].to_numpy().tolist(),
            hovertemplate=f"{name}, %{{x}}: %{{y:.1%}}<br>95 % interval: "
            "%{customdata[0]:.1%} to %{customdata[1]:.1%}<extra></extra>",
        )
        figure.add_trace(bars)
    return figure.update_yaxes(range=[0, 1.03], tickformat=".0%")


def plot_message(title: str, text: str) -> Figure:
    """Plot only a text, for a figure without data."""
    figure = _make_figure(title, "", "").add_annotation(
        text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False
    )
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)


def _make_figure(title: str, xlabel: str, ylabel: str) -> Figure:
    """Return an empty figure; Kedro-Viz gives it the font and the colours of its theme."""
    figure = Figure(layout={"template": "none", "title": title})
    figure.update_layout(xaxis={"title": xlabel}, yaxis={"title": ylabel})
    # White, as in Kedro-Viz's dark theme the data would be as dark as their background.
    return figure.add_shape(
        x0=0, x1=1, y0=0, y1=1, xref="paper", yref="paper",
        fillcolor="white", line={"width": 0}, layer="below",
    )  # fmt: skip
