"""What the nodes choose, compare and release."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from faq.conftest import FEATURES, invent
from quartet.datasets.registered_model import Champion
from quartet.faq.evaluation import Ranking, summarise
from quartet.faq.matcher import Matcher, fit_matcher
from quartet.faq.ranker import RankerParameters
from quartet.faq.serving import MATCHER_FILE
from quartet.faq.settings import (
    Cleaning,
    DuplicateSplit,
    Matching,
    ReferenceRecipe,
    Refit,
    TestEvaluation,
)
from quartet.pipelines.faq_matching.nodes import match_questions
from quartet.pipelines.faq_tuning import nodes
from quartet.pipelines.faq_tuning.release import make_release

TEST = TestEvaluation(seed=1, resamples=200, hardest=3)


@pytest.fixture(scope="module")
def divided():
    originals, duplicates, answers = invent(duplicates=9)
    return originals, nodes.split_duplicates(duplicates, DuplicateSplit(seed=1)), answers


@pytest.fixture(scope="module")
def matcher(divided):
    originals, duplicates, answers = divided
    known = duplicates[duplicates["part"] != "test"]
    parameters = RankerParameters(negatives=5, trees=20, word_ngrams=1)
    refit = Refit(seed=1, folds=3)
    return fit_matcher(originals, known, answers, parameters, FEATURES, refit, Cleaning())


@pytest.fixture(scope="module")
def tested(matcher, divided):
    return nodes.test_ranker(matcher.to_arrays(), divided[0], divided[1], TEST)


@pytest.fixture(scope="module")
def results(tested):
    return tested[0]


@pytest.fixture(scope="module")
def baselines(divided):
    return nodes.rank_by_baselines(*divided[:2], ReferenceRecipe(seed=1, trees=20, match=4))


@pytest.fixture(scope="module")
def own_metrics(tested, baselines, divided):
    """What the pipeline tells of the matcher on the test duplicates."""
    results, calibration, *_ = tested
    gains = nodes.compare_with_baselines(results, baselines, divided[0], TEST)[0]
    ours = gains[gains["method"] == "ranker"]
    return summarise(results["rank"].to_numpy(), ours, calibration)


@pytest.fixture(scope="module")
def metrics(own_metrics):
    """The same with what it tells of the search."""
    return {**own_metrics, "trials": 30, "chosen_trial": 17}


def test_nothing_of_the_test_duplicates_is_in_the_pairs(divided):
    originals, duplicates, answers = divided
    marked = duplicates.copy()
    test = marked["part"] == "test"
    marked.loc[test, "text"] = "zzzyyy " * 5
    plain = nodes.make_pairs(originals, duplicates, answers, FEATURES)
    other = nodes.make_pairs(originals, marked, answers, FEATURES)
    for ours, theirs in zip(plain, other, strict=True):
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])


def test_every_method_is_judged_on_the_same_questions(results, baselines, divided):
    assert results["Id"].tolist() == baselines["Id"].tolist()
    assert len(results) == (divided[1]["part"] == "test").sum()
    assert (baselines.drop(columns="Id") >= 1).all(axis=None)
    gains, hardest, *_ = nodes.compare_with_baselines(results, baselines, divided[0], TEST)
    methods = ["ranker", "cosine", "nearest_duplicate", "reference_recipe"]
    assert gains["method"].unique().tolist() == methods
    assert len(hardest) == 3
    assert hardest["question"].notna().all()


def test_on_large_sets_the_recipe_is_left_out(divided, results):
    recipe = ReferenceRecipe(seed=1, most_originals=11)
    ranks = nodes.rank_by_baselines(*divided[:2], recipe)
    assert list(ranks) == ["Id", "cosine", "nearest_duplicate"]
    assert (
        nodes.compare_with_baselines(results, ranks, divided[0], TEST)[0]["method"].nunique() == 3
    )


class Registered:
    """A champion's model, as MLflow hands it over."""

    def __init__(self, matcher):
        self._matcher = matcher

    def get_raw_model(self):
        return self._matcher


class Worse(Matcher):
    """A matcher that always has the right original last."""

    def with_corpus(self, *tables):
        return self

    def rank(self, texts):
        candidates, probabilities = super().rank(texts)
        return Ranking(candidates, np.ones_like(probabilities))


def worse(matcher):
    return Worse(**{field.name: getattr(matcher, field.name) for field in fields(matcher)})


def release(matcher, divided, metrics, champion):
    return make_release(matcher, *divided, metrics, champion, TEST)


LUCKLESS = {"test_mean_reciprocal_rank": 0.25, "test_gain_at_1": 0.125, "trials": 1}
"""Metrics of a new matcher that is the worse one."""


def test_the_first_matcher_is_registered_with_its_facts(matcher, divided, metrics):
    made = release(matcher, divided, metrics | {"test_gain_at_1": 0.9}, None)
    assert made.approved
    assert made.tags["metric.test_gain_at_1"] == "0.9"
    assert made.tags["metric.chosen_trial"] == "17"
    assert made.tags["parameter.negatives"] == "5"
    assert made.tags["known_data_sha256"] != made.tags["test_data_sha256"]
    assert list(made.input_example) == ["Text0"]


def test_a_matcher_is_not_replaced_by_its_equal(matcher, divided, metrics):
    tags = release(matcher, divided, metrics, None).tags
    champion = Champion(4, tags, Registered(matcher))
    made = release(matcher, divided, metrics, champion)
    assert not made.approved
    assert "not better, version 4 stays" in made.reason


def corrected(table, column, value):
    """The table with another value in its third row."""
    table = table.copy()
    table.loc[table.index[2], column] = value
    return table


@pytest.mark.parametrize(
    ("number", "column", "value"),
    [(0, "Id", 999), (0, "text", "asked in other words"), (2, "text", "a corrected answer")],
)
def test_what_was_corrected_reaches_the_registry(matcher, divided, metrics, number, column, value):
    tags = release(matcher, divided, metrics, None).tags
    tables = list(divided)
    tables[number] = corrected(tables[number], column, value)
    made = release(matcher, tables, LUCKLESS, Champion(4, tags, Registered(matcher)))
    assert made.approved
    assert made.tags["known_data_sha256"] != tags["known_data_sha256"]
    shown = Matcher.from_bytes(made.files[MATCHER_FILE]).originals.iloc[2].tolist()
    assert value in shown


def test_a_known_duplicate_of_another_original_is_other_knowledge(matcher, divided, metrics):
    originals, duplicates, answers = divided
    moved = duplicates.copy()
    known = moved.index[moved["part"] != "test"]
    moved.loc[known[0], "AnswerId"] = originals["AnswerId"].iloc[1]
    ours, theirs = (
        release(matcher, tables, metrics, None).tags
        for tables in (divided, (originals, moved, answers))
    )
    assert ours["known_data_sha256"] != theirs["known_data_sha256"]
    assert ours["test_data_sha256"] == theirs["test_data_sha256"]


def test_a_better_matcher_of_other_data_is_registered_anew_with_the_present_texts(matcher, divided):
    champion = Champion(4, {"known_data_sha256": "of other texts"}, Registered(matcher))
    made = release(matcher, divided, LUCKLESS, champion)
    assert made.approved
    registered = Matcher.from_bytes(made.files[MATCHER_FILE])
    assert registered.originals["Id"].tolist() == divided[0]["Id"].tolist()


def test_a_version_registered_anew_is_described_by_its_own_metrics(matcher, divided, own_metrics):
    champion = Champion(4, {"known_data_sha256": "of other texts"}, Registered(matcher))
    made = release(matcher, divided, LUCKLESS, champion)
    told = {name: value for name, value in made.tags.items() if name.startswith("metric.")}
    assert told == {f"metric.{name}": f"{value:.6g}" for name, value in own_metrics.items()}
    rank, gain = own_metrics["test_mean_reciprocal_rank"], own_metrics["test_gain_at_1"]
    assert float(made.tags["test_mean_reciprocal_rank"]) == rank > 0.25
    assert made.reason == (
        f"version 4 with the current corpus: mean reciprocal rank {rank:.4f}, gain@1 {gain:.4f}; "
        "the new matcher's 0.2500 is not better"
    )


def test_a_worse_matcher_is_replaced(matcher, divided, metrics):
    made = release(matcher, divided, metrics, Champion(4, {}, Registered(worse(matcher))))
    assert made.approved
    assert "against version 4's" in made.reason
    assert made.tags["metric.chosen_trial"] == "17"


def test_a_champion_of_other_data_is_judged_with_the_same_knowledge(divided, matcher):
    originals, duplicates, answers = invent(originals=10, duplicates=6, seed=5)
    parameters = RankerParameters(negatives=5, trees=20, word_ngrams=1)
    refit = Refit(seed=1, folds=3)
    stranger = fit_matcher(originals, duplicates, answers, parameters, FEATURES, refit, Cleaning())
    made = release(matcher, divided, LUCKLESS, Champion(2, {}, Registered(stranger)))
    # It never saw these originals; without being told it would find none.
    assert float(made.tags["metric.test_mean_reciprocal_rank"]) > 0.5


QUESTIONS = pd.DataFrame({"Id": ["a", "b", "c"], "Text0": ["how do i", "  ", "help me please"]})


def test_questions_are_answered_under_their_own_ids(matcher):
    champion = Champion(3, {}, Registered(matcher))
    matches, examples, silent, _, metrics = match_questions(QUESTIONS, champion, Matching())
    assert matches["question"].tolist() == ["a"] * 3 + ["c"] * 3
    assert matches["asked"].unique().tolist() == ["how do i", "help me please"]
    assert silent["Id"].tolist() == ["b"]
    assert len(examples) == 6
    assert metrics["questions"] == 2
    assert metrics["questions_without_text"] == 1
    assert metrics["ranker_version"] == 3


def test_without_a_ranker_matching_says_what_to_run():
    with pytest.raises(ValueError, match="run `kedro run --pipelines faq_tuning` first"):
        match_questions(QUESTIONS, None, Matching())


def test_questions_without_any_text_are_refused(matcher):
    empty = QUESTIONS.assign(Text0="")
    with pytest.raises(ValueError, match="none of the 3 questions has a text"):
        match_questions(empty, Champion(3, {}, Registered(matcher)), Matching())
