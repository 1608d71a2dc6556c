"""Gradient-boosted trees that order a question's candidates, and calibrated probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from quartet.faq.evaluation import metric_of, ranks_of_right
from quartet.faq.pairs import LabelledQuestions, TrainingPairs
from quartet.faq.similarity import rising_features
from quartet.faq.text import CHARACTERS, word_view

Values = NDArray[np.float32]


class RankerParameters(BaseModel):
    """What one trial chooses; the defaults are a good start on StackFAQ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word_ngrams: int = 2
    negatives: int = 25
    hard_share: float = 1.0
    weighting: Literal["none", "balanced"] = "none"
    objective: Literal["binary", "lambdarank"] = "binary"
    trees: int = 200
    num_leaves: int = 7
    min_child_samples: int = 20
    learning_rate: float = 0.05
    feature_fraction: float = 0.5
    bagging_fraction: float = 0.8
    l2: float = 1.0


def feature_columns(names: Sequence[str], word_ngrams: int) -> NDArray[np.int64]:
    """Which features a ranker with this word view looks at."""
    views = {word_view(word_ngrams), CHARACTERS, "all"}
    return np.array([row for row, name in enumerate(names) if name.partition(".")[0] in views])


def train_booster(
    pairs: TrainingPairs,
    parameters: RankerParameters,
    seed: int,
    rows: NDArray[np.bool_] | None = None,
    callbacks: Sequence[Callable[[Any], None]] = (),
    validation: lgb.Dataset | None = None,
    threads: int = 2,
) -> lgb.Booster:
    """Fit the trees.

    Args:
        pairs: To learn from; a trial's choice among the wrong ones is made here.
        parameters: The trial's.
        seed: Of bagging and of the choice of features.
        rows: Only these pairs, shape (p,), where not all.
        callbacks: LightGBM's, called after each tree.
        validation: A set that callbacks may measure the trees on, see `follow`.
        threads: Of LightGBM. Results do not depend on it.
    """
    chosen = pairs.choose(parameters.negatives, parameters.hard_share)
    data = training_set(pairs, parameters, chosen if rows is None else chosen & rows)
    return lgb.train(
        _options(pairs.names, parameters, seed, threads),
        data,
        num_boost_round=parameters.trees,
        valid_sets=[validation] if validation else None,
        callbacks=list(callbacks),
    )


@contextmanager
def trees_shown(trees: int, desc: str) -> Iterator[Callable[[Any], None]]:
    """What LightGBM is to call after each tree, for a progress bar."""
    with tqdm(total=trees, desc=desc, unit="tree", disable=None, delay=2) as bar:

        def grown(_: Any) -> None:
            bar.update()

        yield grown


def training_set(
    pairs: TrainingPairs, parameters: RankerParameters, chosen: NDArray[np.bool_]
) -> lgb.Dataset:
    """The chosen pairs as LightGBM wants them."""
    columns = feature_columns(pairs.names, parameters.word_ngrams)
    right = pairs.right[chosen]
    weight = None
    if parameters.weighting == "balanced":
        share = right.mean()
        weight = np.where(right, 0.5 / share, 0.5 / (1 - share))
    group = None
    if parameters.objective == "lambdarank":
        group = np.unique(pairs.question[chosen], return_counts=True)[1]
    return lgb.Dataset(pairs.features[np.ix_(chosen, columns)], right, weight=weight, group=group)


def _options(
    names: Sequence[str], parameters: RankerParameters, seed: int, threads: int
) -> dict[str, Any]:
    columns = feature_columns(names, parameters.word_ngrams)
    return {
        "objective": parameters.objective,
        "num_leaves": parameters.num_leaves,
        "min_child_samples": parameters.min_child_samples,
        "learning_rate": parameters.learning_rate,
        "feature_fraction": parameters.feature_fraction,
        "bagging_fraction": parameters.bagging_fraction,
        "bagging_freq": 1,
        "max_bin": 63,  # as good as the default of 255 here, and an eighth faster
        "lambda_l2": parameters.l2,
        # A candidate that is more similar in any respect, all else equal, is never less likely.
        "monotone_constraints": rising_features([names[column] for column in columns]),
        "metric": "None",
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,  # as LightGBM asks for, with `deterministic`
        "num_threads": threads,
        "verbosity": -1,
    }


def score(booster: lgb.Booster, features: Values, columns: NDArray[np.int64]) -> NDArray[Any]:
    """Raw scores of candidates, shape (q, c), from features of shape (q, c, f)."""
    flat = features[:, :, columns].reshape(-1, len(columns))
    scores = np.asarray(booster.predict(flat, raw_score=True, num_threads=1))
    return scores.reshape(features.shape[:2])


def follow(
    validation: LabelledQuestions, parameters: RankerParameters, metric: str
) -> tuple[lgb.Dataset, Callable[..., tuple[str, float, bool]]]:
    """Judged questions as `train_booster` takes them, and their metric for `Booster.eval_valid`."""
    columns = feature_columns(validation.names, parameters.word_ngrams)
    shape = validation.candidates.shape
    flat = validation.features[:, :, columns].reshape(-1, len(columns))
    group = np.full(shape[0], shape[1]) if parameters.objective == "lambdarank" else None
    data = lgb.Dataset(flat, validation.right.ravel(), group=group)
    right, originals = validation.right, int(validation.originals[0])

    def evaluate(scores: NDArray[Any], _: lgb.Dataset) -> tuple[str, float, bool]:
        ranks = ranks_of_right(scores.reshape(shape), right, originals)
        return metric, metric_of(ranks, metric), True

    return data, evaluate


@dataclass(frozen=True)
class Calibration:
    """Probability of a raw score s: 1 / (1 + exp(-(slope s + offset))), after Platt (1999)."""

    slope: float
    offset: float

    def probabilities(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """Of scores of any shape."""
        values: NDArray[np.float64] = expit(self.slope * scores + self.offset)
        return values


def calibrate(
    pairs: TrainingPairs, parameters: RankerParameters, folds: int, seed: int
) -> Calibration:
    """Fit the calibration on scores of questions that were left out.

    The questions are cut into `folds` parts, each scored by trees that were
    fitted on the others. All retrieved candidates count, as when matching.
    """
    generator = np.random.default_rng(seed)
    questions = int(pairs.question.max()) + 1
    fold_of = generator.permutation(np.arange(questions) % folds)[pairs.question]
    columns = feature_columns(pairs.names, parameters.word_ngrams)
    seen = pairs.right | (pairs.hardness < np.iinfo(np.int32).max)
    scores = np.zeros(len(pairs.right))
    for fold in tqdm(
        range(folds), desc="calibrating the ranker", unit="fold", disable=None, delay=2
    ):
        left_out = (fold_of == fold) & seen
        if not left_out.any():
            continue
        booster = train_booster(pairs, parameters, seed, rows=fold_of != fold)
        scores[left_out] = booster.predict(
            pairs.features[np.ix_(left_out, columns)], raw_score=True, num_threads=1
        )
    fit = LogisticRegression(C=np.inf, max_iter=1000)
    fit.fit(scores[seen, None], pairs.right[seen])
    return Calibration(float(fit.coef_[0, 0]), float(fit.intercept_[0]))
