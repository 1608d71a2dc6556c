"""A study must improve the metric, be reproducible, and resume."""

import threading

import lightgbm as lgb
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from quartet.faq import study as studies
from quartet.faq import trials
from quartet.faq.pairs import make_labelled_questions, make_training_pairs
from quartet.faq.search_space import SearchSpace
from quartet.faq.settings import StudySettings
from quartet.faq.study import Objective

optuna.logging.set_verbosity(optuna.logging.ERROR)
SPACE = SearchSpace(trees=30, negatives={"low": 2, "high": 6})
SETTINGS = StudySettings(seed=3, trials=6, report_every=5, patience=15)


@pytest.fixture(scope="module")
def objective(comparer, encoder, faq_tables):
    pairs = make_training_pairs(comparer, 4, np.random.default_rng(0))
    texts = ["my " + text for text in faq_tables[1]["text"][::3]]
    numbers = comparer.index.original_of[::3]
    labelled = make_labelled_questions(comparer, encoder.encode(texts), numbers)
    return Objective(pairs, labelled, SPACE, SETTINGS)


def create_study(objective, storage=None):
    study = optuna.create_study(
        study_name="s",
        storage=storage,
        direction="maximize",
        load_if_exists=True,
        pruner=studies.make_pruner(objective.settings, objective.space),
    )
    if not study.trials:
        start = studies.make_start_parameters(objective.space)
        study.enqueue_trial(start, user_attrs={trials.START: True})
    return study


def run(study, objective, count):
    studies.run_trials(study, objective, threading.Semaphore(count), "me")
    return study


def list_trials(study):
    return [(trial.params, trial.value) for trial in study.trials]


def test_a_study_finds_good_parameters_and_lists_all_trials(objective):
    study = run(create_study(objective), objective, 6)
    table = trials.make_trials_table(study)
    assert table["trial"].tolist() == list(range(6))
    assert set(table["state"]) <= {"complete", "pruned"}
    assert table["metric"].max() > 0.8
    assert (table["seconds"] > 0).all()
    assert table["negatives"].between(2, 6).all()
    assert table["best_trees"].between(studies.EVALUATE_EVERY, 30).all()


def test_the_first_trial_has_the_start_parameters(objective):
    study = run(create_study(objective), objective, 1)
    start = studies.make_start_parameters(SPACE)
    assert {name: study.trials[0].params[name] for name in start} == start


def test_a_resumed_study_tries_the_same_as_an_uninterrupted_one(objective, tmp_path):
    complete = run(create_study(objective), objective, 6)
    storage = f"sqlite:///{tmp_path}/study.db"
    run(create_study(objective, storage), objective, 2)
    resumed = run(create_study(objective, storage), objective, 4)
    assert list_trials(resumed) == list_trials(complete)


def test_a_killed_trial_is_retried_without_changing_the_study(objective):
    complete = run(create_study(objective), objective, 6)
    retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
    for done in (0, 2):
        study = run(create_study(objective), objective, done)
        for suggests in (False, True):  # the second kills the retry of the first
            trial = study.ask()
            if suggests:
                study.sampler = studies.make_sampler(SETTINGS, done)
                studies.suggest_parameters(trial, SPACE)
            study.tell(trial, state=TrialState.FAIL)
            retry(study, study.trials[-1])
        run(study, objective, 6 - done)
        kept = [trial for trial in study.trials if trial.state in trials.FINISHED]
        assert [(trial.params, trial.value) for trial in kept] == list_trials(complete)
        assert trials.START in kept[0].user_attrs


class RandomChoice:
    """An objective that returns a suggested value, from so many that none repeats by chance."""

    def __init__(self, settings):
        self.settings = settings

    def __call__(self, trial):
        return trial.suggest_float("share", 0, 1)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_workers_that_start_together_try_different_parameters(monkeypatch, tmp_path, sampler):
    random_choice = RandomChoice(SETTINGS.model_copy(update={"sampler": sampler}))
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/study.db")
    ours = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    theirs = optuna.load_study(study_name="s", storage=storage)
    ask = optuna.Study.ask

    def ask_just_after_another(study):
        monkeypatch.setattr(optuna.Study, "ask", ask)
        run(theirs, random_choice, 1)
        return ask(study)

    for _ in range(8):
        monkeypatch.setattr(optuna.Study, "ask", ask_just_after_another)
        run(ours, random_choice, 1)
    assert len({trial.params["share"] for trial in ours.trials}) == len(ours.trials) == 16


def test_parameters_of_a_running_trial_are_not_tried_in_parallel():
    def run_first_trials():
        return run(optuna.create_study(direction="maximize"), RandomChoice(SETTINGS), 15)

    class Parallel(RandomChoice):
        def __call__(self, trial):
            study.enqueue_trial({"share": alone})
            super().__call__(study.ask())
            return super().__call__(trial)

    alone = run(run_first_trials(), RandomChoice(SETTINGS), 1).trials[15].params["share"]
    study = run_first_trials()
    parallel = run(study, Parallel(SETTINGS), 1).trials[15].params["share"]
    assert study.trials[16].params["share"] == alone
    assert abs(parallel - alone) > 1e-3


@pytest.mark.parametrize(
    ("sampler", "pruner"), [("tpe", "hyperband"), ("random", "median"), ("tpe", "none")]
)
def test_every_sampler_and_pruner_works(objective, sampler, pruner):
    settings = SETTINGS.model_copy(update={"sampler": sampler, "pruner": pruner})
    varied = Objective(objective.train, objective.tune, SPACE, settings)
    study = run(create_study(varied), varied, 8)
    assert len(trials.get_finished_trials(study)) == 8
    if pruner == "none":
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_a_pruned_trial_records_its_trees_and_metric(objective):
    class AlwaysPrune(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return True

    study = create_study(objective)
    study.pruner = AlwaysPrune()
    run(study, objective, 1)
    (trial,) = study.trials
    assert trial.state == TrialState.PRUNED
    assert trial.user_attrs["best_trees"] == studies.EVALUATE_EVERY
    assert list(trial.intermediate_values) == [5]


def test_a_failed_trial_is_kept_with_its_reason_and_the_next_is_run(objective):
    class Failing:
        settings = SETTINGS

        def __init__(self):
            self.calls = 0

        def __call__(self, trial):
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("out of luck")
            return objective(trial)

    study = run(create_study(objective), Failing(), 3)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.trials[1].user_attrs["failure"] == "RuntimeError: out of luck"
    assert len(trials.get_finished_trials(study)) == 2
    assert trials.make_trials_table(study)["state"].tolist() == ["complete", "fail", "complete"]


def test_the_metric_is_a_mean_over_the_last_trees(objective):
    class Trial:
        def __init__(self):
            self.reports, self.user_attrs = {}, {}

        def report(self, value, step):
            self.reports[step] = value

        def should_prune(self):
            return False

        def set_user_attr(self, name, value):
            self.user_attrs[name] = value

    class Environment:
        def __init__(self, iteration):
            self.iteration = iteration
            self.model = self

        def eval_valid(self, evaluate):
            return [("valid", *evaluate(self.iteration + 1))]

    measured = {4: 0.1, 8: 0.9, 12: 0.2, 16: 0.2, 20: 0.5, 24: 0.6}
    trial = Trial()
    settings = SETTINGS.model_copy(update={"report_every": 8, "patience": 10})
    monitor = studies._TrialMonitor(trial, settings, 30, lambda trees: ("m", measured[trees], True))
    with pytest.raises(lgb.callback.EarlyStopException):
        for tree in range(30):
            monitor(Environment(tree))
    assert monitor.best_trees == 12  # the mean of 0.9 and 0.2
    assert monitor.best_metric == pytest.approx(0.55)
    assert trial.reports == pytest.approx({8: 0.5, 16: 0.55})


def test_a_trial_with_short_patience_has_a_metric(objective):
    settings = SETTINGS.model_copy(update={"patience": 1, "report_every": 20})
    impatient = Objective(objective.train, objective.tune, SPACE, settings)
    (trial,) = run(create_study(impatient), impatient, 1).trials
    assert 0 < trial.value <= 1
    assert trial.user_attrs["best_trees"] >= 20


def test_a_word_view_without_features_is_reported(objective):
    studies.check_views(SPACE, objective.train.names)
    with pytest.raises(
        ValueError, match=r"word_ngrams 4, but there are only features for \[1, 2\]"
    ):
        studies.check_views(SearchSpace(word_ngrams=4), objective.train.names)
