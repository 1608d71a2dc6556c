"""Nodes of `mnist_training` that explore the data, evaluate the classifiers and release one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
from numpy.typing import NDArray

from quartet import digits
from quartet.datasets.accepted_share import check_accepted_share
from quartet.datasets.checkpoint import Checkpoint
from quartet.digits.data import Digits
from quartet.digits.settings import (
    ConvNetTraining,
    Exploration,
    ImagePreparation,
    RegularisationSweep,
    ValidationSplit,
)

from .convnet import select_learning_rate
from .release import choose_release

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as InteractiveFigure

    from quartet.datasets.registered_model import Champion, ModelRelease
    from quartet.digits.preparation import RawImages, RawLabels
else:
    # Kedro resolves these annotations in a run; lazily, so that listing the pipelines stays fast.
    pd = lazy_loader.load("pandas")
    Figure = InteractiveFigure = Champion = ModelRelease = RawImages = RawLabels = Any

Arrays = dict[str, NDArray[Any]]
WORST_MISTAKES = 30
"""Number of mistakes in the figure: five rows of six fit on a page."""


def pair_images_with_labels(
    mnist_train_images: RawImages,
    mnist_train_labels: RawLabels,
    mnist_test_images: RawImages | None,
    mnist_test_labels: RawLabels | None,
    digit_images: ImagePreparation,
) -> tuple[Digits, Digits]:
    """Return training and test digits; validates all files before any output is saved."""
    preparation = digits.preparation
    train = preparation.RawSet(mnist_train_images, mnist_train_labels, "training")
    test = None
    if mnist_test_images is not None and mnist_test_labels is not None:
        test = preparation.RawSet(mnist_test_images, mnist_test_labels, "test")
    for part in filter(None, (train, test)):
        if isinstance(part.images, list):
            unreadable = sum(picture is None for picture in part.images)
            check_accepted_share(
                f"mnist_{'train' if part is train else 'test'}_images",
                len(part.images) - unreadable,
                {"cannot be read": unreadable},
                "one named above",
                digit_images.min_accepted_share,
                unit="pictures",
            )
    return preparation.prepare_sets(train, test, digit_images)


def count_classes(train_digits: Digits, test_digits: Digits) -> tuple[pd.DataFrame, Figure]:
    """Count the images of each digit in both sets, as a table and a figure."""
    train, test = digits.data.count_classes(train_digits), digits.data.count_classes(test_digits)
    names = _list_names(train_digits)
    table = pd.DataFrame({"digit": names or np.arange(len(train)), "training": train, "test": test})
    return table, digits.figures.plot_class_counts(train, test, names)


def _list_names(digits_set: Digits) -> list[str]:
    """Return the names of classes; none for digits, whose indices are their names."""
    return digits.data.list_classes(digits_set) if "classes" in digits_set else []


def draw_random_digits(train_digits: Digits, exploration: Exploration) -> Figure:
    """Plot random training digits with their labels."""
    generator = np.random.default_rng(exploration.seed)
    size = min(exploration.images, len(train_digits["labels"]))
    rows = generator.choice(len(train_digits["labels"]), size, replace=False)
    names = digits.data.list_classes(train_digits)
    captions = [names[label] for label in train_digits["labels"][rows]]
    return digits.figures.plot_digit_grid(
        train_digits["images"][rows], captions, f"{size} random training digits"
    )


def split_validation(
    train_digits: Digits, validation_split: ValidationSplit
) -> tuple[Digits, Digits]:
    """Split the training digits into digits to fit on and validation digits."""
    generator = np.random.default_rng(validation_split.seed)
    return digits.data.stratified_split(train_digits, validation_split.fraction, generator)


def predict_with_logistic(logistic_weights: Arrays, test_digits: Digits) -> Arrays:
    """Return class probabilities of the logistic regression, shape (n, classes)."""
    return _predict("logistic", logistic_weights, test_digits)


def predict_with_convnet(convnet_weights: Arrays, test_digits: Digits) -> Arrays:
    """Return class probabilities of the convolutional network, shape (n, classes)."""
    return _predict("convnet", convnet_weights, test_digits)


def _predict(family: digits.classifier.Family, weights: Arrays, test_digits: Digits) -> Arrays:
    images = test_digits["images"]
    return {"probabilities": digits.classifier.predict_proba(family, weights, images)}


Report = tuple["pd.DataFrame", "Figure", "Figure", "Figure", "InteractiveFigure"]


def report_on_logistic(test_digits: Digits, logistic_probabilities: Arrays) -> Report:
    """Return the logistic regression's table per digit and four figures."""
    return _report("Logistic regression", test_digits, logistic_probabilities["probabilities"])


def report_on_convnet(test_digits: Digits, convnet_probabilities: Arrays) -> Report:
    """Return the convolutional network's table per digit and four figures."""
    return _report("Convolutional network", test_digits, convnet_probabilities["probabilities"])


def _report(title: str, test_digits: Digits, probabilities: NDArray[np.float32]) -> Report:
    labels = test_digits["labels"]
    confusion = digits.evaluation.confusion_matrix(probabilities, labels)
    worst = digits.evaluation.find_worst_mistakes(probabilities, labels, WORST_MISTAKES)
    predicted = digits.evaluation.predict_labels(probabilities)[worst]
    names, all_names = _list_names(test_digits), np.array(digits.data.list_classes(test_digits))
    return (
        digits.evaluation.per_digit_report(probabilities, labels, names),
        digits.figures.plot_confusion_matrix(confusion, title, names),
        digits.figures.plot_error_rates(digits.evaluation.error_rates(confusion), title, names),
        digits.figures.plot_worst_mistakes(
            test_digits["images"][worst],
            all_names[labels[worst]],
            all_names[predicted],
            probabilities[worst, predicted],
            title,
        ),
        digits.interactive_figures.plot_confusion_matrix(confusion, title, names),
    )


def summarise_training(
    test_digits: Digits,
    logistic_probabilities: Arrays,
    convnet_probabilities: Arrays,
    sweep_results: pd.DataFrame,
    logistic_fit: dict[str, float],
    convnet_trials: pd.DataFrame,
    convnet_history: pd.DataFrame,
) -> dict[str, float]:
    """Return the metrics of the pipeline."""
    labels = test_digits["labels"]
    metrics: dict[str, float] = {"test_images": len(labels)}
    for family, arrays in (
        ("logistic", logistic_probabilities),
        ("convnet", convnet_probabilities),
    ):
        accuracy = digits.evaluation.accuracy(arrays["probabilities"], labels)
        metrics[f"{family}_test_accuracy"] = accuracy.value
        metrics[f"{family}_test_accuracy_low_95"] = accuracy.low
        metrics[f"{family}_test_accuracy_high_95"] = accuracy.high
        metrics[f"{family}_test_log_loss"] = digits.evaluation.log_loss(
            arrays["probabilities"], labels
        )
    return metrics | {
        "best_regularisation_strength": logistic_fit["regularisation_strength"],
        "best_strength_validation_accuracy": float(sweep_results["validation_accuracy"].max()),
        "best_learning_rate": select_learning_rate(convnet_trials),
        "sweep_seconds": float(sweep_results["seconds"].max()) + logistic_fit["seconds"],
        "convnet_search_seconds": float(convnet_trials["seconds"].sum()),
        "convnet_seconds": float(
            convnet_trials["seconds"].sum() + convnet_history["seconds"].sum()
        ),
    }


def release_better_classifier(
    train_digits: Digits,
    test_digits: Digits,
    logistic_weights: Arrays,
    convnet_weights: Arrays,
    mnist_training_metrics: dict[str, float],
    mnist_champion: Champion | None,
    regularisation_sweep: RegularisationSweep,
    convnet_training: ConvNetTraining,
) -> tuple[ModelRelease, dict[str, Any]]:
    """Release the better classifier if it beats the registered version."""
    release = choose_release(
        {"logistic": logistic_weights, "convnet": convnet_weights},
        train_digits,
        test_digits,
        mnist_training_metrics,
        mnist_champion,
        {**regularisation_sweep.model_dump(), **convnet_training.model_dump()},
    )
    return release, {"approved": release.approved, "reason": release.reason, **release.tags}


def clear_checkpoints(
    mnist_release: dict[str, Any],
    sweep_checkpoint: Checkpoint,
    search_checkpoint: Checkpoint,
    convnet_checkpoint: Checkpoint,
) -> None:
    """Delete the checkpoints of the searches and the training.

    Receives the release so that it runs last, when all results are saved.
    """
    for checkpoint in (sweep_checkpoint, search_checkpoint, convnet_checkpoint):
        checkpoint.clear()
