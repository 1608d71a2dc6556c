"""A question that no original answers must be distinguished from one that has an answer."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from faq.conftest import FEATURES, make_tables
from quartet.faq import serving
from quartet.faq.answerable import (
    compute_evidence,
    false_positive_rate,
    fit_answerability,
    make_threshold_table,
    summarise_answerability,
)
from quartet.faq.holdout import learn_answerability
from quartet.faq.matcher import Matcher, fit_matcher
from quartet.faq.ranker import RankerParameters
from quartet.faq.settings import Cleaning, Refit

REFIT = Refit(seed=1, folds=3)
PARAMETERS = RankerParameters(negatives=5, trees=20, word_ngrams=1)


@pytest.fixture(scope="module")
def tables():
    return make_tables(originals=12, duplicates=9)


@pytest.fixture(scope="module")
def plain(tables):
    originals, duplicates, answers = tables
    known = duplicates[np.arange(len(duplicates)) % 9 != 0]
    return fit_matcher(originals, known, answers, PARAMETERS, FEATURES, REFIT, Cleaning())


@pytest.fixture(scope="module")
def matcher(plain, tables):
    originals, duplicates, answers = tables
    known = duplicates[np.arange(len(duplicates)) % 9 != 0]
    return learn_answerability(plain, originals, known, answers, REFIT)


def ask(tables):
    """Return questions of the originals, and questions of other topics."""
    own = list(tables[1]["text"][::9])
    return own, list(make_tables(originals=12, duplicates=2, seed=9)[1]["text"])


def test_questions_of_other_topics_are_unanswered(matcher, tables):
    own, others = ask(tables)
    found = matcher.match([*own, *others], 1)
    labels = np.arange(len(found)) < len(own)
    assert roc_auc_score(labels, found["answerable"]) > 0.9
    assert not found["unanswered"][labels].mean() > 0.2
    assert found["unanswered"][~labels].mean() > 0.6


def test_the_ranking_does_not_depend_on_whether_it_is_learned(matcher, plain, tables):
    own, _ = ask(tables)
    before, after = plain.match(own, 3), matcher.match(own, 3)
    np.testing.assert_array_equal(before["probability"], after["probability"])
    assert before["answerable"].isna().all()
    assert not before["unanswered"].any()


def test_a_restored_matcher_answers_the_same(matcher, tables):
    restored = Matcher.from_bytes(matcher.to_bytes())
    texts = [text for part in ask(tables) for text in part]
    before, after = matcher.match(texts, 1), restored.match(texts, 1)
    np.testing.assert_allclose(before["answerable"], after["answerable"], rtol=1e-4)
    assert before["unanswered"].tolist() == after["unanswered"].tolist()
    assert matcher.match([], 1).empty


def test_too_few_questions_teach_nothing(plain, tables):
    originals, duplicates, answers = tables
    for count in (3, 12):
        assert learn_answerability(plain, originals, duplicates[:count], answers, REFIT) is plain
    assert learn_answerability(plain, originals[:3], duplicates[:27], answers[:3], REFIT) is plain


def test_the_evidence_is_of_the_best_candidates():
    names = ["word1.question", "word1.nearest", "word1.margin", "char.question", "char.nearest"]
    features = np.zeros((1, 3, 6), np.float32)
    features[0, 1] = [0.2, 0.7, -0.5, 0.1, 0.3, 9]
    features[0, 2] = [0.6, 0.1, -0.8, 0.4, 0.2, 9]
    found = compute_evidence(np.array([[-1.0, 2.0, 0.5]]), features, [*names, "all.words"])
    # The margins of the first candidate are 0.
    np.testing.assert_allclose(found, [[2.0, 1.5, 0.0, 0.7, 0.4]], rtol=1e-6)


@pytest.fixture
def fitted():
    generator = np.random.default_rng(2)
    has_original = np.arange(400) % 2 == 0
    evidence = generator.normal(size=(400, 2))
    evidence[:, 0] += 2 * has_original
    return fit_answerability(evidence, has_original, np.arange(400) // 2 % 4, 0.9), evidence


def test_the_threshold_accepts_the_share_that_was_asked_for(fitted):
    model, _ = fitted
    accepted = model.held_out[model.has_original] >= model.threshold
    assert accepted.mean() == pytest.approx(0.9, abs=0.01)
    table = make_threshold_table(model)
    chosen = table[table["is_chosen"]]
    assert chosen["threshold"].tolist() == [model.threshold]
    assert chosen["answered"].tolist() == [accepted.mean()]
    assert table["false_positives"].is_monotonic_decreasing
    assert table["answered"].iloc[0] == table["false_positives"].iloc[0] == 1
    metrics = summarise_answerability(model)
    assert metrics["answerable_auroc"] == roc_auc_score(model.has_original, model.held_out)
    assert metrics["answerable_false_positive_rate"] == chosen["false_positives"].iloc[0]


def test_probabilities_are_not_those_of_the_folds_that_chose_the_threshold(fitted):
    model, evidence = fitted
    found = model.probabilities(evidence)
    assert 0 < np.abs(found - model.held_out).max() < 0.1


def test_the_false_positive_rate_is_that_of_the_lowest_sufficient_threshold():
    labels = np.array([True, True, True, True, False, False, False, False])
    values = np.array([0.9, 0.8, 0.7, 0.2, 0.75, 0.5, 0.1, 0.0])
    assert false_positive_rate(labels, values, 0.75) == 0.25
    assert false_positive_rate(labels, values, 1.0) == 0.5


def test_the_server_answers_what_was_learned_and_no_missing_numbers(matcher, plain, tables):
    questions = pd.DataFrame({"Text0": ask(tables)[1]})
    found = serving.FaqRanker(matcher).predict(questions)
    assert found["unanswered"].any()
    assert found["answerable"].between(0, 1).all()
    assert not serving.FaqRanker(plain).predict(questions).isna().any(axis=None)


def test_a_corpus_of_one_original_has_answers_like_any_other(matcher, tables):
    originals, duplicates, answers = tables
    known = duplicates[duplicates["AnswerId"] == originals["AnswerId"].iloc[0]]
    found = matcher.with_corpus(originals[:1], known, answers[:1]).match(list(known["text"]), 3)
    assert found["rank"].tolist() == [1] * len(known)
    assert found["answerable"].between(0, 1).all()
