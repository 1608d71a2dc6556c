"""A FAQ without duplicates is matched by similarity, and keeps that when it is saved."""

import numpy as np
import pandas as pd

from quartet.faq.matcher import Matcher, fit_matcher, make_untuned_matcher
from quartet.faq.ranker import RankerParameters
from quartet.faq.settings import Cleaning, Refit, TextFeatures

FEATURES = TextFeatures(seed=1, margin_rivals=20, random_negatives=4)
THINGS = ["door", "window", "roof", "garden", "cellar", "kitchen"]
ORIGINALS = pd.DataFrame(
    {
        "Id": [f"Q-{i}" for i in range(6)],
        "AnswerId": [f"A-{i}" for i in range(6)],
        "text": [f"how do i paint the {thing}?" for thing in THINGS],
    }
)
ANSWERS = pd.DataFrame(
    {"Id": ORIGINALS["AnswerId"], "text": [f"<p>Sand the {t} with number{t}.</p>" for t in THINGS]}
)
NONE = ORIGINALS.iloc[:0]


def make(duplicates=NONE):
    return make_untuned_matcher(ORIGINALS, duplicates, ANSWERS, FEATURES, Cleaning())


def first_of(matcher, *texts):
    found = matcher.match(texts, 1)
    return found["original"].tolist()


def test_words_of_questions_and_answers_find_the_original():
    matcher = make()
    assert not matcher.is_tuned
    texts = ["a brush for my roof", "what is numbercellar", "paint windows"]
    assert first_of(matcher, *texts) == ["Q-2", "Q-4", "Q-1"]
    assert matcher.match(texts, 3)["probability"].between(0, 1).all()
    assert matcher.match([], 3).empty


def test_known_duplicates_are_used_without_tuning():
    asked = pd.DataFrame({"AnswerId": ["A-3"], "text": ["colour of lawn furniture"]})
    assert first_of(make(asked), "which colour for lawn furniture") == ["Q-3"]


def test_a_saved_matcher_ranks_alike():
    matcher = make()
    restored = Matcher.from_bytes(matcher.to_bytes())
    pd.testing.assert_frame_equal(restored.match(["roof"], 3), matcher.match(["roof"], 3))
    assert not restored.is_tuned


def test_a_tuned_matcher_ranks_originals_without_duplicates_too():
    asked = [(f"A-{i}", f"{phrase} {THINGS[i]}") for i in range(5) for phrase in ("paint", "brush")]
    duplicates = pd.DataFrame(asked, columns=["AnswerId", "text"])
    matcher = fit_matcher(
        ORIGINALS,
        duplicates,
        ANSWERS,
        RankerParameters(trees=5, min_child_samples=2),
        FEATURES,
        Refit(seed=1, folds=2),
        Cleaning(),
    )
    assert matcher.is_tuned
    assert matcher.comparer.index.asked.size == 10
    found = matcher.match(["kitchen"], 6)
    assert set(found["original"]) == set(ORIGINALS["Id"])
    assert np.isfinite(found["probability"]).all()
