"""Search for the ranker's hyperparameters: the objective of a trial, and the run of a study."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial

from quartet.faq.pairs import LabelledQuestions, TrainingPairs
from quartet.faq.ranker import RankerParameters, make_validation_set, train_booster
from quartet.faq.search_space import Choices, SearchSpace, Tunable
from quartet.faq.settings import StudySettings
from quartet.faq.text import word_view

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from multiprocessing import synchronize

    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

EVALUATE_EVERY = 4
"""Trees between evaluations; after each tree they would take a quarter of a trial's time."""


@dataclass(frozen=True)
class Objective:
    """Objective of the study, called with each trial.

    Attributes:
        train: Pairs that the trees are fitted on.
        tune: Questions that the metric is computed of.
        space: Parameters that a trial may choose.
        settings: Metric, seed, and when to stop a trial early.
    """

    train: TrainingPairs
    tune: LabelledQuestions
    space: SearchSpace
    settings: StudySettings

    def __call__(self, trial: Trial) -> float:
        """Fit the trees and return their best metric.

        Raises:
            optuna.TrialPruned: The pruner stopped the trial.
        """
        parameters = suggest_parameters(trial, self.space)
        validation, evaluate = make_validation_set(self.tune, parameters, self.settings.metric)
        monitor = _TrialMonitor(trial, self.settings, parameters.trees, evaluate)
        train_booster(
            self.train,
            parameters,
            self.settings.seed,
            threads=1,
            callbacks=[monitor],
            validation=validation,
        )
        monitor.save_attributes()
        return monitor.best_metric


class _TrialMonitor:
    """LightGBM callback that tracks the best metric, reports to the pruner and stops early.

    The metric is a mean over the last evaluations, as the best of many single values would
    mostly be luck.
    """

    order = 30  # after LightGBM's own callbacks, as its early stopping
    before_iteration = False

    def __init__(
        self, trial: Trial, settings: StudySettings, trees: int, evaluate: Callable[..., Any]
    ) -> None:
        span = min(settings.report_every, trees)
        self._every = min(EVALUATE_EVERY, span)
        self._last: deque[float] = deque(maxlen=span // self._every)
        self._evaluate = evaluate
        self.best_metric = -np.inf
        self.best_trees = 0
        self._trial = trial
        self._settings = settings
        self._start = time.perf_counter()

    def __call__(self, environment: Any) -> None:
        trees = environment.iteration + 1
        if trees % self._every == 0:
            self._last.append(environment.model.eval_valid(self._evaluate)[0][2])
            mean = sum(self._last) / len(self._last)
            if len(self._last) == self._last.maxlen and mean > self.best_metric:
                self.best_metric, self.best_trees = mean, trees
        if trees % self._settings.report_every == 0:
            self._trial.report(self.best_metric, trees)
            if self._trial.should_prune():
                self.save_attributes()
                raise optuna.TrialPruned(f"after {trees} trees")
        # There is no metric before the first full mean, so patience begins there.
        if self.best_trees and trees - self.best_trees >= self._settings.patience:
            raise lgb.callback.EarlyStopException(self.best_trees - 1, [])

    def save_attributes(self) -> None:
        """Save the best number of trees and the duration as attributes of the trial."""
        self._trial.set_user_attr("best_trees", self.best_trees)
        self._trial.set_user_attr("seconds", time.perf_counter() - self._start)


def check_views(space: SearchSpace, names: Sequence[str]) -> None:
    """Check that there are features of every word view that a trial may choose.

    Raises:
        ValueError: There are no features of a view.
    """
    known = [ngrams for ngrams in range(1, 5) if f"{word_view(ngrams)}.question" in names]
    tunable = space.word_ngrams
    for ngrams in tunable.choices if isinstance(tunable, Choices) else (tunable,):
        if ngrams not in known:
            raise ValueError(
                f"the search space has word_ngrams {ngrams}, but there are only features for "
                f"{known}; add it to faq_features.word_ngrams or remove it from the search space"
            )


def suggest_parameters(trial: Trial, space: SearchSpace) -> RankerParameters:
    """Return a trial's parameters: suggested for ranges and choices, fixed otherwise."""
    values = {
        name: tunable.suggest(trial, name) if isinstance(tunable, Tunable) else tunable
        for name, tunable in space
    }
    return RankerParameters(**values)


def make_start_parameters(space: SearchSpace) -> dict[str, Any]:
    """Return the defaults of `RankerParameters` that lie in the space, for the first trial."""
    defaults = RankerParameters().model_dump()
    return {
        name: defaults[name]
        for name, tunable in space
        if isinstance(tunable, Tunable) and tunable.contains(defaults[name])
    }


def find_trial_index(study: optuna.Study, trial: Trial) -> int:
    """Return the number that the trial would have if no trial had been retried.

    A retry has the index of the first attempt. All other indices are unique, also with
    several workers.
    """
    list_attempts = optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history
    trials = {other.number: other for other in study.get_trials(deepcopy=False)}
    first = min([trial.number, *list_attempts(trials[trial.number])])
    return first - sum(bool(list_attempts(trials[earlier])) for earlier in range(first))


def make_sampler(settings: StudySettings, index: int) -> BaseSampler:
    """Return the sampler of the trial with this index.

    Each trial has its own seed, so that a resumed study samples the same parameters as an
    uninterrupted one.
    """
    seed = int(np.random.default_rng([settings.seed, index]).integers(2**31))
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # `constant_liar` keeps away from the parameters of trials that run in parallel.
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def make_pruner(settings: StudySettings, space: SearchSpace) -> BasePruner:
    """Return the pruner, which decides whether to stop a trial early."""
    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    if settings.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=settings.report_every, max_resource=space.max_trees
        )
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2 * settings.report_every)


class _TrialInterrupt(BaseException):
    """Replaces KeyboardInterrupt, on which Optuna would record the trial as failed."""


def run_trials(
    study: optuna.Study,
    objective: Objective,
    budget: threading.Semaphore | synchronize.Semaphore,
    worker: str,
    callbacks: Sequence[Callable[[optuna.Study, FrozenTrial], None]] = (),
) -> None:
    """Run trials one after another until the budget is spent.

    A trial that raises an error is kept in the study with the error; the next one is run. One that
    is interrupted stays in the study as running, so that it is retried like that of a lost worker.

    Args:
        study: The study, which workers may share.
        objective: The objective of a trial.
        budget: Number of trials left to start, which workers may share. With Optuna's
            `MaxTrialsCallback`, several workers would run too many trials.
        worker: Name of the worker, saved with each trial.
        callbacks: Optuna callbacks, called after each trial.
    """

    def run(trial: Trial) -> float:
        trial.set_user_attr("worker", worker)
        # The number of a trial is known only now. Optuna samples nothing before the objective
        # suggests its first parameter.
        study.sampler = make_sampler(objective.settings, find_trial_index(study, trial))
        try:
            return objective(trial)
        except KeyboardInterrupt as error:
            raise _TrialInterrupt from error
        except optuna.TrialPruned:
            raise
        except Exception as error:
            trial.set_user_attr("failure", f"{type(error).__name__}: {error}")
            raise

    def stop_at_budget(study: optuna.Study, _: FrozenTrial) -> None:
        if not budget.acquire(False):
            study.stop()

    if budget.acquire(False):
        try:
            study.optimize(run, catch=(Exception,), callbacks=[*callbacks, stop_at_budget])
        except _TrialInterrupt as error:
            raise KeyboardInterrupt from error
