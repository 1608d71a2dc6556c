"""Rank originals with simple methods that the ranker must beat.

There are two similarity scores and the recipe of the reference system. All methods
use the same texts and known duplicates, and all are evaluated on the same test
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

from quartet.faq.ranker import show_tree_progress
from quartet.faq.settings import ReferenceRecipe

Scores = NDArray[np.float64]
"""Shape (q, k): score of each original for each question; higher is better."""
Indices = NDArray[np.int64]
BLOCK_SIZE = 512
"""Questions compared at once, to bound memory."""


def score_by_cosine(
    questions: Sequence[str], originals: Sequence[str], known: Sequence[str]
) -> Scores:
    """Return the cosine similarity of questions and originals in word TF-IDF space.

    Args:
        questions: q texts.
        originals: k texts.
        known: Texts of known duplicates. With the originals, they determine word frequencies.
    """
    vectoriser = TfidfVectorizer().fit([*known, *originals])
    scores: Scores = (vectoriser.transform(questions) @ vectoriser.transform(originals).T).toarray()
    return scores


def score_by_nearest_duplicate(
    questions: Sequence[str],
    originals: Sequence[str],
    known: Sequence[str],
    original_of: Indices,
) -> Scores:
    """Return the highest cosine similarity to an original or one of its known duplicates.

    Args:
        questions: q texts.
        originals: k texts.
        known: n texts of known duplicates, in the order of their originals, at least one of each;
            the caller adds an original's own text if it has none.
        original_of: Shape (n,), ascending: index of each known duplicate's original.
    """
    vectoriser = TfidfVectorizer().fit([*known, *originals])
    vectors, known_vectors = vectoriser.transform(questions), vectoriser.transform(known).T.tocsr()
    starts = np.searchsorted(original_of, np.arange(len(originals)))
    nearest = [
        np.maximum.reduceat((vectors[row : row + BLOCK_SIZE] @ known_vectors).toarray(), starts, 1)
        for row in range(0, vectors.shape[0], BLOCK_SIZE)
    ]
    to_originals = (vectors @ vectoriser.transform(originals).T).toarray()
    return np.maximum(np.concatenate(nearest), to_originals)


def score_by_reference_recipe(
    questions: Sequence[str],
    originals: Sequence[str],
    known: Sequence[str],
    original_of: Indices,
    recipe: ReferenceRecipe,
) -> Scores:
    """Return the scores of the reference system, MLHyperparameterTuning.

    Each known duplicate is paired with its original and with `match` - 1 random other
    originals. Two independent TF-IDF vectorisers encode both texts, and gradient-boosted
    trees with balanced class weights classify the concatenated vectors. As in the
    reference, the vectorisers are fitted on the texts of the pairs, repetitions included.

    Args:
        questions: q texts.
        originals: k texts.
        known: n texts of known duplicates, in the order of their originals.
        original_of: Shape (n,), ascending: index of each known duplicate's original.
        recipe: Hyperparameters and seed.
    """
    generator = np.random.default_rng(recipe.seed)
    rows, columns = make_reference_pairs(original_of, len(originals), recipe.match, generator)
    labels = original_of[rows] == columns
    question_texts = [known[row] for row in rows]
    original_texts = [originals[column] for column in columns]
    question_vectoriser = TfidfVectorizer(ngram_range=(1, recipe.ngrams)).fit(question_texts)
    original_vectoriser = TfidfVectorizer(ngram_range=(1, recipe.ngrams)).fit(original_texts)
    pairs = hstack(
        [
            question_vectoriser.transform(question_texts),
            original_vectoriser.transform(original_texts),
        ]
    ).tocsr()
    model = lgb.LGBMClassifier(
        n_estimators=recipe.trees,
        min_child_samples=recipe.min_child_samples,
        class_weight="balanced",
        random_state=recipe.seed,
        verbose=-1,
        deterministic=True,
        force_row_wise=True,
    )
    with show_tree_progress(recipe.trees, "fitting the reference recipe") as update_progress:
        model.fit(pairs.astype(np.float32), labels, callbacks=[update_progress])
    original_vectors = original_vectoriser.transform(originals)
    scores = np.empty((len(questions), len(originals)))
    vectors = tqdm(
        question_vectoriser.transform(questions),
        total=len(questions),
        desc="scoring with the reference recipe",
        unit="question",
        disable=None,
        delay=2,
    )
    for row, vector in enumerate(vectors):
        repeated = csr_matrix(np.ones((len(originals), 1))) @ vector
        features = hstack([repeated, original_vectors]).astype(np.float32)
        scores[row] = model.booster_.predict(features)
    return scores


def make_reference_pairs(
    original_of: Indices, originals: int, match: int, generator: np.random.Generator
) -> tuple[Indices, Indices]:
    """Pair each known duplicate with its original and with random other originals.

    Args:
        original_of: Shape (n,): index of each known duplicate's original.
        originals: Number k of originals.
        match: Pairs for each duplicate, at most k; the first is the right one.
        generator: Draws the other originals.

    Returns:
        Indices of the duplicate and of the original of each pair.
    """
    negatives = min(match - 1, originals - 1)
    columns = np.empty((len(original_of), negatives + 1), dtype=np.int64)
    columns[:, 0] = original_of
    for row, right in zip(columns, original_of, strict=True):
        drawn = generator.choice(originals - 1, negatives, replace=False)
        row[1:] = drawn + (drawn >= right)
    return np.repeat(np.arange(len(original_of)), negatives + 1), columns.ravel()
