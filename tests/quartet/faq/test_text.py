"""Vectors must equal those of scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from faq.conftest import FEATURES
from quartet.faq.text import CHARACTERS, fit_encoder

TEXTS = ["how do i close a tab", "close the window", "a tab a tab", "ça va? été!", "x"]


@pytest.fixture(scope="module")
def small():
    return fit_encoder(TEXTS, FEATURES, (1, 2))


@given(st.lists(st.text("abotçé ?'<", max_size=30), min_size=1, max_size=5))
def test_character_vectors_equal_those_of_scikit_learn(small, texts):
    clean = [" ".join(text.split()) for text in texts]
    view = small.views[CHARACTERS]
    ours, reference = view.transform(clean), TfidfVectorizer.transform(view, clean)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.toarray(), reference.toarray(), atol=1e-6)


def test_terms_in_too_many_texts_are_ignored():
    settings = FEATURES.model_copy(update={"max_documents": 10})
    texts = [f"common word{number}x" for number in range(11)]
    view = fit_encoder(texts, settings, (1,)).views["word1"]
    assert "common" not in view.vocabulary_
    assert "word3x" in view.vocabulary_


def test_texts_without_words_are_rejected_with_a_reason():
    with pytest.raises(ValueError, match="cannot build text features of 2 texts"):
        fit_encoder(["? !", "."], FEATURES, (1,))
