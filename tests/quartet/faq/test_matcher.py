"""A registered matcher must return what it returned when it was evaluated."""

import numpy as np
import pandas as pd
import pytest

from faq.conftest import FEATURES, make_tables
from quartet.faq import serving
from quartet.faq.matcher import Matcher, fit_matcher
from quartet.faq.ranker import RankerParameters
from quartet.faq.settings import Cleaning, Refit

PARAMETERS = RankerParameters(negatives=5, trees=30, word_ngrams=1)


@pytest.fixture(scope="module")
def matcher(faq_tables):
    return fit_matcher(*faq_tables, PARAMETERS, FEATURES, Refit(seed=1, folds=3), Cleaning())


@pytest.fixture(scope="module")
def questions(faq_tables):
    return ["Please HELP: " + text for text in faq_tables[1]["text"][::5]]


def test_a_question_finds_its_original_and_the_answer(matcher, faq_tables, questions):
    matches = matcher.match(questions, 3)
    first = matches[matches["rank"] == 1].reset_index(drop=True)
    right = faq_tables[1]["AnswerId"].to_numpy()[::5]
    assert (first["AnswerId"] == right).mean() > 0.9
    assert (first["answer"] == first["original_text"] + " answered").all()


def test_matches_are_ordered_and_of_the_requested_number(matcher, questions):
    matches = matcher.match(questions, 3)
    assert matches.groupby("question")["rank"].agg(list).map(tuple).unique().tolist() == [(1, 2, 3)]
    falling = matches.groupby("question")["probability"].apply(lambda p: p.is_monotonic_decreasing)
    assert falling.all()
    assert matches["probability"].between(0, 1).all()
    assert len(matcher.match(questions, 100)) == len(questions) * FEATURES.candidates


def test_a_restored_matcher_gives_the_same_matches(matcher, questions):
    restored = Matcher.from_bytes(matcher.to_bytes())
    before, after = matcher.match(questions, 5), restored.match(questions, 5)
    assert before["original"].tolist() == after["original"].tolist()
    np.testing.assert_allclose(before["probability"], after["probability"], rtol=1e-6)
    assert restored.to_bytes() == matcher.to_bytes()


def test_a_question_is_matched_the_same_alone_and_in_a_batch(matcher, questions):
    batch = matcher.match(questions * 60, 2)
    alone = matcher.match(questions[:1], 2)
    np.testing.assert_allclose(batch["probability"][:2], alone["probability"], rtol=1e-5)
    assert len(batch) == len(questions) * 60 * 2


def test_questions_are_cleaned_as_in_training(matcher, questions):
    html = [f"<p>{text}</p><script>ignored()</script>" for text in questions]
    plain, marked = matcher.match(questions, 1), matcher.match(html, 1)
    np.testing.assert_allclose(plain["probability"], marked["probability"], rtol=1e-6)


def test_a_matcher_can_be_given_another_corpus(matcher):
    others = make_tables(originals=9, duplicates=5, seed=7)
    changed = matcher.with_corpus(*others)
    asked = ["i need help " + text for text in others[1]["text"]]
    first = changed.match(asked, 1)
    assert set(first["AnswerId"]) <= set(others[0]["AnswerId"])
    assert (first["AnswerId"] == others[1]["AnswerId"].to_numpy()).mean() > 0.8
    assert matcher.originals["Id"].tolist() == list(range(1, 13))


def test_the_served_model_names_the_missing_column(matcher, tmp_path, questions):
    (tmp_path / serving.MATCHER_FILE).write_bytes(matcher.to_bytes())
    served = serving._load_pyfunc(str(tmp_path))
    table = served.predict(pd.DataFrame({"Text0": questions}))
    assert len(table) == len(questions) * serving.MATCHES
    with pytest.raises(ValueError, match="expected a column Text0, found text"):
        served.predict(pd.DataFrame({"text": questions}))
