"""Pairs of a question and an original, to learn the ranking from and to judge it by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quartet.faq.similarity import Comparer, feature_names
from quartet.faq.text import Arrays, Vectors, text_from_array, text_to_array

Values = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingPairs:
    """p pairs, those of one question together.

    Attributes:
        names: The f features.
        features: Shape (p, f).
        question: Shape (p,), ascending: number of the question.
        right: Shape (p,): whether the original is the question's own.
        hardness: Shape (p,): 0 for the wrong original most similar to the question, 1 for the
            next, a large number for one that was not retrieved.
        draw: Shape (p,): 0 for the wrong original drawn first at random, and so on; a large
            number for one that was not drawn.
    """

    names: Sequence[str]
    features: Values
    question: Numbers
    right: NDArray[np.bool_]
    hardness: NDArray[np.int32]
    draw: NDArray[np.int32]

    def choose(self, negatives: int, hard_share: float) -> NDArray[np.bool_]:
        """Mask of the right pairs and of about `negatives` wrong ones a question.

        `hard_share` of them are the most similar, the rest random; an original
        that is both counts once.
        """
        hard = round(hard_share * negatives)
        return self.right | (self.hardness < hard) | (self.draw < negatives - hard)

    def to_arrays(self) -> Arrays:
        """As named arrays."""
        return {**_without_names(self), "names": text_to_array("\n".join(self.names))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TrainingPairs:
        """What `to_arrays` took apart."""
        return cls(**_with_names(arrays))


@dataclass(frozen=True)
class LabelledQuestions:
    """q questions whose original is known, each with its c candidates.

    Attributes:
        names: The f features.
        features: Shape (q, c, f).
        candidates: Shape (q, c): numbers of originals, the most similar first.
        original: Shape (q,): the right one, which may be missing among the candidates.
        originals: Shape (1,): number of all originals.
    """

    names: Sequence[str]
    features: Values
    candidates: Numbers
    original: Numbers
    originals: Numbers

    @property
    def right(self) -> NDArray[np.bool_]:
        """Shape (q, c): which candidate is the right one."""
        return self.candidates == self.original[:, None]

    def to_arrays(self) -> Arrays:
        """As named arrays."""
        return {**_without_names(self), "names": text_to_array("\n".join(self.names))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> LabelledQuestions:
        """What `to_arrays` took apart."""
        return cls(**_with_names(arrays))


def make_training_pairs(
    comparer: Comparer, random_negatives: int, generator: np.random.Generator
) -> TrainingPairs:
    """Pairs of each known duplicate, compared as if it were not known.

    Each has its own original, the wrong ones retrieved for it, and up to
    `random_negatives` drawn from all wrong ones.
    """
    known = comparer.index
    own = np.arange(known.duplicates)
    drawn = _draw(known.original_of, known.originals, random_negatives, generator)
    extra = np.concatenate([known.original_of[:, None], drawn], axis=1)
    vectors = {view: texts[: known.duplicates] for view, texts in known.texts.items()}
    compared = comparer.compare(vectors, own, extra)
    candidates, retrieved = compared.candidates, comparer.candidates
    right = candidates == known.original_of[:, None]
    hardness = _hardness(right[:, :retrieved], candidates.shape[1])
    draw = np.full(candidates.shape, _NEVER)
    draw[:, retrieved + 1 :] = np.arange(drawn.shape[1])
    # A wrong original may have been retrieved and drawn; the drawn twin gives its place away.
    twins = candidates[:, None, :retrieved] == drawn[:, :, None]
    rows, places, seen = np.nonzero(twins)
    draw[rows, seen] = places
    keep = np.ones(candidates.shape, dtype=bool)
    keep[rows, retrieved + 1 + places] = False
    keep[:, retrieved] = ~right[:, :retrieved].any(axis=1)  # the right one, unless retrieved
    questions, _ = np.nonzero(keep)
    return TrainingPairs(
        names=feature_names(list(comparer.margins)),
        features=compared.features[keep],
        question=questions,
        right=right[keep],
        hardness=hardness[keep].astype(np.int32),
        draw=draw[keep].astype(np.int32),
    )


def make_labelled_questions(
    comparer: Comparer, questions: Vectors, original: Numbers
) -> LabelledQuestions:
    """Candidates and features of q questions whose originals are known."""
    compared = comparer.compare(questions)
    return LabelledQuestions(
        names=feature_names(list(comparer.margins)),
        features=compared.features,
        candidates=compared.candidates,
        original=original,
        originals=np.array([comparer.index.originals]),
    )


_NEVER = np.iinfo(np.int32).max


def _draw(
    original_of: Numbers, originals: int, count: int, generator: np.random.Generator
) -> Numbers:
    """Wrong originals for each question, shape (n, at most count), each row without repeats."""
    count = min(count, originals - 1)
    drawn = np.empty((len(original_of), count), dtype=np.int64)
    for row in drawn:
        row[:] = generator.choice(originals - 1, count, replace=False)
    return drawn + (drawn >= original_of[:, None])  # past the right one


def _hardness(right: NDArray[np.bool_], width: int) -> Numbers:
    """Place of each retrieved wrong original among the wrong ones, shape (q, width)."""
    hardness = np.full((len(right), width), _NEVER, dtype=np.int64)
    places = np.cumsum(~right, axis=1) - 1
    hardness[:, : right.shape[1]] = np.where(right, _NEVER, places)
    return hardness


def _without_names(table: TrainingPairs | LabelledQuestions) -> Arrays:
    return {name: value for name, value in vars(table).items() if name != "names"}


def _with_names(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(arrays)
    return fields | {"names": text_from_array(arrays["names"]).split("\n")}
