"""Plot a study: its history, parameter importance and the parameters of each trial."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from quartet.faq.drawing import (
    ACCENT,
    COLOUR_MAP,
    LIGHT,
    PRIMARY,
    Values,
    format_name,
    hide_spines,
    make_integer_locator,
    plot_horizontal_bars,
    plot_message,
)


def plot_study_history(trials: pd.DataFrame, metric: str, chosen: int) -> Figure:
    """Plot the metric of each trial and the best so far, with the chosen trial ringed.

    Args:
        trials: Columns `trial`, `state` (`complete`, `pruned` or `fail`) and `metric`.
        metric: Name of the metric.
        chosen: Number of the chosen trial.
    """
    ordered = trials.sort_values("trial").astype({"metric": float})
    complete, pruned, failed = (
        ordered[ordered["state"] == state] for state in ("complete", "pruned", "fail")
    )
    chosen_rows = ordered[ordered["trial"] == chosen]
    best = compute_best_so_far(ordered)
    figure = Figure(figsize=(9, 4), layout="constrained")
    axis = figure.subplots()
    axis.step(best.index, best, where="post", color=PRIMARY, lw=1, label="best so far")
    for label, rows, style in (
        (f"complete ({len(complete)})", complete, {"color": PRIMARY}),
        (f"pruned ({len(pruned)})", pruned, {"color": LIGHT, "mfc": "white"}),
        (
            f"chosen: trial {chosen}",
            chosen_rows,
            {"color": ACCENT, "mfc": "none", "ms": 14, "mew": 2},
        ),
    ):
        axis.plot(rows["trial"], rows["metric"], "o", label=label, **style)
    if len(failed):
        edge, bottom = np.full(len(failed), 0.02), axis.get_xaxis_transform()
        label = f"failed ({len(failed)})"
        axis.plot(failed["trial"], edge, "x", color="0.4", transform=bottom, label=label)
    axis.set(xlabel="trial", ylabel=format_name(metric), title="Search for the ranker's parameters")
    axis.set_xlim(ordered["trial"].min() - 0.6, ordered["trial"].max() + 0.6)
    axis.xaxis.set_major_locator(make_integer_locator())
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axis.grid(alpha=0.3)
    hide_spines(axis)
    return figure


def compute_best_so_far(trials: pd.DataFrame) -> pd.Series:
    """Return the best metric of the completed trials up to each trial, by trial, in order."""
    best = trials[trials["state"] == "complete"].set_index("trial")["metric"].cummax()
    return best.reindex(trials["trial"]).ffill()  # also covers trials that did not complete


def plot_parameter_importance(importance: pd.DataFrame) -> Figure:
    """Plot the share of the metric's variance that each parameter explains.

    Args:
        importance: Columns `parameter` and `importance` (a share); empty if it is unknown.
    """
    title = "Importance of the searched parameters"
    if importance.empty:
        return plot_message(title, "Too few trials completed to estimate the importance.")
    ordered = importance.sort_values("importance", ascending=False, kind="stable")
    shares = ordered["importance"].to_numpy()
    names = [format_name(name) for name in ordered["parameter"]]
    figure, axis = plot_horizontal_bars(names, shares, [f"{share:.1%}" for share in shares])
    axis.set(xlabel="share of the metric's variance explained (fANOVA)", title=title)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def plot_parallel_coordinates(
    trials: pd.DataFrame, parameters: list[str], metric: str, chosen: int
) -> Figure:
    """Plot each completed trial as a line through its parameters to its metric.

    Args:
        trials: Columns `trial`, `state`, `metric`, and one a parameter; at least one trial
            completed.
        parameters: Parameters to show, in order.
        metric: Name of the metric.
        chosen: Number of the chosen trial, which completed; drawn on top.
    """
    complete = trials[trials["state"] == "complete"]
    ordered = complete.astype({"metric": float}).sort_values("metric", kind="stable")
    figure = Figure(figsize=(max(7, 2.5 + 1.05 * len(parameters)), 5), layout="constrained")
    axis = figure.subplots()
    heights = [
        *(_draw_axis(axis, x, ordered[name]) for x, name in enumerate(parameters)),
        _draw_axis(axis, len(parameters), ordered["metric"], log_from=np.inf),
    ]
    lines = np.stack(np.broadcast_arrays(np.arange(len(heights)), np.transpose(heights)), axis=-1)
    metrics = ordered["metric"].to_numpy()
    collection = LineCollection(
        list(lines), array=metrics, cmap=COLOUR_MAP, norm=_normalise(metrics), lw=1.3
    )
    axis.add_collection(collection)
    (line,) = lines[ordered["trial"] == chosen]
    axis.plot(*line.T, "o-", ms=4, color=ACCENT, lw=2.5, label=f"chosen: trial {chosen}")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, borderaxespad=0.2)
    names = [format_name(name).replace(" ", "\n") for name in (*parameters, metric)]
    axis.set_xticks(np.arange(len(heights)), names)
    axis.set(yticks=[], xlim=(-0.2, len(heights) - 0.4), ylim=(-0.04, 1.04))
    axis.set_title("Parameters and metric of the completed trials", loc="left")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(collection, ax=axis, pad=0.01, aspect=35, label=format_name(metric))
    return figure


def _draw_axis(axis: Any, x: int, values: pd.Series, log_from: float = 20) -> Values:
    """Draw the axis of one parameter; return the heights of the values, from 0 to 1."""
    axis.axvline(x, color="0.3", lw=0.8, zorder=1)
    if pd.api.types.is_numeric_dtype(values):
        heights, labels = _scale_numbers(values.to_numpy(float), log_from)
    else:
        heights, labels = _scale_categories(values)
    for height, label in labels.items():
        axis.text(
            x + 0.05,
            height,
            label,
            va="center",
            fontsize=8,
            zorder=4,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8},
        )
    return heights


def _scale_categories(names: pd.Series) -> tuple[Values, dict[float, str]]:
    """Return evenly spaced heights of categories, and labels by height."""
    different = sorted(names.unique())
    positions = np.linspace(0, 1, len(different)) if len(different) > 1 else np.array([0.5])
    heights = dict(zip(different, positions, strict=True))
    return names.map(heights).to_numpy(float), {heights[name]: name for name in different}


def _scale_numbers(numbers: Values, log_from: float) -> tuple[Values, dict[float, str]]:
    """Return heights of numbers, and labels by height; logarithmic from max/min = `log_from`."""
    unique = np.unique(numbers)
    if len(unique) == 1:
        return numbers * 0 + 0.5, {0.5: _format_number(unique[0])}
    low, high = unique[[0, -1]]
    log = low > 0 and high / low >= log_from
    middle = np.sqrt(low * high) if log else (low + high) / 2
    if (unique == np.round(unique)).all():
        middle = np.round(middle)
    ticks = np.array([low, middle, high] if len(unique) > 2 else [low, high])
    scale = np.log if log else np.asarray
    bottom, top = scale(low), scale(high)
    labels = {(scale(tick) - bottom) / (top - bottom): _format_number(tick) for tick in ticks}
    return (scale(numbers) - bottom) / (top - bottom), labels


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _normalise(values: Values) -> Normalize:
    low, high = values.min(), values.max()
    return Normalize(low, high) if low < high else Normalize(low - 0.01, high + 0.01)
