"""Read the results of a study: its trials, the best parameters and their importance."""

from __future__ import annotations

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from quartet.faq.ranker import RankerParameters
from quartet.faq.search_space import SearchSpace, Tunable

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
"""States of trials that count towards the requested number."""

START = "start"
"""User attribute of the trial with the default parameters."""


def get_finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the completed and pruned trials."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def count_ended(study: optuna.Study) -> int:
    """Return the number of trials that finished or raised an error, without lost ones."""
    trials = study.get_trials(deepcopy=False)
    return sum(trial.state in FINISHED or "failure" in trial.user_attrs for trial in trials)


def find_best_trial(study: optuna.Study) -> FrozenTrial:
    """Return the completed trial with the best metric; the first one of a tie.

    Raises:
        ValueError: No trial completed.
    """
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        failures = [trial.user_attrs.get("failure") for trial in trials]
        last = next(filter(None, reversed(failures)), "unknown")
        pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
        raise ValueError(
            f"none of the study's {len(trials)} trials completed, {pruned} were pruned; last "
            f"failure: {last}; widen the search space or set pruner=none"
        )
    return max(complete, key=lambda trial: (get_metric(trial), -trial.number))


def get_metric(trial: FrozenTrial) -> float:
    """Return the metric of a completed trial."""
    assert trial.value is not None  # Optuna sets the value of each completed trial
    return trial.value


def choose_trial(study: optuna.Study, questions: int, caution: float) -> FrozenTrial:
    """Return the best trial, or that with the default parameters unless the best is clearly better.

    The best of many trials is partly the luckiest: on few questions its lead may be within
    the standard error of the metric and does not generalise. This follows the
    one-standard-error rule of Breiman et al., "Classification and regression trees" (1984).

    Args:
        study: A study with at least one completed trial.
        questions: Number of questions that the metric is a mean over.
        caution: Standard errors by which the best trial must lead.

    Raises:
        ValueError: No trial completed.
    """
    best = find_best_trial(study)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    start = next((trial for trial in complete if START in trial.user_attrs), best)
    metric = get_metric(best)
    # An upper bound: the largest deviation of values between 0 and 1 with this mean.
    error = np.sqrt(metric * (1 - metric) / questions)
    return best if metric - get_metric(start) > caution * error else start


def describe_choice(study: optuna.Study, chosen: FrozenTrial) -> str:
    """Return why `choose_trial` chose a trial."""
    best = find_best_trial(study)
    if chosen.number == best.number:
        return f"trial {chosen.number} chosen: the best of {len(study.trials)}"
    return (
        f"trial {chosen.number}, the default parameters, kept: the lead of trial {best.number} is "
        "within chance"
    )


def make_parameters(trial: FrozenTrial, space: SearchSpace) -> RankerParameters:
    """Return the parameters of a finished trial, with its best number of trees."""
    fixed = {name: value for name, value in space if not isinstance(value, Tunable)}
    return RankerParameters(
        **{**fixed, **trial.params, "trees": max(1, trial.user_attrs["best_trees"])}
    )


def make_trials_table(study: optuna.Study) -> pd.DataFrame:
    """Return a table of all finished and failed trials, in order.

    Returns:
        Columns `trial`, `state`, `metric` (the best value, if any), `best_trees`, `seconds`,
        `worker`, and one for each searched parameter.
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


def compute_importance(study: optuna.Study, seed: int) -> pd.DataFrame:
    """Return the share of the metric's variance that each searched parameter explains (fANOVA).

    Returns:
        Columns `parameter` and `importance`, the largest first; no rows if fewer than four
        trials completed, or all have the same metric.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {trial.value for trial in complete}
    importance: dict[str, float] = {}
    if len(complete) >= 4 and len(values) > 1:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        importance = optuna.importance.get_param_importances(study, evaluator=evaluator)
    rows = sorted(importance.items(), key=lambda row: -row[1])
    return pd.DataFrame(rows, columns=["parameter", "importance"])
