"""The baselines must be implemented correctly, or beating them means nothing."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from quartet.faq import baselines
from quartet.faq.settings import ReferenceRecipe
from quartet.faq.tables import indices_of


@pytest.fixture(scope="module")
def corpus(faq_tables):
    originals, duplicates, _ = faq_tables
    texts = list(originals["text"]), list(duplicates["text"])
    return *texts, indices_of(originals, duplicates)


def test_cosine_uses_tf_idf_vectors(corpus):
    originals, known, _ = corpus
    scores = baselines.score_by_cosine([originals[3]], originals, known)
    assert scores.shape == (1, 12)
    assert scores[0, 3] == pytest.approx(1)
    assert scores[0].argmax() == 3


def test_the_nearest_duplicate_equals_brute_force(corpus):
    originals, known, original_of = corpus
    questions = [text + " now" for text in known[::7]]
    scores = baselines.score_by_nearest_duplicate(questions, originals, known, original_of)
    vectoriser = TfidfVectorizer().fit([*known, *originals])
    vectors = vectoriser.transform(questions)
    for original in range(12):
        own = [text for text, number in zip(known, original_of, strict=True) if number == original]
        texts = vectoriser.transform([*own, originals[original]])
        np.testing.assert_allclose(scores[:, original], (vectors @ texts.T).toarray().max(axis=1))


def test_the_recipe_pairs_each_duplicate_with_its_original_and_different_others(corpus):
    original_of = corpus[2]
    rows, columns = baselines.make_reference_pairs(original_of, 12, 5, np.random.default_rng(0))
    pairs = columns.reshape(len(original_of), 5)
    assert (pairs[:, 0] == original_of).all()
    assert (pairs[:, 1:] != original_of[:, None]).all()
    assert all(len(set(row)) == 5 for row in pairs.tolist())
    assert rows.tolist() == np.repeat(np.arange(len(original_of)), 5).tolist()


def test_the_recipe_beats_chance_and_is_reproducible(corpus):
    originals, known, original_of = corpus
    recipe = ReferenceRecipe(seed=1, trees=60, match=6)
    first = baselines.score_by_reference_recipe(known[:20], originals, known, original_of, recipe)
    again = baselines.score_by_reference_recipe(known[:20], originals, known, original_of, recipe)
    np.testing.assert_array_equal(first, again)
    ranks = (first >= first[np.arange(20), original_of[:20]][:, None]).sum(axis=1)
    assert ranks.mean() < 4  # 6.5 by chance
