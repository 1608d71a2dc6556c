"""What a study has found: which trials ended, which of them to take, and what mattered."""

from __future__ import annotations

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from quartet.faq.ranker import RankerParameters
from quartet.faq.search_space import SearchSpace

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
"""A pruned trial has told what it could, so it counts as well."""

START = "start"
"""User attribute of the trial with the parameters to start from."""

retry_history = optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history
"""Numbers of a trial's earlier attempts, the first one first."""


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have told what they could."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def count_ended(study: optuna.Study) -> int:
    """Return how many trials ran to their end, a failure of their own included."""
    trials = study.get_trials(deepcopy=False)
    return sum(trial.state in FINISHED or "failure" in trial.user_attrs for trial in trials)


def best_trial(study: optuna.Study) -> FrozenTrial:
    """The completed trial with the best metric; of equals the first.

    Raises:
        ValueError: No trial completed.
    """
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        failures = [trial.user_attrs.get("failure") for trial in trials]
        last = next(filter(None, reversed(failures)), "none of them says why")
        pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
        raise ValueError(
            f"none of the study's {len(trials)} trials completed, {pruned} were pruned; the last "
            f"failure: {last}. Widen the search space, or set pruner=none"
        )
    return max(complete, key=lambda trial: (metric_reached(trial), -trial.number))


def metric_reached(trial: FrozenTrial) -> float:
    """A completed trial's metric."""
    assert trial.value is not None  # Optuna completes no trial without a value
    return trial.value


def choose_trial(study: optuna.Study, questions: int, caution: float) -> FrozenTrial:
    """The best trial, or the start where the best is not clearly better.

    The start is the trial with the parameters to start from. The best of many
    is partly the luckiest: on few questions its lead is within the metric's
    standard error, and on new questions it does no better. After the
    one-standard-error rule of Breiman et al., "Classification and regression
    trees" (1984).

    Args:
        study: With at least one completed trial.
        questions: That the metric is a mean over.
        caution: Standard errors by which the best must lead.

    Raises:
        ValueError: No trial completed.
    """
    best = best_trial(study)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    start = next((trial for trial in complete if START in trial.user_attrs), best)
    metric = metric_reached(best)
    # The largest deviation that values between 0 and 1 with this mean can have.
    error = np.sqrt(metric * (1 - metric) / questions)
    return best if metric - metric_reached(start) > caution * error else start


def chosen_parameters(trial: FrozenTrial, space: SearchSpace) -> RankerParameters:
    """A finished trial's parameters, with the trees that were best."""
    fixed = {name: value for name, value in space if not hasattr(value, "suggest")}
    return RankerParameters(
        **{**fixed, **trial.params, "trees": max(1, trial.user_attrs["best_trees"])}
    )


def trials_table(study: optuna.Study) -> pd.DataFrame:
    """One row a finished or failed trial, in their order.

    Returns:
        Columns `trial`, `state`, `metric` (best reached, missing if none was),
        `best_trees`, `seconds`, `worker`, and one a searched parameter.
    """
    rows = []
    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished():
            continue
        rows.append(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "metric": trial.value,
                "best_trees": trial.user_attrs.get("best_trees"),
                "seconds": trial.user_attrs.get("seconds"),
                "worker": trial.user_attrs.get("worker"),
                **trial.params,
            }
        )
    return pd.DataFrame(rows)


def parameter_importance(study: optuna.Study, seed: int) -> pd.DataFrame:
    """Share of the metric's variation that each searched parameter explains, by fANOVA.

    Returns:
        Columns `parameter` and `importance`, the largest first; no rows where fewer than four
        trials completed, or all of them alike.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {trial.value for trial in complete}
    found: dict[str, float] = {}
    if len(complete) >= 4 and len(values) > 1:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    rows = sorted(found.items(), key=lambda row: -row[1])
    return pd.DataFrame(rows, columns=["parameter", "importance"])
