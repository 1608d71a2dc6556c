"""Nodes of `mnist_training` that tune and train the convolutional network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
from numpy.typing import NDArray

from quartet import __version__, digits
from quartet.datasets.checkpoint import Checkpoint, CheckpointState, fingerprint
from quartet.digits.data import Digits
from quartet.digits.settings import ConvNetTraining, LearningRateSearch

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
else:
    # Kedro resolves these annotations in a run; lazily, so that listing the pipelines stays fast.
    pd = lazy_loader.load("pandas")
    Figure = Any

Arrays = dict[str, NDArray[Any]]


def search_learning_rate(
    fit_digits: Digits,
    validation_digits: Digits,
    convnet_training: ConvNetTraining,
    learning_rate_search: LearningRateSearch,
    search_checkpoint: Checkpoint,
) -> pd.DataFrame:
    """Evaluate learning rates in short trainings; a resumed search skips finished trials.

    Returns:
        `convnet_trials`: one row per rate, in the order of the settings. `epochs` is the length of
        each training, `seconds` the time it took.
    """
    key = fingerprint(
        __version__, fit_digits, validation_digits, convnet_training, learning_rate_search
    )
    rows = list(search_checkpoint.restore(key).facts.get("rows", []))
    full_epochs = digits.convnet_training.count_epochs(convnet_training, len(fit_digits["labels"]))
    epochs = max(1, round(learning_rate_search.share * full_epochs))
    for rate in learning_rate_search.learning_rates[len(rows) :]:
        network = digits.convnet_training.train(fit_digits, convnet_training, rate, epochs)
        probabilities = digits.convnet.predict_proba(network.weights, validation_digits["images"])
        accuracy = digits.evaluation.accuracy(probabilities, validation_digits["labels"])
        rows.append(
            {
                "learning_rate": rate,
                "validation_accuracy": accuracy.value,
                "validation_log_loss": digits.evaluation.log_loss(
                    probabilities, validation_digits["labels"]
                ),
                "epochs": epochs,
                "seconds": network.seconds,
            }
        )
        search_checkpoint.store(key, CheckpointState(facts={"rows": rows}))
    return pd.DataFrame(rows)


def select_learning_rate(convnet_trials: pd.DataFrame) -> float:
    """Return the learning rate with the best validation accuracy, then the lowest log loss."""
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
    """Train on all training digits; a resumed training skips finished epochs.

    Returns:
        The weights by name, the history (one row per epoch: `epoch`, `training_loss`,
        `learning_rate`, `seconds`), and a figure of history and search.
    """
    rate = select_learning_rate(convnet_trials)
    key = fingerprint(__version__, train_digits, convnet_training, rate)
    state = convnet_checkpoint.restore(key)
    network = digits.convnet_training.train(
        train_digits,
        convnet_training,
        rate,
        resume_from=(state.arrays, state.facts) if state.facts else None,
        on_epoch=lambda arrays, facts: convnet_checkpoint.store(
            key, CheckpointState(arrays, facts)
        ),
    )
    history = pd.DataFrame(network.history)
    figure = digits.figures.plot_training_history(history, convnet_trials, rate)
    return dict(network.weights), history, figure
