"""Hold originals out to learn which questions have no answer among those that are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from quartet.faq.answerable import fit_answerability
from quartet.faq.matcher import Matcher, fit_uncalibrated
from quartet.faq.settings import Refit
from quartet.faq.tables import indices_of

_MIN_QUESTIONS = 10
"""Least number of questions to fit a ranking on, and of each of the two kinds to learn from."""
_ENOUGH_QUESTIONS = 2000
"""Questions of each kind that suffice; a large FAQ has them after two folds."""


def learn_answerability(
    matcher: Matcher,
    originals: pd.DataFrame,
    duplicates: pd.DataFrame,
    answers: pd.DataFrame,
    refit: Refit,
) -> Matcher:
    """Return a copy of a matcher that estimates whether a question has an answer.

    In each fold, everything that is fitted is fitted again, without a part of the originals, their
    duplicates and answers, and without a part of the other duplicates. The former are questions
    without an answer, the latter questions with one; both are new to vocabulary, index and trees.

    Args:
        matcher: A matcher fitted on the tables, with trees.
        originals: Columns `Id`, `AnswerId`, `text`.
        duplicates: Columns `AnswerId`, `text`, in the order of their originals.
        answers: Column `text`, one row an original, in their order.
        refit: Folds, seed, and the recall that the threshold is chosen for.

    Returns:
        The matcher unchanged if there are too few originals or duplicates to learn from.
    """
    folds = min(refit.folds, len(originals) // 2)
    if folds < 2:
        return matcher
    generator = np.random.default_rng(refit.seed)
    fold_of_original = generator.permutation(np.arange(len(originals)) % folds)
    fold_of_duplicate = generator.permutation(np.arange(len(duplicates)) % folds)
    fold_of_own_original = fold_of_original[indices_of(originals, duplicates)]
    parts: list[tuple[NDArray[np.float64], bool, int]] = []
    for fold in tqdm(
        range(folds), desc="holding originals out", unit="fold", disable=None, delay=2
    ):
        without_original = fold_of_own_original == fold
        with_original = ~without_original & (fold_of_duplicate == fold)
        known = ~without_original & ~with_original
        kept = fold_of_original != fold
        if known.sum() < _MIN_QUESTIONS:
            return matcher
        refitted, _ = fit_uncalibrated(
            originals[kept],
            duplicates[known],
            answers[kept],
            matcher.parameters,
            matcher.features,
            refit.seed,
            matcher.cleaning,
            matcher.encoder.sentences,
        )
        for has_original, rows in ((True, with_original), (False, without_original)):
            if rows.any():
                evidence = refitted.compute_evidence(list(duplicates.loc[rows, "text"]))
                parts.append((evidence, has_original, fold))
        if fold > 0 and min(_count(parts, True), _count(parts, False)) >= _ENOUGH_QUESTIONS:
            break
    evidences, kinds, fold_numbers = zip(*parts, strict=True)
    sizes = [len(evidence) for evidence in evidences]
    labels, fold_of = np.repeat(kinds, sizes), np.repeat(fold_numbers, sizes)
    for others in (labels[fold_of != fold] for fold in np.unique(fold_of)):
        if min(others.sum(), (~others).sum()) < _MIN_QUESTIONS:
            return matcher
    evidence = np.concatenate(evidences)
    answerability = fit_answerability(evidence, labels, fold_of, refit.answerable_recall)
    return replace(matcher, answerability=answerability)


def _count(parts: list[tuple[NDArray[np.float64], bool, int]], has_original: bool) -> int:
    return sum(len(evidence) for evidence, kind, _ in parts if kind is has_original)
