"""The matcher: everything that ranking new questions takes, in one artefact."""

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

from quartet.faq.cleaning import clean_text
from quartet.faq.corpus_index import CorpusIndex, build_index
from quartet.faq.evaluation import Ranking, calibration_table, evaluate_ranking
from quartet.faq.margins import Margins
from quartet.faq.pairs import TrainingPairs, make_training_pairs
from quartet.faq.ranker import (
    Calibration,
    RankerParameters,
    calibrate,
    feature_columns,
    score,
    train_booster,
    trees_shown,
)
from quartet.faq.settings import Cleaning, Refit, TextFeatures
from quartet.faq.similarity import Comparer, feature_names, in_blocks
from quartet.faq.text import TextEncoder, fit_encoder, text_from_array, text_to_array, word_view


@dataclass(frozen=True)
class Matcher:
    """Ranks originals for questions.

    Attributes:
        originals: One row an original: `Id`, `AnswerId`, `question`, `answer`.
        encoder: Text to vectors.
        comparer: What is known, and how questions are compared with it.
        booster: Orders the candidates.
        calibration: Scores to probabilities.
        parameters: What the search chose.
        features: What the texts' features were made with.
        cleaning: What was done to texts before.
    """

    originals: pd.DataFrame
    encoder: TextEncoder
    comparer: Comparer
    booster: lgb.Booster
    calibration: Calibration
    parameters: RankerParameters
    features: TextFeatures
    cleaning: Cleaning

    def rank(self, texts: Sequence[str]) -> Ranking:
        """Return candidates of cleaned texts with their probabilities."""
        if not len(texts):
            shape = 0, self.comparer.candidates
            return Ranking(np.empty(shape, np.int64), np.empty(shape))

        def rank_block(block: slice) -> Ranking:
            compared = self.comparer.compare_block(self.encoder.encode(texts[block]))
            scores = score(self.booster, compared.features, self._columns)
            return Ranking(compared.candidates, self.calibration.probabilities(scores))

        return in_blocks(rank_block, len(texts))

    @cached_property
    def _names(self) -> list[str]:
        return feature_names(list(self.comparer.margins))

    @cached_property
    def _columns(self) -> NDArray[np.int64]:
        """Features that the booster looks at."""
        return feature_columns(self._names, self.parameters.word_ngrams)

    def clean(self, texts: Sequence[str]) -> list[str]:
        """Texts as they were cleaned for learning."""
        options = {
            "remove_banner": self.cleaning.remove_banner,
            "keep_code": self.cleaning.keep_code,
        }
        return [clean_text(text, **options) for text in texts]

    def match(self, texts: Sequence[str], matches: int) -> pd.DataFrame:
        """The most probable originals of questions as they were asked, HTML or plain.

        Args:
            texts: q questions.
            matches: Originals to return for each; all candidates where there are fewer.

        Returns:
            `matches` rows a question, the most probable first: `question` (its number), `rank`,
            `original` (Id), `AnswerId`, `probability`, `original_text`, `answer`.
        """
        ranking = self.rank(self.clean(texts))
        count = min(matches, ranking.candidates.shape[1])
        order = np.argsort(-ranking.probabilities, axis=1, kind="stable")[:, :count]
        chosen = np.take_along_axis(ranking.candidates, order, axis=1).ravel()
        found = self.originals.iloc[chosen]
        return pd.DataFrame(
            {
                "question": np.repeat(np.arange(len(texts)), count),
                "rank": np.tile(np.arange(1, count + 1), len(texts)),
                "original": found["Id"].to_numpy(),
                "AnswerId": found["AnswerId"].to_numpy(),
                "probability": np.take_along_axis(ranking.probabilities, order, axis=1).ravel(),
                "original_text": found["question"].to_numpy(),
                "answer": found["answer"].to_numpy(),
            }
        )

    def evaluate(
        self, originals: pd.DataFrame, questions: pd.DataFrame, bins: int
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """What became of questions whose originals are known.

        Args:
            originals: Those it knows, in their order.
            questions: Columns `Id`, `AnswerId`, `text` (cleaned).
            bins: Intervals of probability.

        Returns:
            The table of `evaluation.evaluate_ranking`, with the questions' `Id` before it, and the
            `calibration_table` of all candidates.
        """
        number = indices_of(originals, questions)
        ranking = self.rank(list(questions["text"]))
        results = evaluate_ranking(ranking, number, originals["Id"].to_numpy())
        results.insert(0, "Id", questions["Id"].to_numpy())
        right = ranking.candidates == number[:, None]
        return results, calibration_table(ranking.probabilities.ravel(), right.ravel(), bins)

    def with_corpus(
        self, originals: pd.DataFrame, duplicates: pd.DataFrame, answers: pd.DataFrame
    ) -> Self:
        """This matcher with other known texts in the place of its own.

        Terms, their frequencies, trees and calibration stay as they were learned.
        """
        index = index_tables(self.encoder, originals, duplicates, answers)
        comparer = Comparer.fit(index, list(self.comparer.margins), self.features)
        table = table_of_originals(originals, answers)
        return replace(self, originals=table, comparer=comparer)

    def feature_gains(self) -> pd.Series:
        """By feature: how much of the training loss its splits took away."""
        gains = self.booster.feature_importance("gain")
        return pd.Series(gains, index=[self._names[column] for column in self._columns])

    def to_bytes(self) -> bytes:
        """The matcher as one safetensors file."""
        return bytes(save(self.to_arrays()))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The matcher that `to_bytes` made a file of."""
        return cls.from_arrays(load(content))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The matcher as named arrays."""
        facts = {
            "parameters": self.parameters.model_dump(),
            "features": self.features.model_dump(),
            "cleaning": self.cleaning.model_dump(),
            "calibration": asdict(self.calibration),
            "originals": self.originals.to_dict("list"),
        }
        arrays = {
            "facts": text_to_array(json.dumps(facts)),
            "booster": text_to_array(self.booster.model_to_string()),
            **_prefixed("encoder.", self.encoder.to_arrays()),
            **_prefixed("knowledge.", self.comparer.index.to_arrays()),
        }
        for view, margins in self.comparer.margins.items():
            arrays |= margins.to_arrays(f"margins.{view}")
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The matcher that `to_arrays` took apart."""
        facts = json.loads(text_from_array(arrays["facts"]))
        parameters = RankerParameters(**facts["parameters"])
        features = TextFeatures(**facts["features"])
        view = word_view(parameters.word_ngrams)
        comparer = Comparer(
            index=CorpusIndex.from_arrays(_under("knowledge.", arrays)),
            margins={view: Margins.from_arrays(dict(arrays), f"margins.{view}")},
            retrieved=features.candidates,
            character_share=features.character_share,
        )
        return cls(
            originals=pd.DataFrame(facts["originals"]),
            encoder=TextEncoder.from_arrays(_under("encoder.", arrays)),
            comparer=comparer,
            booster=lgb.Booster(model_str=text_from_array(arrays["booster"])),
            calibration=Calibration(**facts["calibration"]),
            parameters=parameters,
            features=features,
            cleaning=Cleaning(**facts["cleaning"]),
        )


def fit_matcher(
    originals: pd.DataFrame,
    duplicates: pd.DataFrame,
    answers: pd.DataFrame,
    parameters: RankerParameters,
    features: TextFeatures,
    refit: Refit,
    cleaning: Cleaning,
) -> Matcher:
    """Fit the chosen parameters on all duplicates given, and calibrate.

    Args:
        originals: Columns `Id`, `AnswerId`, `text`.
        duplicates: Columns `AnswerId`, `text`, in the order of their originals.
        answers: Column `text`, one row an original, in their order.
        parameters: The search's choice.
        features: How texts become vectors.
        refit: How many trees, and how to calibrate.
        cleaning: What was done to the texts, to do it to new questions.
    """
    trees = max(1, round(parameters.trees * refit.more_trees))
    parameters = parameters.model_copy(update={"trees": trees})
    encoder = fit_encoder(
        [*duplicates["text"], *originals["text"]], features, [parameters.word_ngrams]
    )
    index = index_tables(encoder, originals, duplicates, answers)
    comparer = Comparer.fit(index, [word_view(parameters.word_ngrams)], features)
    pairs: TrainingPairs = make_training_pairs(
        comparer, features.random_negatives, np.random.default_rng(refit.seed)
    )
    with trees_shown(parameters.trees, "fitting the ranker") as grown:
        booster = train_booster(pairs, parameters, refit.seed, callbacks=[grown])
    return Matcher(
        originals=table_of_originals(originals, answers),
        encoder=encoder,
        comparer=comparer,
        booster=booster,
        calibration=calibrate(pairs, parameters, refit.folds, refit.seed),
        parameters=parameters,
        features=features,
        cleaning=cleaning,
    )


def index_tables(
    encoder: TextEncoder, originals: pd.DataFrame, duplicates: pd.DataFrame, answers: pd.DataFrame
) -> CorpusIndex:
    """Vectors of the tables' texts; columns as for `fit_matcher`."""
    return build_index(
        encoder,
        list(duplicates["text"]),
        indices_of(originals, duplicates),
        list(originals["text"]),
        list(answers["text"]),
    )


def indices_of(originals: pd.DataFrame, duplicates: pd.DataFrame) -> NDArray[np.int64]:
    """The number of each duplicate's original, shape (n,)."""
    place = pd.Series(np.arange(len(originals)), index=originals["AnswerId"])
    return place.loc[duplicates["AnswerId"]].to_numpy(dtype=np.int64)


def table_of_originals(originals: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """What is shown of each original."""
    return pd.DataFrame(
        {
            "Id": originals["Id"].to_numpy(),
            "AnswerId": originals["AnswerId"].to_numpy(),
            "question": originals["text"].to_numpy(),
            "answer": answers["text"].to_numpy(),
        }
    )


def _prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {prefix + name: array for name, array in arrays.items()}


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
