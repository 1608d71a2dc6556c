"""A run uses the sentence encoder that was named, computes each vector once, and says so."""

import logging

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra semantic")
pytest.importorskip("tokenizers", reason="needs the extra semantic")

from faq.conftest import FEATURES, Registered, make_tables
from faq.small_encoder import make_files
from quartet.datasets.encoder_folder import EncoderFolder
from quartet.datasets.registered_model import Champion
from quartet.faq.matcher import Matcher
from quartet.faq.ranker import RankerParameters
from quartet.faq.settings import Cleaning, DuplicateSplit, Matching, Refit, TestEvaluation
from quartet.pipelines.faq_matching.nodes import match_questions
from quartet.pipelines.faq_tuning import nodes
from quartet.pipelines.faq_tuning.encoder import make_encoder
from quartet.pipelines.faq_tuning.release import make_release

OTHER = EncoderFolder("other", make_files({"help": [1.0, 0.0], "please": [0.5, 1.0]}))


@pytest.fixture(scope="module")
def folder():
    originals, duplicates, _ = make_tables(duplicates=9)
    words = sorted(
        {word for table in (originals, duplicates) for t in table["text"] for word in t.split()}
    )
    vectors = np.random.default_rng(3).normal(size=(len(words), 4))
    return EncoderFolder("words", make_files(dict(zip(words, vectors.tolist(), strict=True))))


@pytest.fixture(scope="module")
def divided():
    originals, duplicates, answers = make_tables(duplicates=9)
    return originals, nodes.split_duplicates(duplicates, DuplicateSplit(seed=1)), answers


@pytest.fixture(scope="module")
def vectors(divided, folder):
    return nodes.make_pairs(*divided, FEATURES, folder)[2]


@pytest.fixture(scope="module")
def arrays(divided, folder, vectors):
    return fit(divided, folder, vectors)


def fit(divided, *encoder):
    chosen = RankerParameters(negatives=5, trees=20, word_ngrams=1).model_dump()
    refit = Refit(seed=1, folds=3)
    return nodes.refit_ranker(*divided, chosen, FEATURES, refit, Cleaning(), *encoder)[0]


def named(encoder):
    return FEATURES.model_copy(update={"encoder": encoder})


def test_the_parameter_decides_which_encoder_is_used(folder):
    assert make_encoder(None, FEATURES) is None
    assert make_encoder(folder, named("lexical")) is None
    used = make_encoder(folder, FEATURES)
    assert used.sha256 == make_encoder(folder, named("words")).sha256
    for found in (folder, None):
        with pytest.raises(ValueError, match="set both, as --params"):
            make_encoder(found, named("elsewhere"))


def test_a_damaged_encoder_is_named(folder):
    damaged = EncoderFolder("words", {**folder.files, "tokenizer.json": b"{"})
    with pytest.raises(ValueError, match=r"faq_features\.encoder: words: tokenizer\.json: Invalid"):
        make_encoder(damaged, FEATURES)


def test_the_log_names_the_encoder(divided, folder, caplog):
    with caplog.at_level(logging.INFO):
        nodes.make_pairs(*divided, named("words"), folder)
        nodes.make_pairs(*divided, FEATURES)
    digest = make_encoder(folder, FEATURES).sha256[:12]
    assert f"the sentence encoder of words (SHA-256 {digest}" in caplog.messages[0]
    assert (
        "by words and characters; to compare meanings too, run `kedro fetch encoder`"
        in caplog.messages[1]
    )


def test_the_test_duplicates_are_not_encoded(divided, folder, vectors):
    known = make_encoder(folder, FEATURES, vectors).known
    originals, duplicates, _ = divided
    is_test = duplicates["part"] == "test"
    assert set(originals["text"]) | set(duplicates["text"][~is_test]) <= set(known)
    assert not set(duplicates["text"][is_test]) & set(known)


def test_vectors_of_another_encoder_are_not_used(vectors):
    assert not make_encoder(OTHER, FEATURES, vectors).known


def test_the_matcher_has_the_encoder_and_the_report_of_questions_without_answer(divided, arrays):
    matcher = Matcher.from_arrays(arrays)
    evaluated = nodes.test_ranker(arrays, *divided[:2], TestEvaluation(seed=1))
    results, thresholds, metrics = evaluated[0], evaluated[4], evaluated[7]
    assert matcher.encoder.sentences is not None
    assert thresholds["is_chosen"].sum() == 1
    assert metrics["answerable_auroc"] > 0.7
    accepted = (results["answerable"] >= metrics["answerable_threshold"]).mean()
    assert metrics["test_answered_share"] == accepted


def test_a_champion_is_compared_with_its_own_encoder(divided, arrays):
    matcher = Matcher.from_arrays(arrays)
    metrics = {"test_mean_reciprocal_rank": 0.01, "test_gain_at_1": 0.01}
    champion = Champion(2, {"known_data_sha256": "of other texts"}, Registered(matcher))
    lexical = Matcher.from_arrays(fit(divided))
    assert lexical.encoder.sentences is None
    result = make_release(lexical, *divided, metrics, champion, TestEvaluation(seed=1))
    assert result.tags["encoder"] == matcher.encoder.sentences.sha256
    assert "onnxruntime" in result.requirements


@pytest.mark.parametrize(("threshold", "unanswered"), [(1.0, 2), (0.0, 0)])
def test_the_threshold_of_a_run_overrides_that_of_the_ranker(arrays, threshold, unanswered):
    champion = Champion(3, {}, Registered(Matcher.from_arrays(arrays)))
    questions = pd.DataFrame({"Id": ["a", "b"], "Text0": ["how do i", "help me please"]})
    wanted = Matching(min_answerable=threshold)
    matches, _, table, _, _, metrics = match_questions(questions, champion, wanted)
    assert metrics["unanswered_questions"] == len(table) == unanswered
    assert metrics["answered_questions"] == metrics["questions"] - unanswered
    assert matches["unanswered"].sum() == 3 * unanswered
    assert set(table) >= {"question", "asked", "answerable", "original", "probability"}
