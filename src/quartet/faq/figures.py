"""Figures of the FAQ scenario: the texts, the search, the ranking and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
    StrMethodFormatter,
)
from numpy.typing import NDArray

Values = NDArray[np.floating]
Counts = NDArray[np.int64]

_INK = "#1f3a5f"
_MARK = "#c8553d"
_PALE = "#8fa9c4"
_SHADES = LinearSegmentedColormap.from_list("shades", ["#d9e3ed", _PALE, _INK])
_TWENTIETHS = [edge / 20 for edge in range(21)]
_TITLE = 60
"""Characters shown of an original's text."""


def text_lengths(lengths: dict[str, Counts], duplicates: Counts) -> Figure:
    """How long the texts are, and how many duplicates an original has.

    Args:
        lengths: Characters of each text, by kind: originals, duplicates, answers.
        duplicates: Number of each original's duplicates.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    texts, numbers = figure.subplots(1, 2)
    _boxes(texts, {kind: np.maximum(values, 1) for kind, values in lengths.items()})
    texts.set(
        xlabel="characters (box: middle half, whiskers: 5th to 95th percentile)",
        title="Length of the texts",
    )
    numbers.hist(duplicates, _whole_edges(duplicates), color=_INK, rwidth=0.9)
    numbers.set(xlabel="duplicates", ylabel="originals", title="Duplicates of each original")
    numbers.set_ylim(bottom=0)
    for axis in (numbers.xaxis, numbers.yaxis):
        axis.set_major_locator(_whole())
    _clean(numbers)
    return figure


def _boxes(axis: Any, samples: dict[str, Counts]) -> None:
    names = [
        f"{name} ({len(values):,})\nmedian {np.median(values):,.0f}" if len(values) else name
        for name, values in samples.items()
    ]
    axis.boxplot(
        list(samples.values()),
        orientation="horizontal",
        tick_labels=names,
        whis=(5, 95),
        showfliers=False,
        widths=0.5,
        patch_artist=True,
        boxprops={"facecolor": _PALE, "edgecolor": _INK},
        medianprops={"color": _MARK, "linewidth": 2},
        whiskerprops={"color": _INK},
        capprops={"color": _INK},
    )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.invert_yaxis()
    _clean(axis)


def _whole_edges(counts: Counts, most: int = 40) -> Values:
    """Edges of at most `most` intervals that hold equally many whole numbers each."""
    low, high = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
    step = -(-(high - low + 1) // most)
    return np.arange(low, high + step + 1, step) - 0.5


def study_history(trials: pd.DataFrame, metric: str, chosen: int) -> Figure:
    """The metric of each trial, the best so far, and the chosen trial ringed.

    Args:
        trials: Columns `trial`, `state` (`complete`, `pruned` or `fail`) and `metric`.
        metric: The metric's name.
        chosen: The trial taken.
    """
    ordered = trials.sort_values("trial").astype({"metric": float})
    complete, pruned, failed = (
        ordered[ordered["state"] == state] for state in ("complete", "pruned", "fail")
    )
    taken = ordered[ordered["trial"] == chosen]
    # The best stays the best until the last trial, whatever became of that one.
    best = complete.set_index("trial")["metric"].cummax().reindex(ordered["trial"]).ffill()
    figure = Figure(figsize=(9, 4), layout="constrained")
    axis = figure.subplots()
    axis.step(best.index, best, where="post", color=_INK, lw=1, label="best so far")
    for label, rows, style in (
        (f"complete ({len(complete)})", complete, {"color": _INK}),
        (f"pruned ({len(pruned)})", pruned, {"color": _PALE, "mfc": "white"}),
        (f"chosen: trial {chosen}", taken, {"color": _MARK, "mfc": "none", "ms": 14, "mew": 2}),
    ):
        axis.plot(rows["trial"], rows["metric"], "o", label=label, **style)
    if len(failed):
        edge, bottom = np.full(len(failed), 0.02), axis.get_xaxis_transform()
        label = f"failed ({len(failed)})"
        axis.plot(failed["trial"], edge, "x", color="0.4", transform=bottom, label=label)
    axis.set(xlabel="trial", ylabel=_words(metric), title="Search for the ranker's parameters")
    axis.set_xlim(ordered["trial"].min() - 0.6, ordered["trial"].max() + 0.6)
    axis.xaxis.set_major_locator(_whole())
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axis.grid(alpha=0.3)
    _clean(axis)
    return figure


def parameter_importance(importance: pd.DataFrame) -> Figure:
    """Bars: how much of the metric's variation each parameter explains.

    Args:
        importance: Columns `parameter` and `importance`, a share; empty where it is not known.
    """
    title = "Importance of the searched parameters"
    if importance.empty:
        return _note(title, "Too few trials completed to tell which parameters matter.")
    ordered = importance.sort_values("importance", ascending=False, kind="stable")
    shares = ordered["importance"].to_numpy()
    names = [_words(name) for name in ordered["parameter"]]
    figure, axis = _rows(names, shares, [f"{share:.1%}" for share in shares])
    axis.set(xlabel="share of the metric's variation explained (fANOVA)", title=title)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def parallel_coordinates(
    trials: pd.DataFrame, parameters: list[str], metric: str, chosen: int
) -> Figure:
    """Each completed trial as a line through its parameters to its metric.

    Args:
        trials: Columns `trial`, `state`, `metric`, and one a parameter, missing where a trial
            did not have it.
        parameters: Those to show, in this order.
        metric: The metric's name.
        chosen: The trial taken, drawn on top.
    """
    title = "Parameters and metric of the completed trials"
    complete = trials[(trials["state"] == "complete") & trials["metric"].notna()]
    if complete.empty:
        return _note(title, "No trial completed.")
    ordered = complete.astype({"metric": float}).sort_values("metric", kind="stable")
    figure = Figure(figsize=(max(7, 2.5 + 1.05 * len(parameters)), 5), layout="constrained")
    axis = figure.subplots()
    heights = [
        *(_upright(axis, place, ordered[name]) for place, name in enumerate(parameters)),
        _upright(axis, len(parameters), ordered["metric"], log_from=np.inf),
    ]
    lines = np.stack(np.broadcast_arrays(np.arange(len(heights)), np.transpose(heights)), axis=-1)
    metrics = ordered["metric"].to_numpy()
    collection = LineCollection(
        list(lines), array=metrics, cmap=_SHADES, norm=_norm(metrics), lw=1.3
    )
    axis.add_collection(collection)
    for row in np.flatnonzero(ordered["trial"] == chosen):
        axis.plot(*lines[row].T, "o-", ms=4, color=_MARK, lw=2.5, label=f"chosen: trial {chosen}")
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, borderaxespad=0.2)
    names = [_words(name).replace(" ", "\n") for name in (*parameters, metric)]
    axis.set_xticks(np.arange(len(heights)), names)
    axis.set(yticks=[], xlim=(-0.2, len(heights) - 0.4), ylim=(-0.04, 1.04))
    axis.set_title(title, loc="left")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(collection, ax=axis, pad=0.01, aspect=35, label=_words(metric))
    return figure


def _upright(axis: Any, place: int, values: pd.Series, log_from: float = 20) -> Values:
    """Draw the axis of one parameter; returns where on it the values lie, between 0 and 1."""
    axis.axvline(place, color="0.3", lw=0.8, zorder=1)
    scale = _names_scale if values.map(_is_name).any() else _numbers_scale
    heights, labels = scale(values, log_from)
    for height, label in labels.items():
        axis.text(
            place + 0.05,
            height,
            label,
            va="center",
            fontsize=8,
            zorder=4,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8},
        )
    return heights


def _is_name(value: object) -> bool:
    return isinstance(value, str | bool | np.bool_)


def _names_scale(values: pd.Series, _: float) -> tuple[Values, dict[float, str]]:
    """Heights of names, evenly spaced, and the labels by height."""
    names = sorted(values.dropna().map(str).unique())
    heights = np.linspace(0, 1, len(names)) if len(names) > 1 else np.array([0.5])
    places = dict(zip(names, heights, strict=True))
    return values.map(str).map(places).to_numpy(float), {places[name]: name for name in names}


def _numbers_scale(values: pd.Series, log_from: float) -> tuple[Values, dict[float, str]]:
    """Heights of numbers, and the labels by height; logarithmic from max/min = `log_from` on."""
    numbers = values.to_numpy(float)
    known = np.unique(numbers[~np.isnan(numbers)])
    if len(known) < 2:
        return numbers * 0 + 0.5, {0.5: _number(known[0])} if len(known) else {}
    low, high = known[[0, -1]]
    log = low > 0 and high / low >= log_from
    middle = np.sqrt(low * high) if log else (low + high) / 2
    if (known == np.round(known)).all():
        middle = np.round(middle)
    marks = np.array([low, middle, high] if len(known) > 2 else [low, high])
    bend = np.log if log else np.asarray
    bottom, top = bend(low), bend(high)
    labels = {(bend(mark) - bottom) / (top - bottom): _number(mark) for mark in marks}
    return (bend(numbers) - bottom) / (top - bottom), labels


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _norm(values: Values) -> Normalize:
    low, high = values.min(), values.max()
    return Normalize(low, high) if low < high else Normalize(low - 0.01, high + 0.01)


def gains(table: pd.DataFrame) -> Figure:
    """Bars: the gain at each k of each method, with 95 % intervals.

    Args:
        table: Columns `method`, `k`, `gain`, `low_95`, `high_95`; the first method is the ranker.
    """
    methods, places = list(table["method"].unique()), np.sort(table["k"].unique())
    colours = [_INK, *_SHADES(np.linspace(0.6, 0.05, len(methods) - 1))]
    width = 0.8 / len(methods)
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axis = figure.subplots()
    for number, method in enumerate(methods):
        rows = table[table["method"] == method].set_index("k").reindex(places)
        centres = np.arange(len(places)) + (number - (len(methods) - 1) / 2) * width
        reach = np.abs(rows[["low_95", "high_95"]].T - rows["gain"]).to_numpy()
        bars = axis.bar(
            centres,
            rows["gain"],
            0.95 * width,
            yerr=reach,
            color=colours[number],
            label=_words(method),
            error_kw={"ecolor": "0.5", "lw": 1, "capsize": 2},
        )
        if number == 0:
            percents = [f"{100 * gain:.0f}" for gain in rows["gain"]]
            axis.bar_label(bars, percents, label_type="center", color="white", fontsize=9)
    axis.set(ylabel="gain@k", ylim=(0, 1.03), title="Right original among the first k")
    axis.set_xticks(np.arange(len(places)), [f"k = {k}" for k in places])
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    _clean(axis)
    return figure


def calibration(table: pd.DataFrame, title: str) -> Figure:
    """True against stated share of duplicates, over the number of pairs behind each point.

    Args:
        table: Columns `probability` (mean stated), `share` (true) and `pairs`.
        title: What was calibrated.
    """
    figure = Figure(figsize=(6, 6.5), layout="constrained")
    curve, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    curve.plot([0, 1], [0, 1], "--", color="0.6", lw=1, label="perfectly calibrated")
    curve.plot(table["probability"], table["share"], color=_PALE, lw=1)
    sizes = 25 + 45 * np.log10(np.maximum(table["pairs"], 1))
    curve.scatter(table["probability"], table["share"], sizes, color=_INK, zorder=3)
    curve.set(ylabel="share that are duplicates", ylim=(-0.03, 1.03), title=title)
    curve.yaxis.set_major_formatter(PercentFormatter(1))
    curve.legend(loc="upper left", frameon=False)
    curve.grid(alpha=0.3)
    gaps = np.diff(np.sort(table["probability"]), prepend=-1)
    width = np.clip(0.9 * gaps.min(initial=1), 0.01, 0.06)
    below.bar(table["probability"], table["pairs"], width, color=_PALE)
    below.set(xlabel="stated probability", ylabel="pairs", xlim=(-0.03, 1.03), yscale="log")
    below.set_ylim(bottom=0.5)
    below.minorticks_off()
    below.xaxis.set_major_formatter(PercentFormatter(1))
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    for axis in (curve, below):
        _clean(axis)
    return figure


def score_distributions(right: Values, wrong: Values) -> Figure:
    """How well probability tells right from wrong.

    Args:
        right: Probability of each question's right original.
        wrong: Probability of each question's best wrong candidate.
    """
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axis = figure.subplots()
    kinds = {"right original": (right, _INK, 0.85), "best wrong candidate": (wrong, _MARK, 0.6)}
    for name, (values, colour, alpha) in kinds.items():
        weights = np.full(len(values), 1 / max(len(values), 1))
        axis.hist(
            values, _TWENTIETHS, weights=weights, color=colour, alpha=alpha, rwidth=0.96, label=name
        )
    axis.set(ylabel="share of questions", title="Probability of right and wrong originals")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(loc="upper center", frameon=False)
    _probabilities(axis)
    return figure


def hardest(table: pd.DataFrame, titles: pd.Series) -> Figure:
    """Bars: originals whose test duplicates are ranked worst, the hardest on top.

    Args:
        table: Columns `original` (Id), `mean_rank`, `mean_probability`, `test_duplicates`.
        titles: Text of each original, by Id.
    """
    if table.empty:
        return _note("Hardest originals", "No duplicate was tested.")
    ordered = table.sort_values(
        ["mean_rank", "mean_probability"], ascending=[False, True], kind="stable"
    )
    texts = titles.reindex(ordered["original"])
    names = [
        str(original) if pd.isna(text) else _shortened(text) for original, text in texts.items()
    ]
    captions = [
        f"{row.mean_probability:.0%} · {row.test_duplicates}" for row in ordered.itertuples()
    ]
    figure, axis = _rows(names, ordered["mean_rank"].to_numpy(), captions)
    perfect = (ordered["mean_rank"] == 1).all()
    axis.set(
        xlabel="mean rank of the original for its test duplicates\n"
        "(beside the bars: its mean probability · test duplicates)",
        title="All originals ranked first; the least sure ones" if perfect else "Hardest originals",
    )
    axis.xaxis.set_major_locator(_whole())
    return figure


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE else line[: _TITLE - 1].rstrip() + "…"


def feature_gains(gains: pd.Series, count: int = 20) -> Figure:
    """Bars: what each feature contributes to the trees, the most useful on top.

    Args:
        gains: Total gain of each feature, by its name.
        count: Features to show.
    """
    if gains.empty:
        return _note("Features of the ranker", "The ranker has no features.")
    shares = gains.sort_values(ascending=False, kind="stable") / max(gains.sum(), 1e-12)
    shown = shares.head(count)
    names = [str(name) for name in shown.index]
    figure, axis = _rows(names, shown.to_numpy(), [f"{share:.1%}" for share in shown])
    title = f"Features of the ranker: {len(shown)} of {len(gains)}, {shown.sum():.1%} of the gain"
    axis.set(xlabel="share of the total gain", title=title)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def top_probabilities(probabilities: Values) -> Figure:
    """Histogram: how probable the first match of each new question is, shape (q,)."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axis = figure.subplots()
    axis.hist(probabilities, _TWENTIETHS, color=_INK, rwidth=0.96)
    questions = "question" if len(probabilities) == 1 else "questions"
    title = f"Probability of the first match: {len(probabilities):,} new {questions}"
    axis.set(ylabel="questions", title=title)
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_locator(_whole())
    _probabilities(axis)
    return figure


def _rows(names: Sequence[str], values: Values, captions: Sequence[str]) -> tuple[Figure, Any]:
    """Horizontal bars, the first on top, each with its name before and its caption behind it."""
    figure = Figure(figsize=(9, 1.4 + 0.28 * len(names)), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh(np.arange(len(names)), values, 0.7, color=_INK)
    axis.bar_label(bars, captions, padding=4, fontsize=8)
    # Questions about jQuery have dollar signs that are no formulas.
    axis.set_yticks(np.arange(len(names)), names, fontsize=9, parse_math=False)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.margins(x=0.15)
    axis.set_xlim(left=0)
    _clean(axis)
    return figure, axis


def _note(title: str, text: str) -> Figure:
    figure = Figure(figsize=(8, 2), layout="constrained")
    axis = figure.subplots()
    axis.axis("off")
    axis.set_title(title)
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes)
    return figure


def _probabilities(axis: Any) -> None:
    axis.set(xlabel="probability", xlim=(0, 1))
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    _clean(axis)


def _whole() -> MaxNLocator:
    return MaxNLocator(integer=True, min_n_ticks=1)


def _words(name: str) -> str:
    return name.replace("gain_at_", "gain@").replace("_", " ")


def _clean(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
