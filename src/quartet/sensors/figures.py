"""Figures of the sensors scenario: ingested readings, trained models, anomalies and drift.

They follow the rules for figures in `CONTRIBUTING.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from quartet.sensors.drift import DRIFT_THRESHOLD

_DARK_BLUE = "#1f3a5f"
_RED = "#c8553d"
_LIGHT_BLUE = "#8fa9c4"
HEAT_COLOURS = ["#f3f6f9", "#f0c9a8", _RED, "#6b1d0e"]
"""Colours of shares and indices from 0 to 1."""
_HEAT = LinearSegmentedColormap.from_list("heat", HEAT_COLOURS)
_MAX_BINS = 96
"""Maximum number of bins of time."""
_MAX_ROWS = 40
"""Maximum number of sensors in the heat map of a fleet."""
_MAX_DRIFT_ROWS = 25
"""Maximum number of sensors in the figure of drift, where each cell has a number."""


def plot_readings_over_time(windows: pd.DataFrame, reasons: pd.Series) -> Figure:
    """Plot the number of readings over time, and the reasons for quarantined ones.

    Args:
        windows: Columns `window_end` and `readings`, one row per window, of a sensor or of all.
        reasons: Number of quarantined readings, by reason.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    times, bars = figure.subplots(1, 2, width_ratios=(2, 1))
    ylabel = "readings"
    if len(windows):
        edges, hours = _make_time_edges(windows["window_end"])
        ends = mdates.date2num(windows["window_end"])
        times.hist(ends, edges, weights=windows["readings"], color=_DARK_BLUE)
        _format_time_axis(times)
        ylabel = f"readings in {hours:.3g} h"
    else:
        _annotate(times, "none")
    times.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    times.set(ylabel=ylabel, title=f"{windows['readings'].sum():,} readings in windows")
    shown = reasons.sort_values().tail(8)
    bars.barh(shown.index.astype(str), shown.to_numpy(), color=_RED)
    bars.set(xlabel="readings", title=f"{reasons.sum():,} quarantined, by reason")
    bars.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    if shown.empty:
        _annotate(bars, "none")
    _hide_spines(times, bars)
    return figure


def _make_time_edges(ends: pd.Series) -> tuple[NDArray[np.float64], float]:
    """Return edges of at most `_MAX_BINS` bins, as Matplotlib's dates, and their width in hours.

    Each bin but the last one covers the same number of windows. Windows end in the middle between
    two edges, so that none is counted in the next bin.
    """
    moments = np.unique(mdates.date2num(ends))
    length = float(np.diff(moments).min()) if len(moments) > 1 else 1 / 24
    windows = round((moments[-1] - moments[0]) / length) + 1
    width = length * -(-windows // _MAX_BINS)
    count = -(-windows * length // width)
    return moments[0] - length / 2 + width * np.arange(count + 1), round(24 * width, 3)


def plot_false_alarms(rates: NDArray[np.float64], nu: float, vectors: NDArray[np.int64]) -> Figure:
    """Plot the false-alarm rates of models on held-out normal windows, and their sizes.

    Args:
        rates: Share of held-out windows with an alarm, one per model.
        nu: Target false-alarm rate.
        vectors: Number of support vectors, one per model.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist(rates, np.linspace(0, max(4 * nu, rates.max(initial=0)), 33), color=_DARK_BLUE)
    left.axvline(nu, color=_RED, label=f"target: {nu:.2%}")
    mean = rates.mean() if len(rates) else np.nan
    left.axvline(mean, color=_RED, ls=":", label=f"mean: {mean:.2%}")
    left.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    left.set(xlabel="false-alarm rate on held-out normal windows", ylabel="sensors",
             title=f"False-alarm rates of {len(rates):,} models")  # fmt: skip
    left.legend(frameon=False)
    right.hist(vectors, min(40, max(1, len(np.unique(vectors)))), color=_DARK_BLUE)
    right.set(xlabel="support vectors", ylabel="sensors", title="Size of the models")
    for axis in (left.yaxis, right.yaxis, right.xaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    _hide_spines(left, right)
    return figure


class FleetShares(NamedTuple):
    """Anomalous windows of a fleet over time.

    Attributes:
        shares: Share of a sensor's anomalous windows: a row per sensor, most alarms on top, and a
            column per time bin; NaN without windows.
        edges: Edges of the bins, in matplotlib's days, UTC.
        rates: Share of each sensor's anomalous windows in all bins, those left out included.
    """

    shares: pd.DataFrame
    edges: NDArray[np.float64]
    rates: pd.Series


def compute_fleet_shares(scores: pd.DataFrame) -> FleetShares:
    """Return the shares of anomalous windows over time of the sensors with the most alarms.

    Args:
        scores: Columns `device`, `sensor`, `window_end` and `anomaly`.
    """
    if scores.empty:
        return FleetShares(pd.DataFrame(), np.empty(0), pd.Series(dtype=float))
    names = scores["device"].astype(str) + " " + scores["sensor"].astype(str)
    rates = scores.groupby(names)["anomaly"].mean().sort_values(ascending=False, kind="stable")
    shown = rates.index[:_MAX_ROWS]
    edges = np.linspace(
        *_time_limits(scores["window_end"]), min(_MAX_BINS, scores["window_end"].nunique()) + 1
    )
    column = np.clip(np.digitize(mdates.date2num(scores["window_end"]), edges) - 1, 0,
                     len(edges) - 2)  # fmt: skip
    shares = (
        scores.assign(row=names, column=column)
        .pivot_table(index="row", columns="column", values="anomaly", aggfunc="mean")
        .reindex(index=shown, columns=range(len(edges) - 1))
    )
    return FleetShares(shares, edges, rates)


def plot_fleet_heat_map(fleet: FleetShares) -> Figure:
    """Plot the share of anomalous windows of each sensor over time, most alarms on top."""
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    axis = figure.subplots()
    axis.set_title("Share of anomalous windows over the fleet")
    if fleet.shares.empty:
        _annotate(axis, "no windows scored")
        return figure
    rates, shown = fleet.rates, fleet.shares.index
    axis.set_facecolor("0.85")
    grid = np.arange(len(shown) + 1) - 0.5
    values = fleet.shares.to_numpy(float)
    heat = axis.pcolormesh(fleet.edges, grid, values, cmap=_HEAT, vmin=0, vmax=1)
    labels = [f"{name}  {rates[name]:.1%}" for name in shown]
    axis.set_yticks(range(len(shown)), labels, size=8, parse_math=False)
    axis.invert_yaxis()
    _format_time_axis(axis)
    bar = figure.colorbar(heat, ax=axis, pad=0.01, format=PercentFormatter(1))
    bar.set_label("anomalous windows (grey: none scored)")
    if len(rates) > len(shown):
        axis.set_title(f"Share of anomalous windows, {len(shown)} of {len(rates):,} sensors")
    return figure


def plot_timelines(
    scores: pd.DataFrame, worst: Sequence[tuple[str, str]], events: pd.DataFrame
) -> Figure:
    """Plot the mean and range of windows, anomalies and known events of some sensors.

    An event is drawn up to the end of the last window that it overlaps, where an anomaly detected
    in that window is drawn, and never thinner than a line: it may be an instant.

    Args:
        scores: Columns `device`, `sensor`, `window_end`, `mean`, `minimum`, `maximum`, `anomaly`.
        worst: The sensors to plot as (device, sensor), one row of the figure each; may be empty.
        events: Known anomalies: `device`, `sensor` (empty for all of the device), `start`, `end`;
            may be without rows.
    """
    rows = max(1, len(worst))
    figure = Figure(figsize=(11, 0.6 + 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    if not worst:
        _annotate(axes[0], "no anomalous windows")
    for axis, (device, sensor) in zip(axes, worst, strict=False):
        chosen = scores[(scores["device"] == device) & (scores["sensor"] == sensor)]
        chosen = chosen.sort_values("window_end")
        ends = chosen["window_end"]
        flagged = chosen[chosen["anomaly"]]
        alone = len(chosen) == 1  # neither an area nor a line would be visible
        axis.fill_between(ends, chosen["minimum"], chosen["maximum"], color=_LIGHT_BLUE, alpha=0.5,
                          lw=2 if alone else 0)  # fmt: skip
        axis.plot(ends, chosen["mean"], color=_DARK_BLUE, lw=1, marker="." if alone else None)
        axis.plot(flagged["window_end"], flagged["mean"], "o", color=_RED, ms=4)
        known = events[(events["device"] == device) & events["sensor"].isin((sensor, ""))]
        for start, end in zip(known["start"], _round_up(known["end"], ends), strict=True):
            axis.axvspan(start, end, color="#e9c46a", alpha=0.45, lw=1)
        axis.set_title(f"{device} {sensor}: {len(flagged):,} of {len(chosen):,} windows",
                       loc="left", size=9, parse_math=False)  # fmt: skip
    _hide_spines(*axes)
    if worst:
        _format_time_axis(axes[-1])
    handles = [
        Patch(color=_DARK_BLUE, label="mean of window"),
        Patch(color=_LIGHT_BLUE, label="range of window"),
        Patch(color=_RED, label="detected anomaly"),
        *([Patch(color="#e9c46a", label="known anomaly")] if len(events) else []),
    ]
    figure.legend(handles=handles, ncols=4, loc="outside upper right", frameon=False, fontsize=8)
    figure.supylabel("value (unit of the sensor)", fontsize=9)
    return figure


def _round_up(times: pd.Series, ends: pd.Series) -> pd.Series:
    """Return the end of the window in which each time lies, given the ends of a sensor's windows.

    Windows are aligned to the Unix epoch. Of a single window the length is unknown, so the times
    are returned.
    """
    lengths = ends.drop_duplicates().diff().dropna()
    if lengths.empty:
        return times
    seconds = pd.Timedelta(lengths.min()).total_seconds()
    return pd.to_datetime(times).dt.ceil(f"{seconds:.0f}s")


class DriftIndices(NamedTuple):
    """Stability indices of the sensors that drifted most.

    Attributes:
        indices: A row per sensor, the largest index on top, and a column per feature.
        drifted: Whether each of them is drift; same shape.
        without_index: Number of sensors without an index, which have too few windows.
    """

    indices: pd.DataFrame
    drifted: NDArray[np.bool_]
    without_index: int


def pivot_drift(table: pd.DataFrame) -> DriftIndices:
    """Return the stability indices of the sensors that drifted most.

    Args:
        table: Columns `device`, `sensor`, `feature`, `stability_index` and `drifted`.
    """
    names = table["device"].astype(str) + " " + table["sensor"].astype(str)
    known = table.assign(row=names, drifted=table["drifted"].astype(float))
    known = known[table["stability_index"].notna()]
    indices, drifted = (
        known.pivot_table(column, "row", "feature", sort=False)
        for column in ("stability_index", "drifted")
    )
    shown = indices.max(axis=1).sort_values(ascending=False, kind="stable").index[:_MAX_DRIFT_ROWS]
    without_index = names.nunique() - len(indices)
    return DriftIndices(indices.loc[shown], drifted.loc[shown].to_numpy() > 0, without_index)


def plot_drift(drift: DriftIndices) -> Figure:
    """Plot the drift of the features of sensors since training."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    axis = figure.subplots()
    axis.set_title("Drift of features since training")
    indices, drifted, without_index = drift
    if indices.empty:
        _annotate(axis, "too few windows" if without_index else "no windows")
        return figure
    if without_index:
        axis.set_title(f"Drift of features; sensors with too few windows: {without_index:,}")
    values = indices.to_numpy(float)
    image = axis.imshow(values, cmap=_HEAT, vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(~np.isnan(values)):
        index = values[row, column]
        axis.text(column, row, f"{index:.2f}", ha="center", va="center", size=8,
                  weight="bold" if drifted[row, column] else "normal",
                  color="white" if index > 0.6 else "black")  # fmt: skip
    axis.set_yticks(range(len(indices)), list(indices.index), size=8, parse_math=False)
    features = [str(name).replace("_", " ") for name in indices.columns]
    axis.set_xticks(range(len(features)), features)
    bar = figure.colorbar(image, ax=axis, pad=0.01, extend="max")
    bar.set_label("population stability index")
    bar.ax.axhline(DRIFT_THRESHOLD, color="black", lw=1.5)
    axis.set_xlabel(f"bold: drift, above {DRIFT_THRESHOLD:g} (line in the scale) and chance")
    return figure


def plot_comparison(scores: pd.DataFrame) -> Figure:
    """Plot precision, recall and F1 of events of the models and the baselines.

    Args:
        scores: Columns `baselines.SCORE_COLUMNS`, one row per bar group; may be empty.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    for axis, level in zip(axes, ("sensors", "devices"), strict=True):
        shown = scores[scores["level"] == level].iloc[::-1]  # the first row on top
        axis.set_title(f"Labelled events of {level}")
        if shown.empty:
            _annotate(axis, "none compared")
            continue
        rows = np.arange(len(shown))
        for offset, (name, color) in enumerate(
            (("f1", _LIGHT_BLUE), ("recall", _DARK_BLUE), ("precision", _RED))
        ):
            bars = axis.barh(rows + 0.27 * (offset - 1), shown[name], 0.25, color=color)
            axis.bar_label(bars, fmt="{:.2f}", padding=2, size=8)
        names = {"one_class_svm": "one-class SVM", "robust_z_score": "robust z-score"}
        labels = [names.get(name, name.replace("_", " ")) for name in shown["method"]]
        axis.set_yticks(rows, labels)
        axis.set(xlim=(0, 1.1), xlabel="share")
    handles = [
        Patch(color=_RED, label="precision"),
        Patch(color=_DARK_BLUE, label="recall"),
        Patch(color=_LIGHT_BLUE, label="F1"),
    ]
    figure.legend(handles=handles, ncols=3, loc="outside lower right", frameon=False, fontsize=8)
    _hide_spines(*axes)
    return figure


def _time_limits(times: pd.Series) -> tuple[float, float]:
    low, high = mdates.date2num(times.min()), mdates.date2num(times.max())
    return low, high if high > low else low + 1 / 24


def _format_time_axis(axis: Any) -> None:
    locator = mdates.AutoDateLocator(minticks=4, maxticks=9)
    axis.xaxis.set_major_locator(locator)
    formats = ["%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M", "%S.%f"]
    offsets = ["", "%Y", "%Y", "%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d %H:%M"]
    zeros = ["", "%Y", "%m-%d", "%m-%d", "%H:%M", "%H:%M"]
    axis.xaxis.set_major_formatter(
        mdates.ConciseDateFormatter(
            locator, formats=formats, offset_formats=offsets, zero_formats=zeros
        )
    )
    axis.set_xlabel("time, UTC")


def _annotate(axis: Any, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color="0.4")
    axis.set(xticks=[], yticks=[])


def _hide_spines(*axes: Any) -> None:
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
