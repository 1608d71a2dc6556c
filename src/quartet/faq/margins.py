"""A support vector machine for each original: which texts are duplicates of it.

Each machine tells an original's own texts from the most similar texts of other
originals. It has a squared hinge loss and is solved in the dual over its
support vectors, as in Chapelle, "Training a support vector machine in the
primal" (Neural Computation 19, 2007). Given the support vectors it is a
regularised least-squares fit, so the decision value that a text would have had
if it had been left out follows in closed form (Cawley and Talbot, "Fast exact
leave-one-out cross-validation of sparse least-squares support vector machines",
Neural Networks 17, 2004). So texts that were learned from get honest values
without fitting anything twice.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from quartet.faq.corpus_index import CorpusIndex
from quartet.faq.settings import TextFeatures
from quartet.faq.text import CHARACTERS, Arrays

MAX_ROUNDS = 30
"""Rounds after which the set of support vectors is taken as it is; five is usual."""

Values = NDArray[np.float32]


class Machine(NamedTuple):
    """One fitted machine over m texts; arrays of shape (m,)."""

    weights: NDArray[np.float64]
    left_out: NDArray[np.float64]


@dataclass(frozen=True)
class Margins:
    """All machines, padded to the same number m of texts with texts of weight 0.

    Attributes:
        texts: Shape (k, m): rows of `CorpusIndex.texts` that each machine looks at.
        weights: Shape (k, m): dual weights; their sum is the bias.
        left_out: Shape (k, m): decision value of each of these texts, had it been left out.
    """

    texts: NDArray[np.int32]
    weights: Values
    left_out: Values

    def to_arrays(self, name: str) -> Arrays:
        """What `from_arrays` needs to decide on new questions: the support vectors."""
        support = self.weights != 0
        order = np.argsort(~support, axis=1, kind="stable")[:, : int(support.sum(axis=1).max())]
        return {
            f"{name}.texts": np.take_along_axis(self.texts, order, axis=1),
            f"{name}.weights": np.take_along_axis(self.weights, order, axis=1),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, name: str) -> Margins:
        """Machines for new questions; values of texts left out are not kept."""
        weights = arrays[f"{name}.weights"]
        return cls(arrays[f"{name}.texts"], weights, np.zeros_like(weights))

    def decide(self, similarities: Values, candidates: NDArray[np.int64]) -> Values:
        """Decision values of questions for their candidates: positive means duplicate.

        Args:
            similarities: Shape (q, n + k): of each question to each known text.
            candidates: Shape (q, c): numbers of originals.

        Returns:
            Shape (q, c).
        """
        questions = np.arange(len(similarities))[:, None, None]
        seen = similarities[questions, self.texts[candidates]] + np.float32(1)
        return np.einsum("qcm,qcm->qc", seen, self.weights[candidates])

    def left_out_of(self, texts: NDArray[np.int64], index: CorpusIndex) -> Values:
        """Decision values of known texts had they been left out; NaN where they had no part.

        Args:
            texts: Shape (q,), rows of `CorpusIndex.texts`.
            index: What the machines were fitted on.

        Returns:
            Shape (q, k).
        """
        row_of = np.full(index.duplicates + index.originals, -1)
        row_of[texts] = np.arange(len(texts))
        originals, places = np.nonzero((row_of[self.texts] >= 0) & ~np.isnan(self.left_out))
        values = np.full((len(texts), len(self.texts)), np.nan, np.float32)
        rows = row_of[self.texts[originals, places]]
        values[rows, originals] = self.left_out[originals, places]
        return values


def fit_margins(index: CorpusIndex, view: str, settings: TextFeatures) -> Margins:
    """Fit a machine for each original, on a word view and the characters together.

    The kernel is the mean of the two views' cosines, plus 1 for the bias.
    """
    groups = np.concatenate([index.original_of, np.arange(index.originals)])
    shares = (1 - settings.character_share, settings.character_share)
    parts = [index.texts[name] for name in (view, CHARACTERS)]
    columns = [index.text_columns[name] for name in (view, CHARACTERS)]
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(index.originals + 1))

    def fit_one(original: int) -> tuple[NDArray[np.int64], Machine]:
        own = order[starts[original] : starts[original + 1]]
        nearness = sum(
            share * (part[own] @ other).toarray()
            for share, part, other in zip(shares, parts, columns, strict=True)
        ).max(axis=0)
        nearness[own] = np.inf
        size = min(len(own) + settings.margin_rivals, len(groups))
        texts = np.sort(np.argpartition(-nearness, size - 1)[:size])
        kernel = 1.0 + sum(
            share * (part[texts] @ part[texts].T).toarray()
            for share, part in zip(shares, parts, strict=True)
        )
        signs = np.where(groups[texts] == original, 1.0, -1.0)
        return texts, fit_machine(kernel, signs, settings.margin_ridge)

    # One thread a machine: threads within such small products only wait for each other.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(2) as pool:
        fits = list(
            tqdm(
                pool.map(fit_one, range(index.originals)),
                total=index.originals,
                desc=f"support vector machines on {view}",
                unit="original",
                disable=None,
                delay=5,
            )
        )
    return _padded(fits)


def fit_machine(kernel: NDArray[np.float64], signs: NDArray[np.float64], ridge: float) -> Machine:
    """Fit one machine.

    Args:
        kernel: Shape (m, m), bias included.
        signs: Shape (m,): 1 for the original's own texts, -1 for others.
        ridge: Penalty on the weights, scikit-learn's 1/(2C).
    """
    support = np.ones(len(signs), dtype=bool)
    for _ in range(MAX_ROUNDS):
        rows = np.flatnonzero(support)
        factor = cholesky(kernel[np.ix_(rows, rows)] + ridge * np.eye(len(rows)), lower=True)
        weights = np.zeros(len(signs))
        weights[rows] = cho_solve((factor, True), signs[rows])
        values = kernel @ weights
        found = signs * values < 1
        if np.array_equal(found, support) or not found.any():
            break
        support = found
    root = solve_triangular(factor, np.eye(len(rows)), lower=True)
    inverse_diagonal = np.einsum("ij,ij->j", root, root)
    left_out = values.copy()
    left_out[rows] = signs[rows] - weights[rows] / inverse_diagonal
    return Machine(weights, left_out)


def _padded(fits: list[tuple[NDArray[np.int64], Machine]]) -> Margins:
    width = max(len(texts) for texts, _ in fits)
    shape = (len(fits), width)
    texts, weights, left_out = (
        np.zeros(shape, np.int32),
        np.zeros(shape, np.float32),
        np.full(shape, np.nan, np.float32),
    )
    for row, (own, machine) in enumerate(fits):
        texts[row, : len(own)] = own
        weights[row, : len(own)] = machine.weights
        left_out[row, : len(own)] = machine.left_out
    return Margins(texts, weights, left_out)
