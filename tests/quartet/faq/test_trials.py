"""The chosen trial must be the best one beyond luck; a failed study must explain why."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from quartet.faq import trials
from quartet.faq.search_space import SearchSpace

optuna.logging.set_verbosity(optuna.logging.ERROR)


def make_study(values, start=0):
    study = optuna.create_study(direction="maximize")
    for number, value in enumerate(values):
        attributes = {"best_trees": 7}
        if number == start:
            attributes[trials.START] = True
        study.add_trial(
            optuna.trial.create_trial(state=TrialState.COMPLETE, value=value, user_attrs=attributes)
        )
    return study


@pytest.mark.parametrize(
    ("values", "questions", "caution", "chosen"),
    [
        ([0.90, 0.91], 100, 1.0, 0),  # the lead is below the standard error, 0.029
        ([0.90, 0.91], 10_000, 1.0, 1),  # the lead is above it, 0.0029
        ([0.90, 0.91], 100, 0.0, 1),
        ([0.90, 0.90], 100, 0.0, 0),
        ([0.90, 0.99, 0.99], 100, 1.0, 1),
    ],
)
def test_the_start_is_kept_unless_another_is_clearly_better(values, questions, caution, chosen):
    assert trials.choose_trial(make_study(values), questions, caution).number == chosen
    study_without_start = make_study(values, start=None)
    best = values.index(max(values))
    assert trials.choose_trial(study_without_start, questions, caution).number == best


def test_parameters_include_the_best_number_of_trees_and_fixed_values():
    space = SearchSpace(trees=30, objective="lambdarank", negatives={"low": 2, "high": 6})
    trial = optuna.trial.create_trial(
        value=0.9,
        params={"negatives": 5},
        distributions={"negatives": optuna.distributions.IntDistribution(2, 6)},
        user_attrs={"best_trees": 7},
    )
    parameters = trials.make_parameters(trial, space)
    assert (parameters.trees, parameters.negatives, parameters.objective) == (7, 5, "lambdarank")


def test_a_study_without_completed_trial_reports_the_failure():
    study = optuna.create_study(direction="maximize")
    for state, attributes in (
        (TrialState.FAIL, {"failure": "MemoryError: no room"}),
        (TrialState.PRUNED, {}),
    ):
        study.add_trial(optuna.trial.create_trial(state=state, user_attrs=attributes))
    message = r"none of the study's 2 trials completed, 1 were pruned; .*MemoryError: no room"
    with pytest.raises(ValueError, match=message):
        trials.find_best_trial(study)


def test_importance_needs_trials_that_differ():
    few, alike = make_study([0.8, 0.9, 0.7]), make_study([0.9] * 5)
    assert trials.compute_importance(few, 1).empty
    assert trials.compute_importance(alike, 1).empty
    study = optuna.create_study(direction="maximize")
    spread = {"x": optuna.distributions.FloatDistribution(0, 1)}
    for value in np.linspace(0, 1, 12):
        study.add_trial(
            optuna.trial.create_trial(params={"x": value}, distributions=spread, value=value**2)
        )
    table = trials.compute_importance(study, 1)
    assert table["parameter"].tolist() == ["x"]
    assert table["importance"].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("caution", "reason"),
    [
        (1.0, "trial 0, the default parameters, kept: the lead of trial 1 is within chance"),
        (0.0, "trial 1 chosen: the best of 2"),
    ],
)
def test_the_choice_is_explained(caution, reason):
    study = make_study([0.90, 0.91])
    chosen = trials.choose_trial(study, 100, caution)
    assert trials.describe_choice(study, chosen) == reason
