"""Training pairs must be correct, complete and unique."""

import numpy as np
import pytest

from quartet.faq.pairs import UNRANKED, TrainingPairs, make_training_pairs


@pytest.fixture(scope="module")
def pairs(comparer):
    return make_training_pairs(comparer, 4, np.random.default_rng(0))


def test_each_question_has_its_right_original_exactly_once(pairs, index):
    counts = np.bincount(pairs.question, weights=pairs.right)
    assert counts.tolist() == [1] * index.duplicates
    assert (np.diff(pairs.question) >= 0).all()


def test_negatives_are_retrieved_and_drawn(pairs, comparer):
    for question in (0, 30, 71):
        own = pairs.question == question
        hardness = np.sort(pairs.hardness[own & (pairs.hardness < UNRANKED)])
        draw = np.sort(pairs.draw[own & (pairs.draw < UNRANKED)])
        assert hardness.tolist() == list(range(len(hardness)))
        assert len(hardness) in {comparer.candidates, comparer.candidates - 1}
        assert draw.tolist() == [0, 1, 2, 3]
        wrong = own & ~pairs.right
        assert ((pairs.hardness[wrong] < UNRANKED) | (pairs.draw[wrong] < UNRANKED)).all()
        assert (pairs.hardness[own & pairs.right] == UNRANKED).all()
        assert (pairs.draw[own & pairs.right] == UNRANKED).all()


def test_the_hardest_negatives_are_the_most_similar(pairs):
    nearest = pairs.features[:, pairs.names.index("char.nearest")]
    question = pairs.features[:, pairs.names.index("char.question")]
    score = np.maximum(nearest, question)
    for number in range(0, 72, 9):
        own = (pairs.question == number) & (pairs.hardness < UNRANKED)
        ordered = score[own][np.argsort(pairs.hardness[own])]
        assert (np.diff(ordered) <= 1e-6).all()


@pytest.mark.parametrize(("negatives", "share"), [(4, 1.0), (4, 0.0), (4, 0.5), (1, 1.0)])
def test_a_trial_gets_the_requested_negatives(pairs, negatives, share):
    chosen = pairs.choose(negatives, share)
    assert (chosen & pairs.right).sum() == pairs.right.sum()
    wrong = np.bincount(pairs.question[chosen & ~pairs.right], minlength=72)
    hard = round(share * negatives)
    assert (wrong <= negatives).all()
    assert (wrong >= max(hard, negatives - hard)).all()


def test_the_seed_determines_the_draw(comparer, pairs):
    again = make_training_pairs(comparer, 4, np.random.default_rng(0))
    other = make_training_pairs(comparer, 4, np.random.default_rng(1))
    np.testing.assert_array_equal(again.draw, pairs.draw)
    assert len(other.draw) != len(pairs.draw) or (other.draw != pairs.draw).any()


def test_pairs_can_be_restored_from_arrays(pairs):
    restored = TrainingPairs.from_arrays(pairs.to_arrays())
    assert list(restored.names) == list(pairs.names)
    np.testing.assert_array_equal(restored.features, pairs.features)
    np.testing.assert_array_equal(restored.choose(3, 0.5), pairs.choose(3, 0.5))
