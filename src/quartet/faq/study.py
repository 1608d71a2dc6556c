"""The search for the ranker's parameters: what a trial does, and how a study goes on."""

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
from quartet.faq.search_space import Choices, SearchSpace
from quartet.faq.settings import StudySettings
from quartet.faq.text import word_view
from quartet.faq.trials import retry_history

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from multiprocessing import synchronize

    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

MEASURE_EVERY = 4
"""Trees between two measurements: after each tree they would take a quarter of a trial's time."""


@dataclass(frozen=True)
class Objective:
    """What a trial does."""

    train: TrainingPairs
    tune: LabelledQuestions
    space: SearchSpace
    settings: StudySettings

    def __call__(self, trial: Trial) -> float:
        """The best metric that the trial's trees reached.

        Raises:
            optuna.TrialPruned: The pruner gave the trial up.
        """
        parameters = suggest(trial, self.space)
        validation, evaluate = make_validation_set(self.tune, parameters, self.settings.metric)
        best = _Best(trial, self.settings, parameters.trees, evaluate)
        train_booster(
            self.train,
            parameters,
            self.settings.seed,
            threads=1,
            callbacks=[best],
            validation=validation,
        )
        best.note()
        return best.metric


class _Best:
    """LightGBM calls this after each tree: measures after some, keeps the best, stops, reports.

    What counts is the mean of the last measurements: the best of many single
    values would mostly be luck.
    """

    order = 30
    before_iteration = False

    def __init__(
        self, trial: Trial, settings: StudySettings, trees: int, evaluate: Callable[..., Any]
    ) -> None:
        span = min(settings.report_every, trees)
        self._every = min(MEASURE_EVERY, span)
        self._last: deque[float] = deque(maxlen=span // self._every)
        self._evaluate = evaluate
        self.metric = -np.inf
        self.trees = 0
        self._trial = trial
        self._settings = settings
        self._start = time.perf_counter()

    def __call__(self, environment: Any) -> None:
        trees = environment.iteration + 1
        if trees % self._every == 0:
            self._last.append(environment.model.eval_valid(self._evaluate)[0][2])
            mean = sum(self._last) / len(self._last)
            if len(self._last) == self._last.maxlen and mean > self.metric:
                self.metric, self.trees = mean, trees
        if trees % self._settings.report_every == 0:
            self._trial.report(self.metric, trees)
            if self._trial.should_prune():
                self.note()
                raise optuna.TrialPruned(f"after {trees} trees")
        # Nothing is known before the first full mean, so patience begins there.
        if self.trees and trees - self.trees >= self._settings.patience:
            raise lgb.callback.EarlyStopException(self.trees - 1, [])

    def note(self) -> None:
        """Keep with the trial what later steps and reports need."""
        self._trial.set_user_attr("best_trees", self.trees)
        self._trial.set_user_attr("seconds", time.perf_counter() - self._start)


def check_views(space: SearchSpace, names: Sequence[str]) -> None:
    """Make sure that every word view a trial may choose has features.

    Raises:
        ValueError: One has none.
    """
    wanted = space.word_ngrams
    for ngrams in wanted.choices if isinstance(wanted, Choices) else (wanted,):
        if not any(name.startswith(f"{word_view(int(ngrams))}.") for name in names):
            made = sorted({int(n[4 : n.index(".")]) for n in names if n.startswith("word")})
            raise ValueError(
                f"the search space has word_ngrams {ngrams}, but features were made for {made} "
                "only; add it to faq_features.word_ngrams, or take it out of the space"
            )


def suggest(trial: Trial, space: SearchSpace) -> RankerParameters:
    """A trial's parameters: searched where the space has a range, fixed elsewhere."""
    values = {
        name: tunable.suggest(trial, name) if hasattr(tunable, "suggest") else tunable
        for name, tunable in space
    }
    return RankerParameters(**values)


def start_parameters(space: SearchSpace) -> dict[str, Any]:
    """The defaults of `RankerParameters` as far as they lie in the space: the first trial."""
    defaults = RankerParameters().model_dump()
    start = {}
    for name, tunable in space:
        if not hasattr(tunable, "suggest"):
            continue
        ends, value = tunable.ends(), defaults[name]
        inside = value in ends if hasattr(tunable, "choices") else ends[0] <= value <= ends[-1]
        if inside:
            start[name] = value
    return start


def trial_index(study: optuna.Study, trial: Trial) -> int:
    """Return a trial's place in the study as it would be had none been retried.

    No two trials share an index, however many workers there are, but a retry has that of the
    first attempt.
    """
    trials = {other.number: other for other in study.get_trials(deepcopy=False)}
    number = min([trial.number, *retry_history(trials[trial.number])])
    return number - sum(bool(retry_history(trials[earlier])) for earlier in range(number))


def make_sampler(settings: StudySettings, index: int) -> BaseSampler:
    """Return the sampler of the trial with this index.

    Each trial has a seed of its own, so that a study that was stopped and
    resumed tries what an uninterrupted one would have tried.
    """
    seed = int(np.random.default_rng([settings.seed, index]).integers(2**31))
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # Keeps away from what others try at the moment, be they processes, ranks or another run.
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def make_pruner(settings: StudySettings, space: SearchSpace) -> BasePruner:
    """What decides whether a trial is given up early."""
    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    if settings.pruner == "hyperband":
        trees = space.trees.ends()[-1] if hasattr(space.trees, "ends") else space.trees
        return optuna.pruners.HyperbandPruner(
            min_resource=settings.report_every, max_resource=int(trees)
        )
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2 * settings.report_every)


def run_trials(
    study: optuna.Study,
    objective: Objective,
    budget: threading.Semaphore | synchronize.Semaphore,
    worker: str,
    callbacks: Sequence[Callable[[optuna.Study, FrozenTrial], None]] = (),
) -> None:
    """Run one trial after the other until the budget is spent.

    A trial that fails is logged and kept in the study with its reason; the next
    one goes on.

    Args:
        study: The study, shared with other workers or not.
        objective: What a trial does.
        budget: Trials left to start; workers may share it. Optuna's `MaxTrialsCallback` only
            looks at the trials of others after its own, so several workers run too many.
        worker: Who runs the trials, noted in each.
        callbacks: Optuna's, called after each trial.
    """

    def run(trial: Trial) -> float:
        trial.set_user_attr("worker", worker)
        # Only now has the trial its number, which no other has, however many begin at once.
        # Optuna has drawn nothing yet: it does when the objective asks for the first value.
        study.sampler = make_sampler(objective.settings, trial_index(study, trial))
        try:
            return objective(trial)
        except optuna.TrialPruned:
            raise
        except Exception as error:
            trial.set_user_attr("failure", f"{type(error).__name__}: {error}")
            raise

    def stop_at_budget(study: optuna.Study, _: FrozenTrial) -> None:
        if not budget.acquire(False):
            study.stop()

    if budget.acquire(False):
        study.optimize(run, catch=(Exception,), callbacks=[*callbacks, stop_at_budget])
