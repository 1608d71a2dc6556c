"""The nodes must compare matchers fairly and release the better one."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from faq.conftest import FEATURES, Registered, make_tables
from quartet.datasets.registered_model import Champion
from quartet.faq.evaluation import Ranking, summarise
from quartet.faq.matcher import Matcher, fit_matcher, make_untuned_matcher
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
    originals, duplicates, answers = make_tables(duplicates=9)
    originals = originals.assign(question=originals["text"].str.title())
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
    """Return the metrics of the matcher on the test duplicates."""
    results, calibration, *_ = tested
    gains = nodes.compare_with_baselines(results, baselines, divided[0], TEST)[0]
    ours = gains[gains["method"] == "ranker"]
    return summarise(results["rank"].to_numpy(), ours, calibration)


@pytest.fixture(scope="module")
def metrics(own_metrics):
    """Return the same metrics with those of the search."""
    return {**own_metrics, "trials": 30, "chosen_trial": 17}


def test_pairs_do_not_depend_on_the_test_duplicates(divided):
    originals, duplicates, answers = divided
    marked = duplicates.copy()
    test = marked["part"] == "test"
    marked.loc[test, "text"] = "zzzyyy " * 5
    plain = nodes.make_pairs(originals, duplicates, answers, FEATURES)
    other = nodes.make_pairs(originals, marked, answers, FEATURES)
    for ours, theirs in zip(plain, other, strict=True):
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])


def test_all_methods_are_evaluated_on_the_same_questions(results, baselines, divided):
    assert results["Id"].tolist() == baselines["Id"].tolist()
    assert len(results) == (divided[1]["part"] == "test").sum()
    assert (baselines.drop(columns="Id") >= 1).all(axis=None)
    gains, hardest, *_ = nodes.compare_with_baselines(results, baselines, divided[0], TEST)
    methods = ["ranker", "cosine", "nearest_duplicate", "reference_recipe"]
    assert gains["method"].unique().tolist() == methods
    assert len(hardest) == 3
    assert hardest["question"].notna().all()


def test_the_recipe_is_skipped_for_many_originals(divided, results):
    recipe = ReferenceRecipe(seed=1, max_originals=11)
    ranks = nodes.rank_by_baselines(*divided[:2], recipe)
    assert list(ranks) == ["Id", "cosine", "nearest_duplicate"]
    assert (
        nodes.compare_with_baselines(results, ranks, divided[0], TEST)[0]["method"].nunique() == 3
    )


class WorstMatcher(Matcher):
    """A matcher that always ranks the right original last."""

    def with_corpus(self, *tables):
        return self

    def rank(self, texts):
        candidates, probabilities, answerable = super().rank(texts)
        return Ranking(candidates, np.ones_like(probabilities), answerable)


def make_worst_matcher(matcher):
    return WorstMatcher(**{field.name: getattr(matcher, field.name) for field in fields(matcher)})


def release(matcher, divided, metrics, champion):
    return make_release(matcher, *divided, metrics, champion, TEST)


WORSE_METRICS = {"test_mean_reciprocal_rank": 0.25, "test_gain_at_1": 0.125, "trials": 1}
"""Metrics of a new matcher that is worse than the champion."""


def test_the_first_matcher_is_registered_with_its_metrics(matcher, divided, metrics):
    result = release(matcher, divided, metrics | {"test_gain_at_1": 0.9}, None)
    assert result.approved
    assert result.tags["metric.test_gain_at_1"] == "0.9"
    assert result.tags["metric.chosen_trial"] == "17"
    assert result.tags["parameter.negatives"] == "5"
    assert result.tags["known_data_sha256"] != result.tags["test_data_sha256"]
    assert list(result.input_example) == ["Text0"]


def test_a_tie_keeps_the_champion(matcher, divided, metrics):
    tags = release(matcher, divided, metrics, None).tags
    champion = Champion(4, tags, Registered(matcher))
    result = release(matcher, divided, metrics, champion)
    assert not result.approved
    assert "not better, version 4 stays" in result.reason


def replace_value(table, column, value):
    """Return the table with another value in its third row."""
    table = table.copy()
    table.loc[table.index[2], column] = value
    return table


@pytest.mark.parametrize(
    ("number", "column", "value"),
    [
        (0, "Id", 999),
        (0, "question", "Asked in CAPITALS"),
        (2, "text", "a corrected answer"),
    ],
)
def test_a_corrected_text_is_registered(matcher, divided, metrics, number, column, value):
    tags = release(matcher, divided, metrics, None).tags
    tables = list(divided)
    tables[number] = replace_value(tables[number], column, value)
    result = release(matcher, tables, WORSE_METRICS, Champion(4, tags, Registered(matcher)))
    assert result.approved
    assert result.tags["known_data_sha256"] != tags["known_data_sha256"]
    original = Matcher.from_bytes(result.files[MATCHER_FILE]).originals.iloc[2].tolist()
    assert value in original


def test_a_duplicate_of_another_original_changes_the_corpus_hash(matcher, divided, metrics):
    originals, duplicates, answers = divided
    changed = duplicates.copy()
    known = changed.index[changed["part"] != "test"]
    changed.loc[known[0], "AnswerId"] = originals["AnswerId"].iloc[1]
    ours, theirs = (
        release(matcher, tables, metrics, None).tags
        for tables in (divided, (originals, changed, answers))
    )
    assert ours["known_data_sha256"] != theirs["known_data_sha256"]
    assert ours["test_data_sha256"] == theirs["test_data_sha256"]


def test_a_better_champion_is_registered_again_with_its_own_metrics(matcher, divided, own_metrics):
    champion = Champion(4, {"known_data_sha256": "of other texts"}, Registered(matcher))
    result = release(matcher, divided, WORSE_METRICS, champion)
    assert result.approved
    metrics = {name: value for name, value in result.tags.items() if name.startswith("metric.")}
    assert metrics == {f"metric.{name}": f"{value:.6g}" for name, value in own_metrics.items()}
    rank, gain = own_metrics["test_mean_reciprocal_rank"], own_metrics["test_gain_at_1"]
    assert float(result.tags["test_mean_reciprocal_rank"]) == rank > 0.25
    assert result.reason == (
        f"version 4 with the current corpus: mean reciprocal rank {rank:.4f}, gain@1 {gain:.4f}; "
        "the new matcher's 0.2500 is not better"
    )


def test_a_worse_champion_is_replaced(matcher, divided, metrics):
    result = release(
        matcher, divided, metrics, Champion(4, {}, Registered(make_worst_matcher(matcher)))
    )
    assert result.approved
    assert "against version 4's" in result.reason
    assert result.tags["metric.chosen_trial"] == "17"


def test_a_champion_from_other_data_is_evaluated_with_the_current_corpus(divided, matcher):
    originals, duplicates, answers = make_tables(originals=10, duplicates=6, seed=5)
    parameters = RankerParameters(negatives=5, trees=20, word_ngrams=1)
    refit = Refit(seed=1, folds=3)
    other = fit_matcher(originals, duplicates, answers, parameters, FEATURES, refit, Cleaning())
    result = release(matcher, divided, WORSE_METRICS, Champion(2, {}, Registered(other)))
    # Without the current corpus it would find none of these originals.
    assert float(result.tags["metric.test_mean_reciprocal_rank"]) > 0.5


QUESTIONS = pd.DataFrame({"Id": ["a", "b", "c"], "Text0": ["how do i", "  ", "help me please"]})


def test_matches_have_the_ids_of_the_questions(matcher):
    champion = Champion(3, {}, Registered(matcher))
    matches, examples, _, empty, _, metrics = match_questions(QUESTIONS, champion, Matching())
    assert matches["question"].tolist() == ["a"] * 3 + ["c"] * 3
    assert matches["asked"].unique().tolist() == ["how do i", "help me please"]
    assert empty["Id"].tolist() == ["b"]
    assert len(examples) == 6
    assert metrics["questions"] == 2
    assert metrics["questions_without_text"] == 1
    assert metrics["ranker_version"] == 3


def test_matching_without_a_ranker_names_the_pipeline_to_run():
    with pytest.raises(ValueError, match="run `kedro run --pipelines faq_tuning` first"):
        match_questions(QUESTIONS, None, Matching())


def test_card_states_that_a_matcher_was_not_tested(matcher, divided, metrics):
    card = release(matcher, divided, metrics | {"test_gain_at_1": 0.9}, None).card
    assert card.results["gain@1"].value == 0.9
    untested = release(matcher, divided, {}, None).card
    assert untested.results == {}
    assert untested.evaluation.startswith("Not tested")
    assert "| metric |" not in untested.to_markdown("ranker", {})


def test_a_match_shows_the_original_as_it_was_written():
    questions = ["How do I reset  my <b>PIN</b>?", "Where is the MENU of the Canteen?"]
    originals = pd.DataFrame(
        {"Id": ["1", "2"], "AnswerId": ["a", "b"], "Text0": questions}, dtype=str
    )
    answers = pd.DataFrame({"Id": ["a", "b"], "Text0": ["In Settings.", "At the DOOR."]}, dtype=str)
    cleaning = Cleaning()
    clean = nodes.clean_tables(originals, originals.iloc[:0], answers, cleaning)[:3]
    matcher = make_untuned_matcher(*clean, FEATURES, cleaning)
    restored = Matcher.from_bytes(matcher.to_bytes())
    for each in (matcher, restored, restored.with_corpus(*clean)):
        first = each.match(["where is the canteen's menu"], 1).iloc[0]
        assert first["original_text"] == "Where is the MENU of the Canteen?"
        assert first["answer"] == "At the DOOR."
    assert restored.originals["question"].tolist()[0] == "How do I reset my PIN?"


@pytest.mark.parametrize("wanted", [Matching(), Matching(min_answerable=0.9)])
@pytest.mark.parametrize("is_tuned", [True, False])
def test_answered_questions_are_not_counted_without_a_threshold(
    matcher, divided, caplog, wanted, is_tuned
):
    untuned = make_untuned_matcher(*divided, FEATURES, Cleaning())
    champion = Champion(4, {}, Registered(matcher if is_tuned else untuned))
    questions = pd.DataFrame({"Id": ["a", "b"], "Text0": divided[0]["text"].head(2)})
    matches, _, unanswered, _, _, metrics = match_questions(questions, champion, wanted)
    assert metrics["questions"] == 2
    assert metrics.keys() & {"answered_questions", "unanswered_questions"} == set()
    assert matches[["answerable", "unanswered"]].isna().all(axis=None)
    assert unanswered.empty
    assert "questions without an answer are not recognised" in caplog.text
    assert ("is not tuned" in caplog.text) is not is_tuned
