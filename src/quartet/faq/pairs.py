"""Pair questions with originals, for training and for evaluating the ranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quartet.faq.similarity import Comparer
from quartet.faq.text import Arrays, Vectors, text_from_array, text_to_array

Values = NDArray[np.float32]
Indices = NDArray[np.int64]


UNRANKED = np.iinfo(np.int32).max
"""`hardness` and `draw` of pairs without one."""


@dataclass(frozen=True)
class _FeatureTable:
    """Base of tables of arrays with named features."""

    names: Sequence[str]

    def to_arrays(self) -> Arrays:
        """Return the table as named arrays."""
        arrays = {name: value for name, value in vars(self).items() if name != "names"}
        return {**arrays, "names": text_to_array("\n".join(self.names))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore the table from `to_arrays`."""
        fields: dict[str, Any] = dict(arrays)
        return cls(**fields | {"names": text_from_array(arrays["names"]).split("\n")})


@dataclass(frozen=True)
class TrainingPairs(_FeatureTable):
    """p pairs of a question and an original, grouped by question.

    Attributes:
        names: Names of the f features.
        features: Shape (p, f).
        question: Shape (p,), ascending: index of the question.
        right: Shape (p,): whether the original is the question's own.
        hardness: Shape (p,): rank of a retrieved negative by similarity, 0 for the most
            similar; `UNRANKED` for other pairs.
        draw: Shape (p,): position of a randomly drawn negative in the draw, from 0; `UNRANKED`
            for other pairs.
    """

    features: Values
    question: Indices
    right: NDArray[np.bool_]
    hardness: NDArray[np.int32]
    draw: NDArray[np.int32]

    def choose(self, negatives: int, hard_share: float) -> NDArray[np.bool_]:
        """Return a mask of all right pairs and of up to `negatives` negatives a question.

        `hard_share` of the negatives are the most similar ones, the rest random. There are
        fewer where a random one is also among the most similar.
        """
        hard = round(hard_share * negatives)
        return self.right | (self.hardness < hard) | (self.draw < negatives - hard)


@dataclass(frozen=True)
class LabelledQuestions(_FeatureTable):
    """q questions whose originals are known, each with its c candidates.

    Attributes:
        names: Names of the f features.
        features: Shape (q, c, f).
        candidates: Shape (q, c): indices of originals, the most similar first.
        original: Shape (q,): index of the right original, which may not be a candidate.
        originals: Shape (1,): number of all originals.
    """

    features: Values
    candidates: Indices
    original: Indices
    originals: Indices

    @property
    def right(self) -> NDArray[np.bool_]:
        """Mask of the right candidates, shape (q, c)."""
        return self.candidates == self.original[:, None]


def make_training_pairs(
    comparer: Comparer, random_negatives: int, generator: np.random.Generator
) -> TrainingPairs:
    """Pair known duplicates with their original, the retrieved negatives and random ones.

    Only duplicates that people asked are paired, `CorpusIndex.asked`. They are compared as if
    they were not indexed.

    Args:
        comparer: A fitted comparer.
        random_negatives: Negatives to draw for each duplicate, at most all other originals.
        generator: Draws the random negatives.
    """
    index, asked = comparer.index, comparer.index.asked
    original_of = index.original_of[asked]
    drawn = _draw_negatives(original_of, index.originals, random_negatives, generator)
    extra = np.concatenate([original_of[:, None], drawn], axis=1)
    vectors = {view: texts[asked] for view, texts in index.texts.items()}
    compared = comparer.compare(vectors, asked, extra)
    # In this order: the retrieved candidates, the right original, the drawn ones.
    candidates, retrieved = compared.candidates, comparer.candidates
    right = candidates == original_of[:, None]
    hardness = _rank_negatives(right[:, :retrieved], candidates.shape[1])
    draw = np.full(candidates.shape, UNRANKED)
    draw[:, retrieved + 1 :] = np.arange(drawn.shape[1])
    # A negative may be both retrieved and drawn; then the retrieved pair is kept with both ranks.
    rows, positions, columns = np.nonzero(candidates[:, None, :retrieved] == drawn[:, :, None])
    draw[rows, columns] = positions
    keep = np.ones(candidates.shape, dtype=bool)
    keep[rows, retrieved + 1 + positions] = False
    keep[:, retrieved] = ~right[:, :retrieved].any(axis=1)  # the right one, unless retrieved
    questions, _ = np.nonzero(keep)
    return TrainingPairs(
        names=comparer.feature_names,
        features=compared.features[keep],
        question=questions,
        right=right[keep],
        hardness=hardness[keep].astype(np.int32),
        draw=draw[keep].astype(np.int32),
    )


def make_labelled_questions(
    comparer: Comparer, questions: Vectors, original: Indices
) -> LabelledQuestions:
    """Return candidates and features of q questions whose originals are known.

    Args:
        comparer: A fitted comparer.
        questions: By view, shape (q, terms).
        original: Shape (q,): index of each question's original.
    """
    compared = comparer.compare(questions)
    return LabelledQuestions(
        names=comparer.feature_names,
        features=compared.features,
        candidates=compared.candidates,
        original=original,
        originals=np.array([comparer.index.originals]),
    )


def _draw_negatives(
    original_of: Indices, originals: int, count: int, generator: np.random.Generator
) -> Indices:
    """Draw different wrong originals for each question, shape (n, at most count)."""
    count = min(count, originals - 1)
    drawn = np.empty((len(original_of), count), dtype=np.int64)
    for row in drawn:
        row[:] = generator.choice(originals - 1, count, replace=False)
    return drawn + (drawn >= original_of[:, None])  # skips the right one


def _rank_negatives(right: NDArray[np.bool_], width: int) -> Indices:
    """Return the rank of each retrieved negative among the negatives, shape (q, width)."""
    hardness = np.full((len(right), width), UNRANKED, dtype=np.int64)
    ranks = np.cumsum(~right, axis=1) - 1
    hardness[:, : right.shape[1]] = np.where(right, UNRANKED, ranks)
    return hardness
