"""Figures of the sensors scenario: what came in, what was learned, what is out of the ordinary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

_INK = "#1f3a5f"
_MARK = "#c8553d"
_PALE = "#8fa9c4"
_HEAT = LinearSegmentedColormap.from_list("heat", ["#f3f6f9", "#f0c9a8", _MARK, "#6b1d0e"])
_MOST_ROWS = 40
"""Sensors that a heat map names one by one."""


def readings_over_time(windows: pd.DataFrame, reasons: pd.Series, bins: int = 96) -> Figure:
    """How many readings there are at what time, and why others were set aside.

    Args:
        windows: Columns `window_end` and `readings`, one row a window of a sensor, or of all.
        reasons: Number of readings set aside, by reason.
        bins: Bars in which the time is divided.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    times, bars = figure.subplots(1, 2, width_ratios=(2, 1))
    if len(windows):
        ends = mdates.date2num(windows["window_end"])
        times.hist(ends, min(bins, windows["window_end"].nunique()), weights=windows["readings"],
                   color=_INK)  # fmt: skip
        _time_axis(times)
    times.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    times.set(ylabel="readings", title=f"{windows['readings'].sum():,} readings in windows")
    shown = reasons.sort_values().tail(8)
    bars.barh(shown.index.astype(str), shown.to_numpy(), color=_MARK)
    bars.set(xlabel="readings", title=f"{reasons.sum():,} set aside, by reason")
    bars.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    if shown.empty:
        _say(bars, "none")
    _clean(times, bars)
    return figure


def false_alarms(rates: NDArray[np.float64], nu: float, vectors: NDArray[np.int64]) -> Figure:
    """How often models call held-back normal windows anomalous, and how large they are.

    Args:
        rates: Share of held-back windows with an alarm, one a model.
        nu: Share that was asked for.
        vectors: Support vectors, one a model.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist(rates, np.linspace(0, max(4 * nu, rates.max(initial=0)), 33), color=_INK)
    left.axvline(nu, color=_MARK, label=f"asked for: {nu:.2%}")
    mean = rates.mean() if len(rates) else np.nan
    left.axvline(mean, color=_MARK, ls=":", label=f"mean of all: {mean:.2%}")
    left.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    left.set(xlabel="alarms on held-back normal windows", ylabel="sensors",
             title=f"False alarms of {len(rates):,} models")  # fmt: skip
    left.legend(frameon=False)
    right.hist(vectors, min(40, max(1, len(np.unique(vectors)))), color=_INK)
    right.set(xlabel="support vectors", ylabel="sensors", title="Size of the models")
    for axis in (left.yaxis, right.yaxis, right.xaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    _clean(left, right)
    return figure


def fleet_heat_map(scores: pd.DataFrame, bins: int = 96) -> Figure:
    """Share of anomalous windows of each sensor over time, the sensors with most alarms on top.

    Args:
        scores: Columns `device`, `sensor`, `window_end` and `anomaly`.
        bins: Columns in which the time is divided, at most.
    """
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    axis = figure.subplots()
    axis.set_title("Share of anomalous windows over the fleet")
    if scores.empty:
        _say(axis, "no window was scored")
        return figure
    names = scores["device"].astype(str) + " " + scores["sensor"].astype(str)
    rates = scores.groupby(names)["anomaly"].mean().sort_values(ascending=False, kind="stable")
    shown = rates.index[:_MOST_ROWS]
    edges = np.linspace(*_span(scores["window_end"]), min(bins, _columns(scores)) + 1)
    column = np.clip(np.digitize(mdates.date2num(scores["window_end"]), edges) - 1, 0,
                     len(edges) - 2)  # fmt: skip
    share = (
        scores.assign(row=names, column=column)
        .pivot_table(index="row", columns="column", values="anomaly", aggfunc="mean")
        .reindex(index=shown, columns=range(len(edges) - 1))
    )
    axis.set_facecolor("0.85")
    grid = np.arange(len(shown) + 1) - 0.5
    heat = axis.pcolormesh(edges, grid, share.to_numpy(float), cmap=_HEAT, vmin=0, vmax=1)
    axis.set_yticks(range(len(shown)), [f"{name}  {rates[name]:.1%}" for name in shown], size=8)
    axis.invert_yaxis()
    _time_axis(axis)
    bar = figure.colorbar(heat, ax=axis, pad=0.01, format=PercentFormatter(1))
    bar.set_label("windows called anomalous (grey: none scored)")
    if len(rates) > len(shown):
        axis.set_title(f"Share of anomalous windows, {len(shown)} of {len(rates):,} sensors")
    return figure


def timelines(
    scores: pd.DataFrame, worst: Sequence[tuple[str, str]], events: pd.DataFrame
) -> Figure:
    """The window means of some sensors, the range of each window, anomalies and known events.

    Args:
        scores: Columns `device`, `sensor`, `window_end`, `mean`, `minimum`, `maximum`, `anomaly`.
        worst: The sensors to show, a row each.
        events: Known anomalies: `device`, `sensor` (empty: all of the device), `start`, `end`;
            may be empty.
    """
    rows = max(1, len(worst))
    figure = Figure(figsize=(11, 0.6 + 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    if not worst:
        _say(axes[0], "no window was called anomalous")
    for axis, (device, sensor) in zip(axes, worst, strict=False):
        chosen = scores[(scores["device"] == device) & (scores["sensor"] == sensor)]
        chosen = chosen.sort_values("window_end")
        ends = chosen["window_end"]
        flagged = chosen[chosen["anomaly"]]
        axis.fill_between(ends, chosen["minimum"], chosen["maximum"], color=_PALE, alpha=0.5, lw=0)
        axis.plot(ends, chosen["mean"], color=_INK, lw=1)
        axis.plot(flagged["window_end"], flagged["mean"], "o", color=_MARK, ms=4)
        known = events[(events["device"] == device) & events["sensor"].isin((sensor, ""))]
        for start, end in zip(known["start"], known["end"], strict=True):
            axis.axvspan(start, end, color="#e9c46a", alpha=0.45, lw=0)
        axis.set_title(f"{device} {sensor}: {len(flagged):,} of {len(chosen):,} windows",
                       loc="left", size=9)  # fmt: skip
    _clean(*axes)
    if worst:
        _time_axis(axes[-1])
    handles = [
        _patch(_INK, "mean of a window"),
        _patch(_PALE, "its range"),
        _patch(_MARK, "called anomalous"),
        *([_patch("#e9c46a", "known anomaly")] if len(events) else []),
    ]
    figure.legend(handles=handles, ncols=4, loc="outside upper right", frameon=False, fontsize=8)
    return figure


def drift(table: pd.DataFrame, most: int = 25) -> Figure:
    """How far the inputs of the sensors have moved from those of training.

    Args:
        table: Columns `device`, `sensor`, `feature` and `stability_index`, NaN where nothing is
            said of a sensor; those are left out.
        most: Sensors shown, those that moved most.
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    axis = figure.subplots()
    axis.set_title("Drift of the inputs since training")
    known = table[table["stability_index"].notna()]
    if known.empty:
        _say(axis, "too few windows" if len(table) else "no windows")
        return figure
    names = table["device"].astype(str) + " " + table["sensor"].astype(str)
    silent = names.nunique() - names[known.index].nunique()
    if silent:
        axis.set_title(f"Drift of the inputs; sensors with too few windows: {silent:,}")
    wide = known.assign(row=names[known.index]).pivot_table(
        index="row", columns="feature", values="stability_index", sort=False
    )
    wide = wide.loc[wide.max(axis=1).sort_values(ascending=False, kind="stable").index[:most]]
    image = axis.imshow(wide.to_numpy(float), cmap=_HEAT, vmin=0, vmax=1, aspect="auto")
    axis.set_yticks(range(len(wide)), list(wide.index), size=8)
    axis.set_xticks(range(wide.shape[1]), [str(name).replace("_", " ") for name in wide.columns])
    bar = figure.colorbar(image, ax=axis, pad=0.01, extend="max")
    bar.set_label("population stability index (over 0.25: moved)")
    return figure


def _span(times: pd.Series) -> tuple[float, float]:
    low, high = mdates.date2num(times.min()), mdates.date2num(times.max())
    return low, high if high > low else low + 1 / 24


def _columns(scores: pd.DataFrame) -> int:
    return max(1, int(scores["window_end"].nunique()))


def _time_axis(axis: Any) -> None:
    locator = mdates.AutoDateLocator(minticks=4, maxticks=9)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axis.set_xlabel("time, UTC")


def _patch(color: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=color, label=label)


def _say(axis: Any, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color="0.4")
    axis.set(xticks=[], yticks=[])


def _clean(*axes: Any) -> None:
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
