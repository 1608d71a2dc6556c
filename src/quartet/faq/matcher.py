"""Combine all that ranking new questions needs in one artefact, the matcher."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load, save

from quartet.faq.answerable import Answerability, compute_evidence
from quartet.faq.cleaning import clean_text
from quartet.faq.corpus_index import CorpusIndex, index_tables
from quartet.faq.evaluation import Ranking, calibration_table, evaluate_ranking
from quartet.faq.pairs import TrainingPairs, make_training_pairs
from quartet.faq.ranker import (
    Calibration,
    RankerParameters,
    calibrate,
    feature_columns,
    score,
    score_untuned,
    show_tree_progress,
    train_booster,
)
from quartet.faq.sentences import SentenceEncoder
from quartet.faq.settings import Cleaning, Refit, TextFeatures
from quartet.faq.similarity import Comparer, map_blocks
from quartet.faq.svm import OneVsRestSvm
from quartet.faq.tables import indices_of
from quartet.faq.text import (
    TextEncoder,
    add_prefix,
    fit_encoder,
    select_prefix,
    text_from_array,
    text_to_array,
    word_view,
)


@dataclass(frozen=True)
class Matcher:
    """Ranks originals for questions.

    Attributes:
        originals: One row an original: `Id`, `AnswerId`, `question`, `answer`.
        encoder: Maps texts to vectors.
        comparer: Retrieves candidates and computes their features.
        booster: Scores the candidates; None for the similarity of `ranker.score_untuned`.
        calibration: Maps scores of the booster to probabilities.
        parameters: The ranker's parameters.
        features: Settings of the text features.
        cleaning: Settings of the text cleaning.
        answerability: Estimates whether a question has an answer; None if that is not learned.
    """

    originals: pd.DataFrame
    encoder: TextEncoder
    comparer: Comparer
    booster: lgb.Booster | None
    calibration: Calibration
    parameters: RankerParameters
    features: TextFeatures
    cleaning: Cleaning
    answerability: Answerability | None = None

    def rank(self, texts: Sequence[str]) -> Ranking:
        """Return the candidates of cleaned texts with their probabilities."""
        if not len(texts):
            shape = 0, self.comparer.candidates
            return Ranking(np.empty(shape, np.int64), np.empty(shape), np.empty(0))

        def rank_block(block: slice) -> Ranking:
            compared = self.comparer.compare_block(self.encoder.encode(texts[block]))
            answerable = np.full(len(compared.candidates), np.nan)
            if self.booster is None:
                similarities = score_untuned(compared.features, self._feature_names, self.features)
                return Ranking(compared.candidates, similarities, answerable)
            scores = score(self.booster, compared.features, self._columns)
            if self.answerability is not None:
                evidence = compute_evidence(scores, compared.features, self._feature_names)
                answerable = self.answerability.probabilities(evidence)
            return Ranking(compared.candidates, self.calibration.probabilities(scores), answerable)

        return map_blocks(rank_block, len(texts))

    def compute_evidence(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the evidence of `answerable.compute_evidence` for cleaned texts, shape (q, e)."""
        assert self.booster is not None  # evidence is of scores that were learned
        compared = self.comparer.compare(self.encoder.encode(texts))
        scores = score(self.booster, compared.features, self._columns)
        return compute_evidence(scores, compared.features, self._feature_names)

    @property
    def is_tuned(self) -> bool:
        """Whether the ranking was learned from duplicates; otherwise it is a similarity."""
        return self.booster is not None

    @cached_property
    def _feature_names(self) -> list[str]:
        return self.comparer.feature_names

    @cached_property
    def _columns(self) -> NDArray[np.int64]:
        """Indices of the features that the booster uses."""
        return feature_columns(self._feature_names, self.parameters.word_ngrams)

    def clean(self, texts: Sequence[str]) -> list[str]:
        """Clean texts as they were cleaned for training."""
        options = self.cleaning.model_dump(include={"remove_banner", "keep_code"})
        return [clean_text(text, **options) for text in texts]

    def match(self, texts: Sequence[str], matches: int) -> pd.DataFrame:
        """Return the most probable originals of raw questions, HTML or plain text.

        Args:
            texts: q questions.
            matches: Originals to return for each question, at most the number of candidates.

        Returns:
            `matches` rows a question, the most probable first: `question` (its index), `rank`,
            `original` (Id), `AnswerId`, `probability`, `original_text` (as written, without
            markup), `answer`, `answerable` (probability that the question has an answer, NaN if
            unknown), and `unanswered` (whether that is below the threshold, NA if unknown).
        """
        ranking = self.rank(self.clean(texts))
        is_unanswered: Any = pd.array([pd.NA] * len(texts), dtype="boolean")
        if self.answerability is not None:
            is_unanswered = ranking.answerable < self.answerability.threshold
        count = min(matches, ranking.candidates.shape[1])
        order = np.argsort(-ranking.probabilities, axis=1, kind="stable")[:, :count]
        chosen = np.take_along_axis(ranking.candidates, order, axis=1).ravel()
        originals = self.originals.iloc[chosen]
        return pd.DataFrame(
            {
                "question": np.repeat(np.arange(len(texts)), count),
                "rank": np.tile(np.arange(1, count + 1), len(texts)),
                "original": originals["Id"].to_numpy(),
                "AnswerId": originals["AnswerId"].to_numpy(),
                "probability": np.take_along_axis(ranking.probabilities, order, axis=1).ravel(),
                "original_text": originals["question"].to_numpy(),
                "answer": originals["answer"].to_numpy(),
                "answerable": np.repeat(ranking.answerable, count),
                "unanswered": is_unanswered.repeat(count),
            }
        )

    def evaluate(
        self, originals: pd.DataFrame, questions: pd.DataFrame, bins: int
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Evaluate the ranking of questions whose originals are known.

        Args:
            originals: The matcher's originals, in its order.
            questions: Columns `Id`, `AnswerId`, `text` (cleaned).
            bins: Intervals of probability.

        Returns:
            The table of `evaluation.evaluate_ranking` with the questions' `Id` as first column,
            and the `calibration_table` of all candidates.
        """
        right_indices = indices_of(originals, questions)
        ranking = self.rank(list(questions["text"]))
        results = evaluate_ranking(ranking, right_indices, originals["Id"].to_numpy())
        results.insert(0, "Id", questions["Id"].to_numpy())
        results["answerable"] = ranking.answerable
        right = ranking.candidates == right_indices[:, None]
        return results, calibration_table(ranking.probabilities.ravel(), right.ravel(), bins)

    def with_corpus(
        self, originals: pd.DataFrame, duplicates: pd.DataFrame, answers: pd.DataFrame
    ) -> Self:
        """Return a copy of the matcher with another corpus.

        The support vector machines are refitted; the vocabulary, inverse document
        frequencies, trees and calibration are kept.

        Args:
            originals: Columns `Id`, `AnswerId`, `text`.
            duplicates: Columns `AnswerId`, `text`, in the order of their originals.
            answers: Column `text`, one row an original, in their order.
        """
        index = index_tables(self.encoder, originals, duplicates, answers)
        comparer = Comparer.fit(index, list(self.comparer.svms), self.features)
        table = make_originals_table(originals, answers)
        return replace(self, originals=table, comparer=comparer)

    def feature_gains(self) -> pd.Series:
        """Return the total gain of each feature's splits, the decrease in training loss."""
        if self.booster is None:
            return pd.Series(dtype=float)
        gains = self.booster.feature_importance("gain")
        return pd.Series(gains, index=[self._feature_names[column] for column in self._columns])

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file with the matcher."""
        return bytes(save(self.to_arrays()))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Restore a matcher from `to_bytes`."""
        return cls.from_arrays(load(content))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the matcher as named arrays."""
        facts = {
            "parameters": self.parameters.model_dump(),
            "features": self.features.model_dump(exclude={"encoder"}),  # a folder elsewhere
            "cleaning": self.cleaning.model_dump(),
            "calibration": asdict(self.calibration),
            "originals": self.originals.to_dict("list"),
        }
        arrays = {
            "facts": text_to_array(json.dumps(facts)),
            "booster": text_to_array(self.booster.model_to_string() if self.booster else ""),
            # Names of arrays in registered matchers: "knowledge" is the index.
            **add_prefix("encoder.", self.encoder.to_arrays()),
            **add_prefix("knowledge.", self.comparer.index.to_arrays()),
        }
        for view, svm in self.comparer.svms.items():
            arrays |= svm.to_arrays(f"margins.{view}")
        if self.answerability is not None:
            arrays |= add_prefix("answerability.", self.answerability.to_arrays())
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore a matcher from `to_arrays`."""
        facts = json.loads(text_from_array(arrays["facts"]))
        parameters = RankerParameters(**facts["parameters"])
        features = TextFeatures(**facts["features"])
        view = word_view(parameters.word_ngrams)
        trees = text_from_array(arrays["booster"])
        answerability = select_prefix("answerability.", arrays)
        comparer = Comparer(
            index=CorpusIndex.from_arrays(select_prefix("knowledge.", arrays)),
            svms={view: OneVsRestSvm.from_arrays(dict(arrays), f"margins.{view}")},
            settings=features,
        )
        return cls(
            originals=pd.DataFrame(facts["originals"]),
            encoder=TextEncoder.from_arrays(select_prefix("encoder.", arrays)),
            comparer=comparer,
            booster=lgb.Booster(model_str=trees) if trees else None,
            calibration=Calibration(**facts["calibration"]),
            parameters=parameters,
            features=features,
            cleaning=Cleaning(**facts["cleaning"]),
            answerability=Answerability.from_arrays(answerability) if answerability else None,
        )


def fit_matcher(
    originals: pd.DataFrame,
    duplicates: pd.DataFrame,
    answers: pd.DataFrame,
    parameters: RankerParameters,
    features: TextFeatures,
    refit: Refit,
    cleaning: Cleaning,
    sentences: SentenceEncoder | None = None,
) -> Matcher:
    """Fit and calibrate a matcher on the given duplicates.

    Args:
        originals: Columns `Id`, `AnswerId`, `text`, and optionally `question`, as written.
        duplicates: Columns `AnswerId`, `text`, in the order of their originals.
        answers: Column `text`, one row an original, in their order.
        parameters: The ranker's parameters.
        features: Settings of the text features.
        refit: Factor for the number of trees, folds of the calibration and seed.
        cleaning: How the texts were cleaned, and new questions are to be.
        sentences: The sentence encoder; None for lexical features only.
    """
    trees = max(1, round(parameters.trees * refit.more_trees))
    parameters = parameters.model_copy(update={"trees": trees})
    matcher, pairs = fit_uncalibrated(
        originals, duplicates, answers, parameters, features, refit.seed, cleaning, sentences
    )
    return replace(matcher, calibration=calibrate(pairs, parameters, refit.folds, refit.seed))


def fit_uncalibrated(
    originals: pd.DataFrame,
    duplicates: pd.DataFrame,
    answers: pd.DataFrame,
    parameters: RankerParameters,
    features: TextFeatures,
    seed: int,
    cleaning: Cleaning,
    sentences: SentenceEncoder | None = None,
) -> tuple[Matcher, TrainingPairs]:
    """Fit vocabulary, index and trees; return the pairs, too. Arguments as for `fit_matcher`."""
    texts = [*duplicates["text"], *originals["text"]]
    matcher = _index_corpus(
        originals, duplicates, answers, texts, parameters, features, cleaning, sentences
    )
    generator = np.random.default_rng(seed)
    pairs = make_training_pairs(matcher.comparer, features.random_negatives, generator)
    with show_tree_progress(parameters.trees, "fitting the ranker") as update_progress:
        booster = train_booster(pairs, parameters, seed, callbacks=[update_progress])
    return replace(matcher, booster=booster), pairs


def make_untuned_matcher(
    originals: pd.DataFrame,
    duplicates: pd.DataFrame,
    answers: pd.DataFrame,
    features: TextFeatures,
    cleaning: Cleaning,
    sentences: SentenceEncoder | None = None,
) -> Matcher:
    """Return a matcher that ranks by similarity, for a FAQ with few duplicates or none.

    Arguments as for `fit_matcher`; there may be no duplicates.
    """
    parameters = RankerParameters(word_ngrams=1, trees=0)
    # With the words of answers, which contain what else a question may be about.
    replies = answers.assign(text=[clean_text(text) for text in answers["text"]])
    texts = [*duplicates["text"], *originals["text"], *replies["text"]]
    matcher = _index_corpus(
        originals, duplicates, replies, texts, parameters, features, cleaning, sentences
    )
    return replace(matcher, originals=make_originals_table(originals, answers))


def _index_corpus(
    originals: pd.DataFrame,
    duplicates: pd.DataFrame,
    answers: pd.DataFrame,
    texts: Sequence[str],
    parameters: RankerParameters,
    features: TextFeatures,
    cleaning: Cleaning,
    sentences: SentenceEncoder | None,
) -> Matcher:
    """Return a matcher without trees; its vocabulary is that of `texts`."""
    encoder = fit_encoder(texts, features, [parameters.word_ngrams], sentences)
    index = index_tables(encoder, originals, duplicates, answers)
    return Matcher(
        originals=make_originals_table(originals, answers),
        encoder=encoder,
        comparer=Comparer.fit(index, [word_view(parameters.word_ngrams)], features),
        booster=None,
        calibration=Calibration(slope=1.0, offset=0.0),
        parameters=parameters,
        features=features,
        cleaning=cleaning,
    )


def make_originals_table(originals: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Return what a match shows of each original: its Ids, question and answer.

    The question is as written, in the column `question`; without that, it is the cleaned `text`.
    """
    return pd.DataFrame(
        {
            "Id": originals["Id"].to_numpy(),
            "AnswerId": originals["AnswerId"].to_numpy(),
            "question": originals.get("question", originals["text"]).to_numpy(),
            "answer": answers["text"].to_numpy(),
        }
    )
