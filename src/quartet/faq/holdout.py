"""Hold originals out to learn which questions have no answer among those that are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from quartet.faq.answerable import fit_answerability
from quartet.faq.matcher import Matcher, fit_ranking, indices_of
from quartet.faq.settings import Refit

_MIN_QUESTIONS = 10
"""Questions to fit a ranking on, and of each kind to learn from, below which nothing is learned."""
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
    is_without = fold_of_original[indices_of(originals, duplicates)]
    parts: list[tuple[NDArray[np.float64], bool, int]] = []
    for fold in tqdm(
        range(folds), desc="holding originals out", unit="fold", disable=None, delay=2
    ):
        without = is_without == fold
        new = ~without & (fold_of_duplicate == fold)
        kept = fold_of_original != fold
        if np.sum(~without & ~new) < _MIN_QUESTIONS:
            return matcher
        ranking = fit_ranking(
            originals[kept],
            duplicates[~without & ~new],
            answers[kept],
            matcher.parameters,
            matcher.features,
            refit.seed,
            matcher.encoder.sentences,
        )
        for kind, rows in ((True, new), (False, without)):
            if rows.any():
                part = ranking.compute_evidence(list(duplicates.loc[rows, "text"]))
                parts.append((part, kind, fold))
        if fold > 0 and min(_count(parts, True), _count(parts, False)) >= _ENOUGH_QUESTIONS:
            break
    evidence = np.concatenate([part for part, *_ in parts])
    has_original = np.concatenate([np.full(len(part), kind) for part, kind, _ in parts])
    fold_of = np.concatenate([np.full(len(part), fold) for part, _, fold in parts])
    for others in (has_original[fold_of != fold] for fold in np.unique(fold_of)):
        if min(others.sum(), (~others).sum()) < _MIN_QUESTIONS:
            return matcher
    answerability = fit_answerability(evidence, has_original, fold_of, refit.answerable_recall)
    return replace(matcher, answerability=answerability)


def _count(parts: list[tuple[NDArray[np.float64], bool, int]], has_original: bool) -> int:
    return sum(len(part) for part, kind, _ in parts if kind is has_original)
