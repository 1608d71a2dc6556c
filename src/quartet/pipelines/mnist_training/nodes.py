"""Nodes of `mnist_training`: the science of `quartet.digits`, dataset by dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
from numpy.typing import NDArray

from quartet import __version__, digits
from quartet.datasets.checkpoint import Checkpoint, State, fingerprint
from quartet.digits.data import Digits, Images, Labels
from quartet.digits.settings import (
    ConvNetTraining,
    Exploration,
    LearningRateSearch,
    RegularisationSweep,
    ValidationSplit,
)

from .release import choose_release

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.registered_model import Champion, ModelRelease
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    Figure = Champion = ModelRelease = Any

Arrays = dict[str, NDArray[Any]]
WORST_MISTAKES = 30
"""Mistakes shown: five rows of six, as many as fit on a page."""


def pair_images_with_labels(
    mnist_train_images: Images,
    mnist_train_labels: Labels,
    mnist_test_images: Images,
    mnist_test_labels: Labels,
) -> tuple[Digits, Digits]:
    """Training and test digits; all four files are checked before anything is written."""
    train = digits.data.pair_digits(mnist_train_images, mnist_train_labels, "training")
    test = digits.data.pair_digits(mnist_test_images, mnist_test_labels, "test")
    digits.data.check_trainable(train)
    return train, test


def count_classes(train_digits: Digits, test_digits: Digits) -> tuple[pd.DataFrame, Figure]:
    """Images of each digit in both sets, as a table and as bars."""
    train, test = digits.data.class_counts(train_digits), digits.data.class_counts(test_digits)
    table = pd.DataFrame({"digit": np.arange(len(train)), "training": train, "test": test})
    return table, digits.figures.class_counts(train, test)


def draw_random_digits(train_digits: Digits, exploration: Exploration) -> Figure:
    """A grid of random training digits with their labels."""
    generator = np.random.default_rng(exploration.seed)
    size = min(exploration.images, len(train_digits["labels"]))
    rows = generator.choice(len(train_digits["labels"]), size, replace=False)
    captions = [str(label) for label in train_digits["labels"][rows]]
    return digits.figures.digit_grid(
        train_digits["images"][rows], captions, f"{size} random training digits"
    )


def split_validation(
    train_digits: Digits, validation_split: ValidationSplit
) -> tuple[Digits, Digits]:
    """Digits to fit on, and digits held back to choose on."""
    generator = np.random.default_rng(validation_split.seed)
    return digits.data.stratified_split(train_digits, validation_split.fraction, generator)


def sweep_regularisation(
    fit_digits: Digits,
    validation_digits: Digits,
    regularisation_sweep: RegularisationSweep,
    sweep_checkpoint: Checkpoint,
) -> tuple[pd.DataFrame, Figure, Arrays]:
    """Validation accuracy of every strength; a stopped sweep keeps its finished fits.

    Also the weights of the best one, which the refit starts from.
    """
    key = fingerprint(__version__, fit_digits, validation_digits, regularisation_sweep)
    restored = sweep_checkpoint.restore(key)
    rows, weights = list(restored.facts.get("rows", [])), dict(restored.arrays)
    done = {row["regularisation_strength"] for row in rows}
    earlier = max((row["seconds"] for row in rows), default=0.0)

    def record(fit: digits.logistic.Fit) -> None:
        shares = digits.logistic.probabilities(fit.weights, validation_digits["images"])
        accuracy = digits.evaluation.accuracy(shares, validation_digits["labels"])
        rows.append(
            {
                "regularisation_strength": fit.strength,
                "validation_accuracy": accuracy.value,
                "passes": fit.passes,
                "seconds": earlier + fit.seconds,
            }
        )
        weights.update({f"{fit.strength:g}.{name}": part for name, part in fit.weights.items()})
        sweep_checkpoint.store(key, State(weights, {"rows": rows}))

    digits.logistic.fit(
        fit_digits,
        [strength for strength in regularisation_sweep.strengths if strength not in done],
        regularisation_sweep.tolerance,
        regularisation_sweep.max_passes,
        record,
    )
    sweep_checkpoint.clear()
    results = pd.DataFrame(rows).sort_values("regularisation_strength", ignore_index=True)
    best = best_strength(results)
    names = ("coefficients", "intercepts")
    return (
        results,
        digits.figures.sweep(results, best),
        {name: weights[f"{best:g}.{name}"] for name in names},
    )


def fit_best_logistic(
    train_digits: Digits,
    sweep_results: pd.DataFrame,
    sweep_weights: Arrays,
    regularisation_sweep: RegularisationSweep,
) -> tuple[Arrays, dict[str, float]]:
    """The best strength fitted on all training digits: weights, and how the fit went."""
    (fit,) = digits.logistic.fit(
        train_digits,
        [best_strength(sweep_results)],
        regularisation_sweep.tolerance,
        regularisation_sweep.max_passes,
        start_from=sweep_weights,
    )
    facts = {
        "regularisation_strength": fit.strength,
        "passes": fit.passes,
        "seconds": fit.seconds,
    }
    return dict(fit.weights), facts


def best_strength(sweep_results: pd.DataFrame) -> float:
    """The most accurate strength on the validation set; the strongest of equals."""
    best = sweep_results["validation_accuracy"] == sweep_results["validation_accuracy"].max()
    return float(sweep_results.loc[best, "regularisation_strength"].max())


def search_learning_rate(
    fit_digits: Digits,
    validation_digits: Digits,
    convnet_training: ConvNetTraining,
    learning_rate_search: LearningRateSearch,
    search_checkpoint: Checkpoint,
) -> pd.DataFrame:
    """Validation accuracy of short trainings; a stopped search keeps its finished trials."""
    key = fingerprint(
        __version__, fit_digits, validation_digits, convnet_training, learning_rate_search
    )
    rows = list(search_checkpoint.restore(key).facts.get("rows", []))
    full_length = digits.convnet.epochs(convnet_training, len(fit_digits["labels"]))
    length = max(1, round(learning_rate_search.share * full_length))
    for rate in learning_rate_search.learning_rates[len(rows) :]:
        network = digits.convnet.train(fit_digits, convnet_training, rate, length)
        shares = digits.convnet.probabilities(network.weights, validation_digits["images"])
        accuracy = digits.evaluation.accuracy(shares, validation_digits["labels"])
        rows.append(
            {
                "learning_rate": rate,
                "validation_accuracy": accuracy.value,
                "validation_log_loss": digits.evaluation.log_loss(
                    shares, validation_digits["labels"]
                ),
                "epochs": length,
                "seconds": network.seconds,
            }
        )
        search_checkpoint.store(key, State(facts={"rows": rows}))
    search_checkpoint.clear()
    return pd.DataFrame(rows)


def best_learning_rate(convnet_trials: pd.DataFrame) -> float:
    """The most accurate rate on the validation set; of equals that of the lowest log loss."""
    ranked = convnet_trials.sort_values(
        ["validation_accuracy", "validation_log_loss"], ascending=[False, True]
    )
    return float(ranked["learning_rate"].iloc[0])


def train_best_convnet(
    train_digits: Digits,
    convnet_trials: pd.DataFrame,
    convnet_training: ConvNetTraining,
    convnet_checkpoint: Checkpoint,
) -> tuple[Arrays, pd.DataFrame, Figure]:
    """The network trained on all training digits; a stopped training keeps its epochs."""
    rate = best_learning_rate(convnet_trials)
    key = fingerprint(__version__, train_digits, convnet_training, rate)
    state = convnet_checkpoint.restore(key)
    network = digits.convnet.train(
        train_digits,
        convnet_training,
        rate,
        resume_from=(state.arrays, state.facts) if state.facts else None,
        on_epoch=lambda arrays, facts: convnet_checkpoint.store(key, State(arrays, facts)),
    )
    convnet_checkpoint.clear()
    history = pd.DataFrame(network.history)
    return dict(network.weights), history, digits.figures.training_history(history)


def predict_with_logistic(logistic_weights: Arrays, test_digits: Digits) -> Arrays:
    """Class probabilities of the logistic regression."""
    return _predict("logistic", logistic_weights, test_digits)


def predict_with_convnet(convnet_weights: Arrays, test_digits: Digits) -> Arrays:
    """Class probabilities of the convolutional network."""
    return _predict("convnet", convnet_weights, test_digits)


def _predict(family: digits.classifier.Family, weights: Arrays, test_digits: Digits) -> Arrays:
    shares = digits.classifier.probabilities(family, weights, test_digits["images"])
    return {"probabilities": shares}


Report = tuple["pd.DataFrame", "Figure", "Figure", "Figure"]


def report_on_logistic(test_digits: Digits, logistic_probabilities: Arrays) -> Report:
    """Per-digit table, confusion matrix, error rates and worst mistakes."""
    return _report("Logistic regression", test_digits, logistic_probabilities["probabilities"])


def report_on_convnet(test_digits: Digits, convnet_probabilities: Arrays) -> Report:
    """Per-digit table, confusion matrix, error rates and worst mistakes."""
    return _report("Convolutional network", test_digits, convnet_probabilities["probabilities"])


def _report(title: str, test_digits: Digits, shares: NDArray[np.float32]) -> Report:
    labels = test_digits["labels"]
    confusion = digits.evaluation.confusion_matrix(shares, labels)
    worst = digits.evaluation.worst_mistakes(shares, labels, WORST_MISTAKES)
    predicted = digits.evaluation.predicted_labels(shares)[worst]
    return (
        digits.evaluation.per_digit_report(shares, labels),
        digits.figures.confusion_matrix(confusion, title),
        digits.figures.error_rates(digits.evaluation.error_rates(confusion), title),
        digits.figures.worst_mistakes(
            test_digits["images"][worst],
            labels[worst],
            predicted,
            shares[worst, predicted],
            title,
        ),
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
    """The scenario's numbers, flat, with units in their names."""
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
        "best_learning_rate": best_learning_rate(convnet_trials),
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
    """The better classifier with the verdict whether it beats the registered version."""
    release = choose_release(
        {"logistic": logistic_weights, "convnet": convnet_weights},
        train_digits,
        test_digits,
        mnist_training_metrics,
        mnist_champion,
        {**regularisation_sweep.model_dump(), **convnet_training.model_dump()},
    )
    return release, {"approved": release.approved, "reason": release.reason, **release.tags}
