"""Outputs of nodes for a FAQ with too few duplicates to tune or to test on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader

from quartet import faq

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as InteractiveFigure
else:
    pd = lazy_loader.load("pandas")
    Figure = InteractiveFigure = Any


_TOO_FEW = "There are too few duplicates; see the run's warning."


def plot_missing(title: str) -> Figure:
    """Plot a message in place of a figure."""
    return faq.drawing.plot_message(title, _TOO_FEW)


def plot_missing_interactive(title: str) -> InteractiveFigure:
    """Plot a message in place of an interactive figure."""
    return faq.interactive_figures.plot_message(title, _TOO_FEW)


def make_study_outputs(
    metric: str,
) -> tuple[pd.DataFrame, dict[str, Any], pd.DataFrame, Figure, Figure, Figure, InteractiveFigure]:
    """Return what `tune_ranker` returns, without trials and chosen parameters."""
    trials = pd.DataFrame(columns=["trial", "state", "metric", "best_trees", "seconds", "worker"])
    importance = pd.DataFrame(columns=["parameter", "importance"])
    titles = (f"Search for the best {metric}", "Importance of the parameters", "Completed trials")
    history, bars, coordinates = map(plot_missing, titles)
    interactive = plot_missing_interactive(titles[0])
    return trials, {}, importance, history, bars, coordinates, interactive


def make_comparison_outputs(
    test_results: pd.DataFrame, hardest: int
) -> tuple[pd.DataFrame, pd.DataFrame, Figure, Figure, InteractiveFigure]:
    """Return what `compare_with_baselines` returns, without test duplicates."""
    gains = pd.DataFrame(columns=["method", "k", "gain", "low_95", "high_95"])
    table = faq.evaluation.hardest_originals(test_results, hardest)
    table["question"] = None
    figures = plot_missing("Gains"), plot_missing("Hardest originals")
    return gains, table, *figures, plot_missing_interactive("Gains")


def make_answerable_outputs() -> tuple[pd.DataFrame, pd.DataFrame, Figure, dict[str, float]]:
    """Return what `test_ranker` returns of held-out questions, without any."""
    thresholds = pd.DataFrame(columns=["threshold", "answered", "false_positives", "is_chosen"])
    reliability = pd.DataFrame(columns=["probability", "share", "pairs"])
    return thresholds, reliability, plot_missing("Questions without an answer"), {}
