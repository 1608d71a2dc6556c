"""Indexed questions must be compared as if they were new, or the label leaks into features."""

import numpy as np
import pytest

from faq.conftest import FEATURES
from quartet.faq.corpus_index import index_tables
from quartet.faq.similarity import Comparer, feature_names, make_monotone_constraints

NAMES = feature_names(["word1", "word2"])


def get_feature(compared, name):
    return compared.features[:, :, NAMES.index(name)]


@pytest.fixture(scope="module")
def questions(index):
    return {view: texts[: index.duplicates] for view, texts in index.texts.items()}


def test_features_are_the_named_similarities(comparer, index, encoder):
    asked = encoder.encode(["how do i close it", "please help with my tab"])
    compared = comparer.compare(asked)
    for view in ("word1", "word2", "char"):
        texts = (asked[view] @ index.texts[view].T).toarray()
        for row in range(2):
            for place, original in enumerate(compared.candidates[row]):
                own = texts[row, : index.duplicates][index.original_of == original]
                found = {
                    "question": texts[row, index.duplicates + original],
                    "nearest": own.max(),
                    "mean": own.mean(),
                    "power_mean": np.mean(own**4) ** 0.25,
                }
                for name, value in found.items():
                    assert get_feature(compared, f"{view}.{name}")[row, place] == pytest.approx(
                        value, abs=1e-5
                    )


def test_an_indexed_question_does_not_retrieve_itself(comparer, index, questions):
    own = np.arange(index.duplicates)
    leaking, correct = comparer.compare(questions), comparer.compare(questions, own)
    right = leaking.candidates == index.original_of[:, None]
    assert (get_feature(leaking, "char.nearest")[right] > 0.999).all()
    right = correct.candidates == index.original_of[:, None]
    assert (get_feature(correct, "char.nearest")[right] < 0.999).all()


def test_an_indexed_question_is_compared_as_if_it_were_new(faq_tables, encoder, index, questions):
    """Features equal those of an index without the text, apart from the machines."""
    originals, duplicates, answers = faq_tables
    out = 7
    rest = duplicates.drop(index=out).sample(frac=1, random_state=0)
    smaller = index_tables(encoder, originals, rest, answers)
    views = ["word1"]
    full, reduced = (Comparer.fit(corpus, views, FEATURES) for corpus in (index, smaller))
    one = {view: vectors[out : out + 1] for view, vectors in questions.items()}
    indexed, new = full.compare(one, np.array([out])), reduced.compare(one)
    assert indexed.candidates.tolist() == new.candidates.tolist()
    names = feature_names(views)
    plain = [
        place
        for place, name in enumerate(names)
        if "margin" not in name and name != "all.known_duplicates"
    ]
    np.testing.assert_allclose(indexed.features[:, :, plain], new.features[:, :, plain], atol=1e-5)


def test_relative_features_are_relative_to_the_retrieved(comparer, encoder):
    asked = encoder.encode(["how do i close it"])
    plain = comparer.compare(asked)
    values, gaps = get_feature(plain, "char.mean")[0], get_feature(plain, "char.mean_gap")[0]
    for place, value in enumerate(values):
        assert gaps[place] == pytest.approx(value - np.delete(values, place).max(), abs=1e-6)
    scores = get_feature(plain, "char.mean_score")[0]
    assert scores.mean() == pytest.approx(0, abs=1e-3)
    more = comparer.compare(asked, extra=np.array([[0, 1, 2]]))
    np.testing.assert_array_equal(more.features[:, : comparer.candidates], plain.features)


def test_questions_are_compared_the_same_alone_and_in_a_batch(comparer, encoder, faq_tables):
    texts = list(faq_tables[1]["text"]) * 2  # more than one block
    together = comparer.compare(encoder.encode(texts))
    for row in (0, 63, 64, 143):
        alone = comparer.compare(encoder.encode([texts[row]]))
        assert together.candidates[row].tolist() == alone.candidates[0].tolist()
        np.testing.assert_allclose(together.features[row], alone.features[0], atol=1e-5)


def test_a_question_of_unknown_words_has_candidates(comparer, encoder):
    compared = comparer.compare(encoder.encode(["ωψχ"]))
    assert compared.candidates.shape == (1, comparer.candidates)
    assert np.isfinite(compared.features).all()


def test_only_similarities_are_constrained_to_raise_the_score():
    rising = dict(zip(NAMES, make_monotone_constraints(NAMES), strict=True))
    assert rising["char.nearest_gap"] == 1
    assert rising["all.known_duplicates"] == 0
