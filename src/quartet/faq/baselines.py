"""What the ranker must surpass: two simple similarities, and the reference system's recipe.

All get the same texts, know the same duplicates and are judged on the same test
questions against all originals.
"""

from __future__ import annotations

from collections.abc import Sequence

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from tqdm import tqdm

from quartet.faq.ranker import trees_shown
from quartet.faq.settings import ReferenceRecipe

Scores = NDArray[np.float64]
"""Shape (q, k): of each question for each original, more is better."""
Numbers = NDArray[np.int64]
QUESTIONS_AT_ONCE = 512


def cosine(questions: Sequence[str], originals: Sequence[str], known: Sequence[str]) -> Scores:
    """Cosine of word TF-IDF vectors of each question and each original's question.

    Args:
        questions: q texts.
        originals: k texts.
        known: Texts of known duplicates; word frequencies come from these and the originals.
    """
    vectoriser = TfidfVectorizer().fit([*known, *originals])
    scores: Scores = (vectoriser.transform(questions) @ vectoriser.transform(originals).T).toarray()
    return scores


def nearest_duplicate(
    questions: Sequence[str],
    originals: Sequence[str],
    known: Sequence[str],
    original_of: Numbers,
) -> Scores:
    """Cosine of the nearest of each original's question and known duplicates.

    Args:
        questions: q texts.
        originals: k texts.
        known: n texts, in the order of their originals.
        original_of: Shape (n,), ascending.
    """
    vectoriser = TfidfVectorizer().fit([*known, *originals])
    vectors, texts = vectoriser.transform(questions), vectoriser.transform(known).T.tocsr()
    starts = np.searchsorted(original_of, np.arange(len(originals)))
    nearest = [
        np.maximum.reduceat((vectors[row : row + QUESTIONS_AT_ONCE] @ texts).toarray(), starts, 1)
        for row in range(0, vectors.shape[0], QUESTIONS_AT_ONCE)
    ]
    own = (vectors @ vectoriser.transform(originals).T).toarray()
    return np.maximum(np.concatenate(nearest), own)


def reference_recipe(
    questions: Sequence[str],
    originals: Sequence[str],
    known: Sequence[str],
    original_of: Numbers,
    recipe: ReferenceRecipe,
) -> Scores:
    """The recipe of MLHyperparameterTuning: two independent TF-IDFs, boosted trees on pairs.

    Each known duplicate is paired with its original and with `match` - 1 random
    others; both texts become TF-IDF vectors of their own, side by side, with
    frequencies counted over pairs; classes are weighted to balance. It is
    written as there, features fitted on the repeated texts of pairs included.
    """
    generator = np.random.default_rng(recipe.seed)
    rows, columns = reference_pairs(original_of, len(originals), recipe.match, generator)
    right = original_of[rows] == columns
    asked = [known[row] for row in rows]
    answered = [originals[column] for column in columns]
    of_asked = TfidfVectorizer(ngram_range=(1, recipe.ngrams)).fit(asked)
    of_answered = TfidfVectorizer(ngram_range=(1, recipe.ngrams)).fit(answered)
    pairs = hstack([of_asked.transform(asked), of_answered.transform(answered)]).tocsr()
    model = lgb.LGBMClassifier(
        n_estimators=recipe.trees,
        min_child_samples=recipe.min_child_samples,
        class_weight="balanced",
        random_state=recipe.seed,
        verbose=-1,
        deterministic=True,
        force_row_wise=True,
    )
    with trees_shown(recipe.trees, "fitting the reference recipe") as grown:
        model.fit(pairs.astype(np.float32), right, callbacks=[grown])
    others = of_answered.transform(originals)
    scores = np.empty((len(questions), len(originals)))
    vectors = tqdm(
        of_asked.transform(questions),
        total=len(questions),
        desc="asking the reference recipe",
        unit="question",
        disable=None,
        delay=2,
    )
    for row, vector in enumerate(vectors):
        repeated = csr_matrix(np.ones((len(originals), 1))) @ vector
        scores[row] = model.booster_.predict(hstack([repeated, others]).astype(np.float32))
    return scores


def reference_pairs(
    original_of: Numbers, originals: int, match: int, generator: np.random.Generator
) -> tuple[Numbers, Numbers]:
    """Duplicate and original of each pair: the right one first, then random wrong ones."""
    wrong = min(match - 1, originals - 1)
    columns = np.empty((len(original_of), wrong + 1), dtype=np.int64)
    columns[:, 0] = original_of
    for row, right in zip(columns, original_of, strict=True):
        drawn = generator.choice(originals - 1, wrong, replace=False)
        row[1:] = drawn + (drawn >= right)
    return np.repeat(np.arange(len(original_of)), wrong + 1), columns.ravel()
