"""Rank a question's candidates with gradient-boosted trees and calibrate their scores."""

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

from quartet.faq.evaluation import compute_metric, ranks_of_right
from quartet.faq.pairs import UNRANKED, LabelledQuestions, TrainingPairs
from quartet.faq.settings import TextFeatures
from quartet.faq.similarity import make_monotone_constraints
from quartet.faq.text import CHARACTERS, SENTENCES, word_view

Values = NDArray[np.float32]


class RankerParameters(BaseModel):
    """Hyperparameters that a trial chooses; the defaults work well on StackFAQ."""

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
    """Return the indices of the features that a ranker with this word view uses."""
    views = {word_view(word_ngrams), CHARACTERS, SENTENCES, "all"}
    return np.array([index for index, name in enumerate(names) if name.partition(".")[0] in views])


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
        pairs: Training pairs, from which the negatives are chosen.
        parameters: The ranker's parameters.
        seed: Seed of bagging and of feature sampling.
        rows: Shape (p,): mask of the pairs to use; all by default.
        callbacks: LightGBM callbacks, called after each tree.
        validation: Validation set for callbacks; see `make_validation_set`.
        threads: Threads of LightGBM, which do not change the result.
    """
    chosen = pairs.choose(parameters.negatives, parameters.hard_share)
    data = make_training_set(pairs, parameters, chosen if rows is None else chosen & rows)
    return lgb.train(
        _make_options(pairs.names, parameters, seed, threads),
        data,
        num_boost_round=parameters.trees,
        valid_sets=[validation] if validation else None,
        callbacks=list(callbacks),
    )


@contextmanager
def show_tree_progress(trees: int, desc: str) -> Iterator[Callable[[Any], None]]:
    """Show a progress bar; yield the LightGBM callback that updates it after each tree."""
    with tqdm(total=trees, desc=desc, unit="tree", disable=None, delay=2) as bar:

        def update_progress(_: Any) -> None:
            bar.update()

        yield update_progress


def make_training_set(
    pairs: TrainingPairs, parameters: RankerParameters, chosen: NDArray[np.bool_]
) -> lgb.Dataset:
    """Return the chosen pairs as a LightGBM dataset with weights and groups."""
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


def _make_options(
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
        # All else equal, a more similar candidate must not get a lower score.
        "monotone_constraints": make_monotone_constraints([names[column] for column in columns]),
        "metric": "None",
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,  # LightGBM recommends this with `deterministic`
        "num_threads": threads,
        "verbosity": -1,
    }


def score(booster: lgb.Booster, features: Values, columns: NDArray[np.int64]) -> NDArray[Any]:
    """Return raw scores of candidates, shape (q, c), from features of shape (q, c, f).

    Args:
        booster: The fitted trees.
        features: Shape (q, c, f).
        columns: Indices of the features that the booster uses; see `feature_columns`.
    """
    flat = features[:, :, columns].reshape(-1, len(columns))
    scores = np.asarray(booster.predict(flat, raw_score=True, num_threads=1))
    return scores.reshape(features.shape[:2])


_ANSWER_SHARE = 0.3
"""Weight of the answer's similarity: without duplicates on StackFAQ, gain@1 is 0.75 with 0.2 to
0.4, 0.73 without answers, and 0.63 for the cosine of words alone."""


def score_untuned(
    features: Values, names: Sequence[str], settings: TextFeatures
) -> NDArray[np.float64]:
    """Return similarities from 0 to 1 of questions and candidates, shape (q, c).

    The weighted mean of the cosine to the answer and of the higher cosine to the candidate's
    question and known duplicates, of words, character n-grams and, if there are any, sentences.

    Args:
        features: Shape (q, c, f).
        names: Names of the f features, of which one word view.
        settings: Weights of character n-grams and of sentences.
    """
    (word,) = {name.partition(".")[0] for name in names} - {CHARACTERS, SENTENCES, "all"}
    columns = {name: features[:, :, index] for index, name in enumerate(names)}

    def combine_views(name: str) -> NDArray[Any]:
        similarity = columns[f"{word}.{name}"]
        for view, share in (
            (CHARACTERS, settings.character_share),
            (SENTENCES, settings.sentence_share),
        ):
            if f"{view}.{name}" in columns:  # answers have no view of characters
                similarity = (1 - share) * similarity + share * columns[f"{view}.{name}"]
        return similarity

    texts = np.maximum(combine_views("question"), combine_views("nearest"))
    scores = (1 - _ANSWER_SHARE) * texts + _ANSWER_SHARE * combine_views("answer")
    return np.clip(scores, 0, 1).astype(np.float64)


def make_validation_set(
    questions: LabelledQuestions, parameters: RankerParameters, metric: str
) -> tuple[lgb.Dataset, Callable[..., tuple[str, float, bool]]]:
    """Return a LightGBM validation set and its metric.

    Args:
        questions: Questions with candidates, whose originals are known.
        parameters: The ranker's parameters.
        metric: Name of the metric, as in `evaluation.compute_metric`.

    Returns:
        The `validation` argument of `train_booster`, and a function for `Booster.eval_valid`.
    """
    columns = feature_columns(questions.names, parameters.word_ngrams)
    shape = questions.candidates.shape
    flat = questions.features[:, :, columns].reshape(-1, len(columns))
    group = np.full(shape[0], shape[1]) if parameters.objective == "lambdarank" else None
    data = lgb.Dataset(flat, questions.right.ravel(), group=group)
    right, originals = questions.right, int(questions.originals[0])

    def evaluate(scores: NDArray[Any], _: lgb.Dataset) -> tuple[str, float, bool]:
        ranks = ranks_of_right(scores.reshape(shape), right, originals)
        return metric, compute_metric(ranks, metric), True

    return data, evaluate


@dataclass(frozen=True)
class Calibration:
    """Maps a raw score s to the probability 1 / (1 + exp(-(slope s + offset))), as Platt (1999)."""

    slope: float
    offset: float

    def probabilities(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probabilities of raw scores of any shape."""
        values: NDArray[np.float64] = expit(self.slope * scores + self.offset)
        return values


def calibrate(
    pairs: TrainingPairs, parameters: RankerParameters, folds: int, seed: int
) -> Calibration:
    """Fit the calibration on cross-validated scores of right and of retrieved originals.

    Args:
        pairs: Training pairs.
        parameters: The ranker's parameters.
        folds: Folds of the questions; each is scored by trees fitted on the others.
        seed: Seed of the folds and of the trees.
    """
    generator = np.random.default_rng(seed)
    questions = int(pairs.question.max()) + 1
    fold_of = generator.permutation(np.arange(questions) % folds)[pairs.question]
    columns = feature_columns(pairs.names, parameters.word_ngrams)
    is_candidate = pairs.right | (pairs.hardness < UNRANKED)
    scores = np.zeros(len(pairs.right))
    for fold in tqdm(
        range(folds), desc="calibrating the ranker", unit="fold", disable=None, delay=2
    ):
        held_out = (fold_of == fold) & is_candidate
        if not held_out.any():
            continue
        booster = train_booster(pairs, parameters, seed, rows=fold_of != fold)
        scores[held_out] = booster.predict(
            pairs.features[np.ix_(held_out, columns)], raw_score=True, num_threads=1
        )
    model = LogisticRegression(C=np.inf, max_iter=1000)
    model.fit(scores[is_candidate, None], pairs.right[is_candidate])
    return Calibration(float(model.coef_[0, 0]), float(model.intercept_[0]))
