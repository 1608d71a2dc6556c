"""Figures of the MNIST scenario: data, hyperparameter searches and results.

They follow the rules for figures in `CONTRIBUTING.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from quartet.digits.data import Images

_DARK_BLUE = "#1f3a5f"
_RED = "#c8553d"
_LIGHT_BLUE = "#8fa9c4"
_LONGEST_NAME = 20
"""Characters of a class's name at an axis."""


def plot_digit_grid(images: Images, captions: list[str], title: str, columns: int = 10) -> Figure:
    """Plot images, shape (n, 28, 28), in a grid of `columns`, each under its caption."""
    rows = -(-max(len(images), 1) // columns)
    lines = max((caption.count("\n") for caption in captions), default=0) + 1
    figure = Figure(
        figsize=(1.1 * columns, (1.1 + 0.25 * lines) * rows + 0.4), layout="constrained"
    )
    figure.suptitle(title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, image, caption in zip(axes, images, captions, strict=False):
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        axis.set_title(caption, fontsize=9, parse_math=False)
    return figure


def plot_class_counts(
    train: NDArray[np.int64], test: NDArray[np.int64], names: Sequence[str] = ()
) -> Figure:
    """Plot the number of images of each digit, shape (classes,), in both sets as bars.

    Args:
        train: Images of each class in the training set.
        test: Images of each class in the test set.
        names: Names of the classes; their indices by default.
    """
    figure = Figure(figsize=(_scale_side(8, len(train)), 3.5), layout="constrained")
    axis = figure.subplots()
    digits = np.arange(len(train))
    bars = axis.bar(digits - 0.2, train, 0.4, label="training", color=_DARK_BLUE)
    axis.bar_label(bars, fontsize=7)
    bars = axis.bar(digits + 0.2, test, 0.4, label="test", color=_LIGHT_BLUE)
    axis.bar_label(bars, fontsize=7)
    axis.set(xticks=digits, xlabel="digit", ylabel="images", title="Images of each digit")
    if names:
        _name_ticks(axis.xaxis, names, rotation=90)
    axis.legend(loc="upper right", ncols=2)
    axis.margins(y=0.18)
    _hide_spines(axis)
    return figure


def plot_sweep(results: pd.DataFrame, chosen: float) -> Figure:
    """Plot validation accuracy against regularisation strength.

    Args:
        results: Columns `regularisation_strength` and `validation_accuracy`.
        chosen: The strength to mark.
    """
    ordered = results.sort_values("regularisation_strength")
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    axis.plot(
        ordered["regularisation_strength"], ordered["validation_accuracy"], "o-", color=_DARK_BLUE
    )
    best = ordered.loc[ordered["regularisation_strength"] == chosen, "validation_accuracy"]
    axis.plot([chosen], best, "o", ms=14, mfc="none", mew=2, color=_RED, label=f"{chosen:g}")
    axis.set(
        xscale="log",
        xlabel="regularisation strength (scikit-learn's 1/C)",
        ylabel="validation accuracy",
        title="Logistic regression: regularisation sweep",
    )
    _format_accuracies(axis)
    axis.legend(title="chosen")
    axis.grid(alpha=0.3)
    _hide_spines(axis)
    return figure


def plot_training_history(history: pd.DataFrame, trials: pd.DataFrame, chosen: float) -> Figure:
    """Plot loss and learning rate against the epoch, and the search that chose the peak rate.

    The network is trained on all training images, so there is no validation curve of it. Only the
    short trainings of the search were evaluated on validation images, which they did not see.

    Args:
        history: Columns `epoch`, `training_loss` and `learning_rate`.
        trials: Columns `learning_rate`, `validation_accuracy` and `epochs`.
        chosen: The learning rate to mark.
    """
    figure = Figure(figsize=(8, 7), layout="constrained")
    loss, rate, search = figure.subplots(3, 1, height_ratios=(3, 1.5, 2))
    loss.plot(history["epoch"], history["training_loss"], ".-", color=_DARK_BLUE)
    loss.set(
        ylabel="mean training loss (nats)",
        yscale="log",
        title="Convolutional network: loss on augmented training images\n"
        "(trained on all of them, so there is no validation curve)",
    )
    rate.plot(history["epoch"], history["learning_rate"], color=_RED)
    rate.set(xlabel="epoch", ylabel="learning rate\nat the end")
    rate.set_ylim(bottom=0)
    for axis in (loss, rate):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _plot_search(search, trials.sort_values("learning_rate"), chosen)
    for axis in (loss, rate, search):
        axis.grid(alpha=0.3)
        _hide_spines(axis)
    return figure


def _plot_search(axis: Any, trials: pd.DataFrame, chosen: float) -> None:
    """Plot validation accuracy of short trainings against their peak learning rate."""
    rates = trials["learning_rate"].to_numpy()
    axis.plot(rates, trials["validation_accuracy"], "o-", color=_DARK_BLUE)
    best = trials.loc[rates == chosen, "validation_accuracy"]
    axis.plot([chosen], best, "o", ms=14, mfc="none", mew=2, color=_RED, label=f"{chosen:g}")
    epochs = int(trials["epochs"].max())
    axis.set(
        xscale="log",
        xlabel="peak learning rate",
        ylabel="validation\naccuracy",
        title=f"Search: trainings of {epochs} {'epoch' if epochs == 1 else 'epochs'} "
        "without the validation images",
    )
    axis.set_xticks(rates, [f"{each:g}" for each in rates])
    axis.xaxis.minorticks_off()
    axis.margins(0.15)  # room for the ring
    _format_accuracies(axis)
    axis.legend(title="chosen")


def _format_accuracies(axis: Any) -> None:
    """Format the ticks of the y axis as percentages, and omit those above 100 %."""
    low, high = axis.get_ylim()
    axis.set_yticks([tick for tick in axis.get_yticks() if low <= tick <= min(high, 1 + 1e-9)])
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))


def plot_confusion_matrix(
    confusion: NDArray[np.int64], title: str, names: Sequence[str] = ()
) -> Figure:
    """Plot counts, shape (classes, classes): actual digits as rows, predicted digits as columns.

    `names` are those of the classes; their indices by default.
    """
    errors = confusion - np.diag(np.diag(confusion))
    heading = f"{title}: {errors.sum():,} errors in {confusion.sum():,} test images"
    figure, axis = _draw_matrix(errors, heading, names)
    _write_cells(axis, confusion, errors, str)
    return figure


def plot_error_rates(rates: NDArray[np.float64], title: str, names: Sequence[str] = ()) -> Figure:
    """Plot the result of `evaluation.error_rates`, or state that all are 0."""
    heading = f"{title}: errors in percent of the actual digit's test images"
    if not rates.any():
        return _plot_message(heading, "no errors")
    figure, axis = _draw_matrix(rates, heading, names)
    _write_cells(axis, rates, rates, lambda rate: f"{100 * rate:.2g}")
    return figure


def _plot_message(title: str, text: str) -> Figure:
    """Plot only a text, for a figure without data."""
    figure = Figure(figsize=(8, 2), layout="constrained")
    figure.suptitle(title)
    figure.text(0.5, 0.4, text, ha="center", va="center", color="0.4", fontsize=12)
    return figure


def _write_cells(
    axis: Any, values: NDArray[Any], errors: NDArray[Any], write: Callable[[Any], str]
) -> None:
    """Write each value that is not 0 into its cell, white on dark ones, bold on the diagonal."""
    size = 9 if len(values) <= 16 else 6
    for actual, predicted in np.argwhere(values):
        axis.text(
            predicted,
            actual,
            write(values[actual, predicted]),
            ha="center",
            va="center",
            fontsize=size,
            weight="bold" if actual == predicted else "normal",
            color="white" if errors[actual, predicted] > 0.6 * errors.max() > 0 else "black",
        )


def _draw_matrix(values: NDArray[Any], title: str, names: Sequence[str]) -> tuple[Figure, Any]:
    """Plot a matrix in shades of orange; cells of 0 are white."""
    side = _scale_side(8, len(values))
    figure = Figure(figsize=(side, side - 1.5), layout="constrained")
    axis = figure.subplots()
    # Without mistakes all values are 0: `or 1` keeps the colour scale valid.
    shown = np.ma.masked_equal(values, 0)
    axis.imshow(shown, cmap="Oranges", vmin=0, vmax=values.max() or 1)
    digits = np.arange(len(values))
    axis.set(xticks=digits, yticks=digits, xlabel="predicted", ylabel="actual", title=title)
    if names:
        _name_ticks(axis.xaxis, names, rotation=90)
        _name_ticks(axis.yaxis, names, rotation=0)
    return figure, axis


def _scale_side(side: float, classes: int) -> float:
    """Return a side in inches for ten classes, longer for more, up to a readable size."""
    return side * min(max(1.0, classes / 16), 5)


def _name_ticks(axis: Any, names: Sequence[str], rotation: int) -> None:
    """Write the names of classes at the ticks: long ones cut, and short ones not rotated."""
    shown = list(map(shorten_name, names))
    if max(map(len, shown)) <= 2:
        rotation = 0
    axis.set_ticklabels(shown, rotation=rotation, parse_math=False)


def shorten_name(name: str) -> str:
    """Return the name of a class as it is written at an axis."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def plot_worst_mistakes(
    images: Images,
    labels: Sequence[Any] | NDArray[Any],
    predicted: Sequence[Any] | NDArray[Any],
    confidence: NDArray[np.float32],
    title: str,
) -> Figure:
    """Plot misclassified images with label, predicted digit and confidence.

    Args:
        images: Shape (n, 28, 28).
        labels: Actual digits or names of classes, shape (n,).
        predicted: Predicted digits or names, shape (n,).
        confidence: Probability of the predicted digit, shape (n,).
        title: Name of the classifier.
    """
    captions = [
        f"{label} read as {digit}\nconfidence {probability:.0%}"
        for label, digit, probability in zip(labels, predicted, confidence, strict=True)
    ]
    heading = f"{title}: worst mistakes"
    if not len(images):
        return _plot_message(heading, "no mistakes")
    return plot_digit_grid(images, captions, heading, columns=6)


def _hide_spines(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
