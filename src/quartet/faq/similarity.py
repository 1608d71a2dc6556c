"""Candidates for a question, and the features that compare it with each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from tqdm import tqdm

from quartet.faq.corpus_index import CorpusIndex
from quartet.faq.margins import Margins, fit_margins
from quartet.faq.settings import TextFeatures
from quartet.faq.text import CHARACTERS, Vectors

QUESTIONS_AT_ONCE = 64
"""Questions compared together: enough for fast products, few enough to bound memory."""
THREADS = 2
"""Blocks of questions worked on side by side; most of the work leaves Python's lock."""

Values = NDArray[np.float32]
Numbers = NDArray[np.int64]

_OWN = ("question", "nearest", "mean", "power_mean")
"""What each view says of a candidate: similarity to its question and to its known duplicates."""
_RELATIVE = ("", "_gap", "_score")
"""Each comparison as it is, against the best other candidate, and in standard deviations."""


Block = TypeVar("Block", bound=tuple[NDArray[Any], ...])


def in_blocks(function: Callable[[slice], Block], questions: int) -> Block:
    """Return what a function gives for all questions, called on blocks of them side by side.

    Args:
        function: Returns a named tuple of arrays for a slice of the questions, a row for each.
        questions: Their number q, at least 1.
    """
    starts = range(0, questions, QUESTIONS_AT_ONCE)
    blocks = [slice(start, min(start + QUESTIONS_AT_ONCE, questions)) for start in starts]
    parts = []
    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(
            total=questions, desc="comparing questions", unit="question", disable=None, delay=2
        ) as bar,
    ):
        for block, part in zip(blocks, pool.map(function, blocks), strict=True):
            parts.append(part)
            bar.update(block.stop - block.start)
    return type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))


class Comparison(NamedTuple):
    """Questions beside their candidates.

    Attributes:
        candidates: Shape (q, c): numbers of originals, the most similar first.
        features: Shape (q, c, f), float32.
    """

    candidates: Numbers
    features: Values


def feature_names(word_views: Sequence[str]) -> list[str]:
    """Names of the f features, in their order; `VIEW.WHAT`, or `all.WHAT` if of no view."""
    comparisons = [f"{view}.{what}" for view in (*word_views, CHARACTERS) for what in _OWN]
    comparisons += [f"{view}.{what}" for view in word_views for what in ("answer", "margin")]
    relative = [name + suffix for name in comparisons for suffix in _RELATIVE]
    return [*relative, "all.known_duplicates", "all.words"]


def rising_features(names: Sequence[str]) -> list[int]:
    """1 for each feature of which more can only speak for a duplicate, 0 for the others."""
    return [0 if name.startswith("all.") else 1 for name in names]


@dataclass(frozen=True)
class Comparer:
    """Compares questions with what is known.

    Attributes:
        index: Vectors of the known texts.
        margins: By word view, the fitted machines.
        retrieved: Candidates kept of each question.
        character_share: Weight of characters in the machines' kernel.
    """

    index: CorpusIndex
    margins: Mapping[str, Margins]
    retrieved: int
    character_share: float

    @classmethod
    def fit(cls, index: CorpusIndex, word_views: Sequence[str], settings: TextFeatures) -> Self:
        """With machines fitted on what is known, in each of the word views."""
        margins = {view: fit_margins(index, view, settings) for view in word_views}
        return cls(index, margins, settings.candidates, settings.character_share)

    @property
    def candidates(self) -> int:
        """Number c of candidates: as many as asked for, or all originals."""
        return min(self.retrieved, self.index.originals)

    def compare(
        self,
        questions: Vectors,
        own: Numbers | None = None,
        extra: Numbers | None = None,
    ) -> Comparison:
        """Return candidates and features of q questions.

        Args:
            questions: By view, shape (q, terms).
            own: Shape (q,), where the questions are themselves known: their rows in
                `CorpusIndex.texts`. They are compared as if they were not known.
            extra: Shape (q, e): originals to compare with beside the retrieved ones.

        Returns:
            c + e candidates: first those retrieved, then the extra ones. What is
            relative to other candidates is relative to those retrieved.
        """

        def compare_block(block: slice) -> Comparison:
            return self.compare_block(
                {view: vectors[block] for view, vectors in questions.items()},
                None if own is None else own[block],
                None if extra is None else extra[block],
            )

        return in_blocks(compare_block, next(iter(questions.values())).shape[0])

    def compare_block(
        self, questions: Vectors, own: Numbers | None = None, extra: Numbers | None = None
    ) -> Comparison:
        """Compare one block of questions, as `compare` does."""
        similar = {
            view: (questions[view] @ columns).toarray()
            for view, columns in self.index.text_columns.items()
        }
        if own is not None:
            for similarities in similar.values():
                similarities[np.arange(len(own)), own] = 0
        candidates = self._retrieve(similar[CHARACTERS])
        if extra is not None:
            candidates = np.concatenate([candidates, extra], axis=1)
        rows = np.arange(len(candidates))[:, None]
        columns = [
            values
            for view in (*self.margins, CHARACTERS)
            for values in self._summarise(similar[view], candidates, own)
        ]
        for view in self.margins:
            answers = (questions[view] @ self.index.answer_columns[view]).toarray()
            columns.append(answers[rows, candidates])
            columns.append(self._margin(view, similar, candidates, own))
        relative = [part for column in columns for part in _beside_others(column, self.candidates)]
        features = np.stack([*relative, *self._context(questions, candidates)], axis=-1)
        return Comparison(candidates, features)

    def _retrieve(self, similarities: Values) -> Numbers:
        """The c originals with the most similar text to each question, shape (q, c)."""
        known = self.index.duplicates
        nearest = np.maximum.reduceat(similarities[:, :known], self.index.starts, axis=1)
        score = np.maximum(nearest, similarities[:, known:])
        best = np.argpartition(-score, self.candidates - 1, axis=1)[:, : self.candidates]
        order = np.argsort(-np.take_along_axis(score, best, axis=1), axis=1, kind="stable")
        return np.take_along_axis(best, order, axis=1)

    def _summarise(
        self, similarities: Values, candidates: Numbers, own: Numbers | None
    ) -> list[Values]:
        """Similarity to each candidate's question and known duplicates, shape (q, c)."""
        known = self.index.known[candidates]
        rows = np.arange(len(candidates))[:, None]
        # All duplicates of the first question's first candidate, then of its second, and so on.
        sizes = known.ravel()
        starts = np.cumsum(sizes) - sizes
        first = self.index.starts[candidates].ravel()
        texts = np.arange(sizes.sum()) + np.repeat(first - starts, sizes)
        owners = np.repeat(np.broadcast_to(rows, candidates.shape).ravel(), sizes)
        values = similarities[owners, texts]
        counts = known.astype(np.float32)
        if own is not None:
            counts -= candidates == self.index.original_of[own][:, None]
            counts = counts.clip(min=1)
        squares = values * values
        sums = np.add.reduceat(values, starts).reshape(known.shape)
        fourths = np.add.reduceat(squares * squares, starts).reshape(known.shape)
        return [
            similarities[rows, self.index.duplicates + candidates],
            np.maximum.reduceat(values, starts).reshape(known.shape),
            sums / counts,
            np.sqrt(np.sqrt(fourths / counts)),
        ]

    def _margin(
        self,
        view: str,
        similar: Mapping[str, Values],
        candidates: Numbers,
        own: Numbers | None,
    ) -> Values:
        margins = self.margins[view]
        share = np.float32(self.character_share)
        kernel = (1 - share) * similar[view] + share * similar[CHARACTERS]
        values = margins.decide(kernel, candidates)
        if own is not None:
            left_out = margins.left_out_of(own, self.index)[
                np.arange(len(own))[:, None], candidates
            ]
            values = np.where(np.isnan(left_out), values, left_out)
        return values

    def _context(self, questions: Vectors, candidates: Numbers) -> list[Values]:
        """What does not depend on similarity: how much is known, and how much is said."""
        known = np.log1p(self.index.known.astype(np.float32))[candidates]
        words: csr_matrix = questions[next(iter(self.margins))]
        said = np.log1p(np.diff(words.indptr).astype(np.float32))
        return [known, np.broadcast_to(said[:, None], candidates.shape)]


def _beside_others(values: Values, retrieved: int) -> tuple[Values, Values, Values]:
    """Values as they are, less the best other candidate's, and standardised; shape (q, c)."""
    among = values[:, :retrieved]
    if retrieved < 2:
        return values, np.zeros_like(values), np.zeros_like(values)
    top = -np.partition(-among, 1, axis=1)[:, :2]
    best, second = top[:, :1], top[:, 1:]
    gap = values - np.where(values >= best, second, best)
    spread = among.std(axis=1, keepdims=True) + np.float32(1e-6)
    return values, gap, (values - among.mean(axis=1, keepdims=True)) / spread
