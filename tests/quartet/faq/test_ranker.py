"""Scores must rise with similarity, and probabilities must be calibrated."""

import numpy as np
import pytest

from quartet.faq.pairs import UNRANKED, make_labelled_questions, make_training_pairs
from quartet.faq.ranker import (
    RankerParameters,
    calibrate,
    feature_columns,
    make_training_set,
    make_validation_set,
    score,
    train_booster,
)

PARAMETERS = RankerParameters(negatives=5, trees=30)


@pytest.fixture(scope="module")
def pairs(comparer):
    return make_training_pairs(comparer, 4, np.random.default_rng(0))


@pytest.mark.parametrize("objective", ["binary", "lambdarank"])
def test_a_more_similar_candidate_never_scores_less(pairs, objective):
    parameters = PARAMETERS.model_copy(update={"objective": objective})
    booster = train_booster(pairs, parameters, 1)
    columns = feature_columns(pairs.names, parameters.word_ngrams)
    base = pairs.features[:40][None]
    before = score(booster, base, columns)
    for name in ("char.nearest", "word2.margin", "char.mean_gap"):
        raised = base.copy()
        raised[:, :, pairs.names.index(name)] += 0.3
        assert (score(booster, raised, columns) >= before - 1e-9).all()


def test_the_seed_determines_the_trees(pairs):
    texts = [
        train_booster(pairs, PARAMETERS, seed, threads=threads)
        .model_to_string()
        .split("\nparam")[0]
        for seed, threads in ((1, 1), (1, 2), (2, 1))
    ]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_only_the_chosen_word_view_is_used(pairs):
    for ngrams, other in ((1, "word2."), (2, "word1.")):
        names = [pairs.names[column] for column in feature_columns(pairs.names, ngrams)]
        assert not [name for name in names if name.startswith(other)]
        assert {"char.nearest", f"word{ngrams}.margin", "all.words"} <= set(names)


def test_balanced_weights_give_both_classes_the_same_total(pairs):
    parameters = PARAMETERS.model_copy(update={"weighting": "balanced"})
    data = make_training_set(pairs, parameters, pairs.choose(5, 1.0)).construct()
    weight, right = data.get_weight(), data.get_label() > 0
    assert weight[right].sum() == pytest.approx(weight[~right].sum(), rel=1e-5)
    assert weight.mean() == pytest.approx(1, rel=1e-5)


def test_the_validation_metric_is_computed_from_the_scores(comparer, encoder, faq_tables, pairs):
    texts = [text + " please" for text in faq_tables[1]["text"][::6]]
    labelled = make_labelled_questions(comparer, encoder.encode(texts), np.arange(12))
    _, evaluate = make_validation_set(labelled, PARAMETERS, "gain_at_1")
    assert evaluate(labelled.right.astype(float).ravel(), None) == (
        "gain_at_1",
        labelled.right.any(axis=1).mean(),
        True,
    )
    assert evaluate(np.zeros(labelled.right.size), None)[1] == 0


def test_calibrated_probabilities_add_up_to_the_number_of_duplicates(pairs):
    calibration = calibrate(pairs, PARAMETERS, 4, 1)
    assert calibration.slope > 0
    # The mean prediction of a logistic regression on its training data is the share of positives.
    booster = train_booster(pairs, PARAMETERS, 1)
    columns = feature_columns(pairs.names, PARAMETERS.word_ngrams)
    retrieved = pairs.right | (pairs.hardness < UNRANKED)
    scores = booster.predict(pairs.features[np.ix_(retrieved, columns)], raw_score=True)
    assert calibration.probabilities(scores).mean() == pytest.approx(
        pairs.right[retrieved].mean(), rel=0.25
    )
