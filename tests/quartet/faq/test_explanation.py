"""The words shown for a match must be those that made it similar."""

import pytest

from faq.conftest import FEATURES
from quartet.faq.explanation import explain_match
from quartet.faq.matcher import fit_matcher, make_untuned_matcher
from quartet.faq.ranker import RankerParameters
from quartet.faq.settings import Cleaning, Refit


@pytest.fixture(scope="module", params=[1, 2])
def matcher(request, faq_tables):
    parameters = RankerParameters(negatives=5, trees=5, word_ngrams=request.param)
    return fit_matcher(*faq_tables, parameters, FEATURES, Refit(seed=1, folds=3), Cleaning())


def test_a_known_text_is_its_own_nearest_by_all_of_its_words(matcher, faq_tables):
    originals, duplicates, _ = faq_tables
    texts = [originals["text"][0], duplicates["text"][3], duplicates["text"][40]]
    for index, text in enumerate(texts):
        found = explain_match(matcher, text, texts, max_words=100)
        assert found.nearest == index
        assert found.similarity == pytest.approx(1, abs=1e-6)
        assert {word for word, _ in found.words} >= set(text.split()) - {"i", "a"}
        assert sum(share for _, share in found.words) == pytest.approx(1, abs=1e-6)


def test_rare_words_count_more_than_common_ones(matcher, faq_tables):
    text = faq_tables[1]["text"][0]
    topic = next(word for word in text.split() if len(word) == 6 and word != "please")
    (first, share), *_ = explain_match(matcher, f"{topic} how you", [text]).words
    assert topic in first
    assert share > 0.3
    assert len(explain_match(matcher, text, [text], max_words=2).words) == 2


def test_without_shared_words_none_are_listed(matcher, faq_tables):
    found = explain_match(matcher, "zzz", [faq_tables[1]["text"][0]])
    assert found.words == []
    assert found.similarity == 0


def test_an_untuned_matcher_is_explained_too(faq_tables):
    untuned = make_untuned_matcher(*faq_tables, FEATURES, Cleaning())
    text = faq_tables[0]["text"][0]
    assert explain_match(untuned, text, [text]).similarity == pytest.approx(1, abs=1e-6)
