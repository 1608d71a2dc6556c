"""Retrieve candidates for a question and compute the features that compare it with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from quartet.faq.corpus_index import CorpusIndex
from quartet.faq.settings import TextFeatures
from quartet.faq.svm import OneVsRestSvm, fit_one_vs_rest
from quartet.faq.text import CHARACTERS, SENTENCES, Vectors, multiply

BLOCK_SIZE = 64
"""Questions compared at once: enough for fast products, few enough to bound memory."""
THREADS = 2
"""Blocks compared in parallel; most of the work releases the GIL."""

Values = NDArray[np.float32]
Indices = NDArray[np.int64]

_SIMILARITIES = ("question", "nearest", "mean", "power_mean")
"""Similarities in each view: to the candidate's question, and to its known duplicates."""
_VARIANTS = ("", "_gap", "_score")
"""Each value as it is, minus the best other candidate's, and in standard deviations."""

Block = TypeVar("Block", bound=tuple[NDArray[Any], ...])


def map_blocks(function: Callable[[slice], Block], questions: int) -> Block:
    """Apply a function to blocks of questions in parallel and concatenate the results.

    Args:
        function: Returns a named tuple of arrays, one row a question, for a slice of questions.
        questions: Number q of questions, at least 1.
    """
    starts = range(0, questions, BLOCK_SIZE)
    blocks = [slice(start, min(start + BLOCK_SIZE, questions)) for start in starts]
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
    """Candidates of q questions with their features.

    Attributes:
        candidates: Shape (q, c): indices of originals, the most similar first.
        features: Shape (q, c, f), float32.
    """

    candidates: Indices
    features: Values


def feature_names(word_views: Sequence[str], has_sentences: bool = False) -> list[str]:
    """Return the names of the f features: `VIEW.NAME`, or `all.NAME` without a view."""
    names = [f"{view}.{name}" for view in (*word_views, CHARACTERS) for name in _SIMILARITIES]
    names += [f"{view}.{name}" for view in word_views for name in ("answer", "margin")]
    if has_sentences:
        names += [f"{SENTENCES}.{name}" for name in (*_SIMILARITIES, "answer")]
    variants = [name + suffix for name in names for suffix in _VARIANTS]
    return [*variants, "all.known_duplicates", "all.words"]


def make_monotone_constraints(names: Sequence[str]) -> list[int]:
    """Return LightGBM's constraints: 1 if the score must not fall with the feature, else 0."""
    return [0 if name.startswith("all.") else 1 for name in names]


@dataclass(frozen=True)
class Comparer:
    """Compares questions with the indexed texts.

    Attributes:
        index: Vectors of the originals, known duplicates and answers.
        svms: By word view, the support vector machines of the originals.
        settings: Number of candidates, and weights of the views.
    """

    index: CorpusIndex
    svms: Mapping[str, OneVsRestSvm]
    settings: TextFeatures

    @classmethod
    def fit(cls, index: CorpusIndex, word_views: Sequence[str], settings: TextFeatures) -> Self:
        """Fit the support vector machines in each of the word views."""
        svms = {view: fit_one_vs_rest(index, view, settings) for view in word_views}
        return cls(index, svms, settings)

    @property
    def has_sentences(self) -> bool:
        """Whether there is a sentence view."""
        return SENTENCES in self.index.texts

    @property
    def feature_names(self) -> list[str]:
        """Names of the f features."""
        return feature_names(list(self.svms), self.has_sentences)

    @property
    def candidates(self) -> int:
        """Number c of candidates retrieved for each question."""
        return min(self.settings.candidates, self.index.originals)

    def compare(
        self,
        questions: Vectors,
        indexed_rows: Indices | None = None,
        extra: Indices | None = None,
    ) -> Comparison:
        """Return candidates and features of q questions.

        Args:
            questions: By view, shape (q, terms).
            indexed_rows: Shape (q,): rows of the questions in `CorpusIndex.texts`, if they are
                indexed. They are compared as if they were not.
            extra: Shape (q, e): indices of originals to compare with besides the candidates.

        Returns:
            c + e candidates: the retrieved ones, then the extra ones. Features relative to
            other candidates are relative to the retrieved ones.
        """

        def compare_block(block: slice) -> Comparison:
            return self.compare_block(
                {view: vectors[block] for view, vectors in questions.items()},
                None if indexed_rows is None else indexed_rows[block],
                None if extra is None else extra[block],
            )

        return map_blocks(compare_block, next(iter(questions.values())).shape[0])

    def compare_block(
        self, questions: Vectors, indexed_rows: Indices | None = None, extra: Indices | None = None
    ) -> Comparison:
        """Compare one block of questions, as `compare` does."""
        similarities = {
            view: multiply(questions[view], columns)
            for view, columns in self.index.text_columns.items()
        }
        if indexed_rows is not None:
            for values in similarities.values():  # a question is not compared with itself
                values[np.arange(len(indexed_rows)), indexed_rows] = 0
        candidates = self._retrieve(self._add_sentences(similarities[CHARACTERS], similarities))
        if extra is not None:
            candidates = np.concatenate([candidates, extra], axis=1)
        rows = np.arange(len(candidates))[:, None]
        columns = [
            values
            for view in (*self.svms, CHARACTERS)
            for values in self._summarise(similarities[view], candidates, indexed_rows)
        ]
        for view in self.svms:
            answers = multiply(questions[view], self.index.answer_columns[view])
            columns.append(answers[rows, candidates])
            columns.append(self._compute_margins(view, similarities, candidates, indexed_rows))
        if self.has_sentences:
            columns += self._summarise(similarities[SENTENCES], candidates, indexed_rows)
            answers = multiply(questions[SENTENCES], self.index.answer_columns[SENTENCES])
            columns.append(answers[rows, candidates])
        variants = [part for column in columns for part in _make_variants(column, self.candidates)]
        features = np.stack([*variants, *self._compute_sizes(questions, candidates)], axis=-1)
        return Comparison(candidates, features)

    def _retrieve(self, similarities: Values) -> Indices:
        """Return the c originals with the text most similar to each question, shape (q, c)."""
        duplicates = self.index.duplicates
        nearest = np.maximum.reduceat(similarities[:, :duplicates], self.index.starts, axis=1)
        score = np.maximum(nearest, similarities[:, duplicates:])
        best = np.argpartition(-score, self.candidates - 1, axis=1)[:, : self.candidates]
        order = np.argsort(-np.take_along_axis(score, best, axis=1), axis=1, kind="stable")
        return np.take_along_axis(best, order, axis=1)

    def _summarise(
        self, similarities: Values, candidates: Indices, indexed_rows: Indices | None
    ) -> list[Values]:
        """Summarise similarities to the texts of each candidate, each of shape (q, c)."""
        duplicates = self.index.duplicate_counts[candidates]
        rows = np.arange(len(candidates))[:, None]
        # All duplicates of the first question's first candidate, then of its second, and so on.
        sizes = duplicates.ravel()
        starts = np.cumsum(sizes) - sizes
        first = self.index.starts[candidates].ravel()
        texts = np.arange(sizes.sum()) + np.repeat(first - starts, sizes)
        owners = np.repeat(np.broadcast_to(rows, candidates.shape).ravel(), sizes)
        values = similarities[owners, texts]
        counts = duplicates.astype(np.float32)
        if indexed_rows is not None:
            counts -= candidates == self.index.original_of[indexed_rows][:, None]
            counts = counts.clip(min=1)
        squares = values * values
        sums = np.add.reduceat(values, starts).reshape(duplicates.shape)
        fourths = np.add.reduceat(squares * squares, starts).reshape(duplicates.shape)
        return [
            similarities[rows, self.index.duplicates + candidates],
            np.maximum.reduceat(values, starts).reshape(duplicates.shape),
            sums / counts,
            np.sqrt(np.sqrt(fourths / counts)),
        ]

    def _compute_margins(
        self,
        view: str,
        similarities: Mapping[str, Values],
        candidates: Indices,
        indexed_rows: Indices | None,
    ) -> Values:
        """Return the decision values of the candidates' machines, shape (q, c)."""
        svm = self.svms[view]
        share = np.float32(self.settings.character_share)
        kernel = (1 - share) * similarities[view] + share * similarities[CHARACTERS]
        values = svm.decision_function(self._add_sentences(kernel, similarities), candidates)
        if indexed_rows is not None:
            rows = np.arange(len(indexed_rows))[:, None]
            leave_one_out = svm.leave_one_out_values(indexed_rows, self.index)[rows, candidates]
            values = np.where(np.isnan(leave_one_out), values, leave_one_out)
        return values

    def _add_sentences(self, lexical: Values, similarities: Mapping[str, Values]) -> Values:
        """Return the weighted mean of lexical similarities and those of sentences, if any."""
        if not self.has_sentences:
            return lexical
        share = np.float32(self.settings.sentence_share)
        return (1 - share) * lexical + share * similarities[SENTENCES]

    def _compute_sizes(self, questions: Vectors, candidates: Indices) -> list[Values]:
        """Return log counts of known duplicates and of words in the question, shape (q, c)."""
        duplicates = np.log1p(self.index.duplicate_counts.astype(np.float32))[candidates]
        vectors: Any = questions[next(iter(self.svms))]
        words = np.log1p(np.diff(vectors.indptr).astype(np.float32))
        return [duplicates, np.broadcast_to(words[:, None], candidates.shape)]


def _make_variants(values: Values, candidates: int) -> tuple[Values, Values, Values]:
    """Return the `_VARIANTS` of values, relative to the first `candidates` columns."""
    retrieved = values[:, :candidates]
    if candidates < 2:
        return values, np.zeros_like(values), np.zeros_like(values)
    top = -np.partition(-retrieved, 1, axis=1)[:, :2]
    best, second = top[:, :1], top[:, 1:]
    gap = values - np.where(values >= best, second, best)
    deviation = retrieved.std(axis=1, keepdims=True) + np.float32(1e-6)
    return values, gap, (values - retrieved.mean(axis=1, keepdims=True)) / deviation
