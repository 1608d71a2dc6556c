"""Nodes of `mnist_training` that tune and fit the logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
from numpy.typing import NDArray

from quartet import __version__, digits
from quartet.datasets.checkpoint import Checkpoint, CheckpointState, fingerprint
from quartet.digits.data import Digits
from quartet.digits.settings import RegularisationSweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
else:
    # Kedro resolves these annotations in a run; lazily, so that listing the pipelines stays fast.
    pd = lazy_loader.load("pandas")
    Figure = Any

Arrays = dict[str, NDArray[Any]]


def sweep_regularisation(
    fit_digits: Digits,
    validation_digits: Digits,
    regularisation_sweep: RegularisationSweep,
    sweep_checkpoint: Checkpoint,
) -> tuple[pd.DataFrame, Figure, Arrays]:
    """Evaluate every regularisation strength; a resumed sweep skips finished fits.

    Returns:
        The results, their figure, and the weights of the best fit.
    """
    key = fingerprint(__version__, fit_digits, validation_digits, regularisation_sweep)
    state = sweep_checkpoint.restore(key)
    rows, weights = list(state.facts.get("rows", [])), dict(state.arrays)
    done = {row["regularisation_strength"] for row in rows}
    earlier_seconds = max((row["seconds"] for row in rows), default=0.0)

    def record(fit: digits.logistic.Fit) -> None:
        rows.append(_evaluate(fit, validation_digits, earlier_seconds))
        weights.update({f"{fit.strength:g}.{name}": part for name, part in fit.weights.items()})
        sweep_checkpoint.store(key, CheckpointState(weights, {"rows": rows}))

    digits.logistic.fit(
        fit_digits,
        [strength for strength in regularisation_sweep.strengths if strength not in done],
        regularisation_sweep.tolerance,
        regularisation_sweep.max_passes,
        record,
    )
    results = pd.DataFrame(rows).sort_values("regularisation_strength", ignore_index=True)
    best = select_strength(results)
    best_weights = {name: weights[f"{best:g}.{name}"] for name in ("coefficients", "intercepts")}
    return results, digits.figures.plot_sweep(results, best), best_weights


def _evaluate(
    fit: digits.logistic.Fit, validation_digits: Digits, earlier_seconds: float
) -> dict[str, float]:
    """Return a row of the results; `earlier_seconds` were spent before an interruption."""
    probabilities = digits.logistic.predict_proba(fit.weights, validation_digits["images"])
    accuracy = digits.evaluation.accuracy(probabilities, validation_digits["labels"])
    return {
        "regularisation_strength": fit.strength,
        "validation_accuracy": accuracy.value,
        "passes": fit.passes,
        "seconds": earlier_seconds + fit.seconds,
    }


def fit_best_logistic(
    train_digits: Digits,
    sweep_results: pd.DataFrame,
    sweep_weights: Arrays,
    regularisation_sweep: RegularisationSweep,
) -> tuple[Arrays, dict[str, float]]:
    """Fit the best strength on all training digits; return weights and convergence facts."""
    (fit,) = digits.logistic.fit(
        train_digits,
        [select_strength(sweep_results)],
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


def select_strength(sweep_results: pd.DataFrame) -> float:
    """Return the strength with the best validation accuracy; the strongest in a tie."""
    best = sweep_results["validation_accuracy"] == sweep_results["validation_accuracy"].max()
    return float(sweep_results.loc[best, "regularisation_strength"].max())
