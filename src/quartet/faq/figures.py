"""Plot the texts, the quality of the ranking and its probabilities."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray
from scipy.stats import binomtest

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

Counts = NDArray[np.int64]

_PROBABILITY_BINS = [edge / 20 for edge in range(21)]
_MAX_TITLE_LENGTH = 60
"""Characters shown of an original's text."""


def plot_text_lengths(lengths: dict[str, Counts], duplicates: Counts) -> Figure:
    """Plot the lengths of texts and the number of duplicates of each original.

    Args:
        lengths: Characters of each text, by kind: originals, duplicates, answers.
        duplicates: Number of duplicates of each original.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    texts, counts = figure.subplots(1, 2)
    _draw_ranges(texts, {kind: np.maximum(values, 1) for kind, values in lengths.items()})
    texts.set(
        xlabel="characters (point: median; thick: middle half;\nthin: 5th to 95th percentile)",
        title="Length of the texts",
    )
    counts.hist(duplicates, _make_integer_bins(duplicates), color=PRIMARY, rwidth=0.9)
    title = f"Duplicates of each of {len(duplicates):,} originals"
    counts.set(xlabel="duplicates", ylabel="originals", title=title)
    counts.set_ylim(bottom=0)
    low, high = counts.get_xlim()
    counts.set_xlim(min(low, (low + high) / 2 - 3), max(high, (low + high) / 2 + 3))
    for axis in (counts.xaxis, counts.yaxis):
        axis.set_major_locator(make_integer_locator())
    hide_spines(counts)
    return figure


def _draw_ranges(axis: Any, samples: dict[str, Counts]) -> None:
    """Draw median, middle half and 5th to 95th percentile of each sample on a log scale."""
    names = [
        f"{name} ({len(values):,})\nmedian {np.median(values):,.0f}" if len(values) else name
        for name, values in samples.items()
    ]
    for height, values in enumerate(samples.values()):
        if len(values):
            low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95])
            axis.plot([low, high], [height] * 2, color=PRIMARY, lw=1)
            axis.plot([first, third], [height] * 2, color=LIGHT, lw=7, solid_capstyle="butt")
            axis.plot(median, height, "o", color=ACCENT)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(-0.5, len(names) - 0.5)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.invert_yaxis()
    hide_spines(axis)


def _make_integer_bins(counts: Counts, max_bins: int = 40) -> Values:
    """Return edges of bins that contain the same number of integers each."""
    low, high = int(counts.min()), int(counts.max())
    step = -(-(high - low + 1) // max_bins)
    return np.arange(low, high + step + 1, step) - 0.5


def plot_gains(table: pd.DataFrame) -> Figure:
    """Plot gain@k of each method as bars with 95 % intervals.

    Args:
        table: Columns `method`, `k`, `gain`, `low_95`, `high_95`; the first method is the ranker.
    """
    methods, ks = list(table["method"].unique()), np.sort(table["k"].unique())
    colours = [PRIMARY, *COLOUR_MAP(np.linspace(0.6, 0.05, len(methods) - 1))]
    width = 0.8 / len(methods)
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axis = figure.subplots()
    for index, method in enumerate(methods):
        rows = table[table["method"] == method].set_index("k").reindex(ks)
        centres = np.arange(len(ks)) + (index - (len(methods) - 1) / 2) * width
        errors = np.abs(rows[["low_95", "high_95"]].T - rows["gain"]).to_numpy()
        bars = axis.bar(
            centres,
            rows["gain"],
            0.95 * width,
            yerr=errors,
            color=colours[index],
            label=format_name(method),
            error_kw={"ecolor": "0.5", "lw": 1, "capsize": 2},
        )
        if index == 0:
            percents = [f"{100 * gain:.0f}" for gain in rows["gain"]]
            axis.bar_label(bars, percents, label_type="center", color="white", fontsize=9)
    axis.set(
        ylabel="gain@k (whiskers: 95 % intervals)",
        ylim=(0, 1.03),
        title="Right original among the first k",
    )
    axis.set_xticks(np.arange(len(ks)), [f"k = {k}" for k in ks])
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    hide_spines(axis)
    return figure


def plot_calibration(table: pd.DataFrame, title: str) -> Figure:
    """Plot the calibration curve with 95 % intervals above the number of pairs of each point.

    Args:
        table: Columns `probability` (mean predicted), `share` (observed) and `pairs`.
        title: Title of the figure.
    """
    figure = Figure(figsize=(6, 6.5), layout="constrained")
    curve, numbers = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    curve.plot([0, 1], [0, 1], "--", color="0.6", lw=1, label="perfectly calibrated")
    intervals = [
        binomtest(round(share * pairs), pairs).proportion_ci(method="wilson")
        for share, pairs in zip(table["share"], table["pairs"], strict=True)
    ]
    low, high = np.transpose(intervals)
    curve.vlines(table["probability"], low, high, color=LIGHT, lw=2, label="95 % interval")
    sizes = 25 + 45 * np.log10(table["pairs"])
    curve.scatter(table["probability"], table["share"], sizes, color=PRIMARY, zorder=3)
    curve.set(ylabel="observed share of duplicates", ylim=(-0.03, 1.03), title=title)
    curve.yaxis.set_major_formatter(PercentFormatter(1))
    curve.legend(loc="upper left", frameon=False)
    numbers.plot(table["probability"], table["pairs"], "o-", ms=4, lw=1, color=PRIMARY)
    numbers.set(xlabel="predicted probability", ylabel="pairs", xlim=(-0.03, 1.03), yscale="log")
    numbers.set_ylim(bottom=0.5)
    numbers.minorticks_off()
    numbers.xaxis.set_major_formatter(PercentFormatter(1))
    numbers.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    for axis in (curve, numbers):
        axis.grid(alpha=0.3)
        hide_spines(axis)
    return figure


def plot_answerable(thresholds: pd.DataFrame, reliability: pd.DataFrame, auroc: float) -> Figure:
    """Plot what each threshold costs, beside the reliability curve.

    Args:
        thresholds: Columns `threshold`, `answered`, `false_positives` and `is_chosen`.
        reliability: Columns `probability` (mean predicted), `share` (observed) and `pairs`.
        auroc: Area under the ROC curve.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    costs, curve = figure.subplots(1, 2)
    kinds = {"answered": ("with an original", PRIMARY), "false_positives": ("without", ACCENT)}
    for column, (label, colour) in kinds.items():
        costs.plot(thresholds["threshold"], thresholds[column], color=colour, label=label)
    (chosen,) = thresholds.loc[thresholds["is_chosen"], "threshold"]
    costs.axvline(chosen, color="0.6", linestyle="--", lw=1, label=f"threshold {chosen:.0%}")
    costs.set(
        xlabel="threshold of `answerable`",
        ylabel="accepted questions",
        title=f"Questions of held-out originals, AUROC {auroc:.3f}",
    )
    curve.plot([0, 1], [0, 1], "--", color="0.6", lw=1, label="perfectly calibrated")
    curve.plot(reliability["probability"], reliability["share"], "o-", color=PRIMARY)
    curve.set(xlabel="predicted probability of an original", ylabel="observed share")
    curve.set_title("Reliability")
    for axis in (costs, curve):
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axis.xaxis.set_major_formatter(PercentFormatter(1))
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.legend(frameon=False)
        axis.grid(alpha=0.3)
        hide_spines(axis)
    return figure


def plot_score_distributions(right: Values, wrong: Values) -> Figure:
    """Plot histograms of the probabilities of right and wrong candidates.

    Args:
        right: Shape (q,): probability of each question's right original.
        wrong: Shape (q,): probability of each question's best wrong candidate.
    """
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axis = figure.subplots()
    edges = np.array(_PROBABILITY_BINS)
    right_shares, wrong_shares = (
        np.histogram(values, edges)[0] / len(values) for values in (right, wrong)
    )
    bars = axis.bar(edges[:-1] + 0.025, right_shares, 0.048, color=LIGHT, label="right original")
    outline = axis.stairs(wrong_shares, edges, color=ACCENT, lw=2, label="best wrong candidate")
    title = f"Probability of right and wrong originals: {len(right):,} questions"
    axis.set(ylabel="share of questions", title=title)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(handles=[bars, outline], loc="upper center", frameon=False)
    _format_probability_axis(axis)
    return figure


def plot_hardest_originals(table: pd.DataFrame, titles: pd.Series) -> Figure:
    """Plot the originals whose test duplicates are ranked worst, the worst on top.

    Args:
        table: Columns `original` (Id), `mean_rank`, `mean_probability`, `test_duplicates`.
        titles: Text of each original, by Id.
    """
    ordered = table.sort_values(
        ["mean_rank", "mean_probability"], ascending=[False, True], kind="stable"
    )
    texts = titles.reindex(ordered["original"])
    names = [str(original) if pd.isna(text) else _shorten(text) for original, text in texts.items()]
    captions = [
        f"{row.mean_probability:.0%} · {row.test_duplicates}" for row in ordered.itertuples()
    ]
    figure, axis = plot_horizontal_bars(names, ordered["mean_rank"].to_numpy(), captions)
    perfect = (ordered["mean_rank"] == 1).all()
    axis.set(
        xlabel="mean rank of the original for its test duplicates\n"
        "(beside the bars: its mean probability · test duplicates)",
        title="All originals ranked first; least confident ones"
        if perfect
        else "Hardest originals",
    )
    axis.xaxis.set_major_locator(make_integer_locator())
    return figure


def _shorten(text: str) -> str:
    # Title and body are joined by ". ", also after a question mark.
    line = re.sub(r"([?!])\.(?= )", r"\1", " ".join(text.split()))
    return line if len(line) <= _MAX_TITLE_LENGTH else line[: _MAX_TITLE_LENGTH - 1].rstrip() + "…"


def plot_feature_gains(gains: pd.Series, count: int = 20) -> Figure:
    """Plot the total gain of the ranker's features, the largest on top.

    Args:
        gains: Total gain of each feature, by name.
        count: Number of features to show.
    """
    if gains.empty:
        return plot_message("Features of the ranker", "The ranker has no features.")
    shares = gains.sort_values(ascending=False, kind="stable") / max(gains.sum(), 1e-12)
    shown = shares.head(count)
    names = [str(name) for name in shown.index]
    figure, axis = plot_horizontal_bars(
        names, shown.to_numpy(), [f"{share:.1%}" for share in shown]
    )
    title = f"Features of the ranker: {len(shown)} of {len(gains)}, {shown.sum():.1%} of the gain"
    axis.set(xlabel="share of the total gain", title=title)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def plot_top_probabilities(probabilities: Values) -> Figure:
    """Plot a histogram of the first match's probability for each new question, shape (q,)."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axis = figure.subplots()
    axis.hist(probabilities, _PROBABILITY_BINS, color=PRIMARY, rwidth=0.96)
    questions = "question" if len(probabilities) == 1 else "questions"
    title = f"Probability of the first match: {len(probabilities):,} new {questions}"
    axis.set(ylabel="questions", title=title)
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_locator(make_integer_locator())
    _format_probability_axis(axis)
    return figure


def _format_probability_axis(axis: Any) -> None:
    axis.set(xlabel="probability", xlim=(0, 1))
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    hide_spines(axis)
