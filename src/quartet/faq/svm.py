"""Train one support vector machine for each original, which recognises its duplicates.

Each machine separates an original's own texts from the most similar texts of other
originals. It minimises the squared hinge loss in the dual over its support vectors, as
in Chapelle, "Training a support vector machine in the primal" (Neural Computation 19,
2007). For fixed support vectors this is regularised least squares, so leave-one-out
decision values follow in closed form (Cawley and Talbot, "Fast exact leave-one-out
cross-validation of sparse least-squares support vector machines", Neural Networks 17,
2004). Training texts thus get unbiased decision values without refitting.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from quartet.faq.corpus_index import CorpusIndex
from quartet.faq.settings import TextFeatures
from quartet.faq.text import CHARACTERS, SENTENCES, Arrays, multiply

MAX_ITERATIONS = 30
"""Iterations after which the set of support vectors is accepted; five is usual."""

Values = NDArray[np.float32]


class BinarySvm(NamedTuple):
    """A fitted machine over m texts.

    Attributes:
        weights: Shape (m,): dual weights.
        leave_one_out: Shape (m,): leave-one-out decision values.
    """

    weights: NDArray[np.float64]
    leave_one_out: NDArray[np.float64]


@dataclass(frozen=True)
class OneVsRestSvm:
    """The machines of all k originals, padded to the same number m of texts.

    Attributes:
        texts: Shape (k, m): rows of `CorpusIndex.texts` that each machine was trained on.
        weights: Shape (k, m): dual weights, 0 for padding; their sum is the bias.
        leave_one_out: Shape (k, m): leave-one-out decision values, NaN for padding.
    """

    texts: NDArray[np.int32]
    weights: Values
    leave_one_out: Values

    def to_arrays(self, name: str) -> Arrays:
        """Return the support vectors, which suffice to score new questions."""
        support = self.weights != 0
        order = np.argsort(~support, axis=1, kind="stable")[:, : int(support.sum(axis=1).max())]
        return {
            f"{name}.texts": np.take_along_axis(self.texts, order, axis=1),
            f"{name}.weights": np.take_along_axis(self.weights, order, axis=1),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, name: str) -> OneVsRestSvm:
        """Restore the machines from `to_arrays`, without leave-one-out values."""
        weights = arrays[f"{name}.weights"]
        return cls(arrays[f"{name}.texts"], weights, np.zeros_like(weights))

    def decision_function(self, similarities: Values, candidates: NDArray[np.int64]) -> Values:
        """Return decision values of questions for their candidates; positive means duplicate.

        Args:
            similarities: Shape (q, n + k): similarity of each question to each indexed text.
            candidates: Shape (q, c): indices of originals.

        Returns:
            Shape (q, c).
        """
        questions = np.arange(len(similarities))[:, None, None]
        kernel = similarities[questions, self.texts[candidates]] + np.float32(1)
        return np.einsum("qcm,qcm->qc", kernel, self.weights[candidates])

    def leave_one_out_values(self, texts: NDArray[np.int64], index: CorpusIndex) -> Values:
        """Return leave-one-out decision values of indexed texts for all originals.

        Args:
            texts: Shape (q,): rows of `CorpusIndex.texts`.
            index: The index that the machines were fitted on.

        Returns:
            Shape (q, k); NaN where a machine was not trained on the text.
        """
        row_of = np.full(index.duplicates + index.originals, -1)
        row_of[texts] = np.arange(len(texts))
        originals, places = np.nonzero((row_of[self.texts] >= 0) & ~np.isnan(self.leave_one_out))
        values = np.full((len(texts), len(self.texts)), np.nan, np.float32)
        rows = row_of[self.texts[originals, places]]
        values[rows, originals] = self.leave_one_out[originals, places]
        return values


def fit_one_vs_rest(index: CorpusIndex, view: str, settings: TextFeatures) -> OneVsRestSvm:
    """Fit a machine for each original.

    The kernel is the weighted mean of the cosines in a word view, in the character view and,
    if there is one, in the sentence view, plus 1 for the bias.

    Args:
        index: Vectors of the n known duplicates and k originals.
        view: The word view.
        settings: Weights of the views, rivals and regularisation.
    """
    groups = np.concatenate([index.original_of, np.arange(index.originals)])
    weights = {view: 1 - settings.character_share, CHARACTERS: settings.character_share}
    if SENTENCES in index.texts:
        weights = {name: (1 - settings.sentence_share) * weight for name, weight in weights.items()}
        weights[SENTENCES] = settings.sentence_share
    views = [
        (weight, index.texts[name], index.text_columns[name]) for name, weight in weights.items()
    ]
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(index.originals + 1))

    def fit_one(original: int) -> tuple[NDArray[np.int64], BinarySvm]:
        own = order[starts[original] : starts[original + 1]]
        similarities: Any = sum(
            weight * multiply(texts[own], columns) for weight, texts, columns in views
        )
        similarity = similarities.max(axis=0)
        similarity[own] = np.inf
        size = min(len(own) + settings.margin_rivals, len(groups))
        rows = np.sort(np.argpartition(-similarity, size - 1)[:size])
        kernel: Any = 1.0 + sum(
            weight * multiply(texts[rows], texts[rows].T) for weight, texts, _ in views
        )
        signs = np.where(groups[rows] == original, 1.0, -1.0)
        return rows, fit_binary_svm(kernel, signs, settings.margin_ridge)

    # One BLAS thread each: the matrices are so small that more threads would only wait.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(2) as pool:
        fits = list(
            tqdm(
                pool.map(fit_one, range(index.originals)),
                total=index.originals,
                desc=f"fitting support vector machines on {view}",
                unit="original",
                disable=None,
                delay=5,
            )
        )
    return _pad(fits)


def fit_binary_svm(
    kernel: NDArray[np.float64], signs: NDArray[np.float64], ridge: float
) -> BinarySvm:
    """Fit one machine.

    Args:
        kernel: Shape (m, m), bias included.
        signs: Shape (m,): 1 for the original's own texts, -1 for others.
        ridge: Penalty on the weights; 1/(2C) in scikit-learn's terms.
    """
    support = np.ones(len(signs), dtype=bool)
    for _ in range(MAX_ITERATIONS):
        rows = np.flatnonzero(support)
        factor = cholesky(kernel[np.ix_(rows, rows)] + ridge * np.eye(len(rows)), lower=True)
        weights = np.zeros(len(signs))
        weights[rows] = cho_solve((factor, True), signs[rows])
        values = kernel @ weights
        within_margin = signs * values < 1
        if np.array_equal(within_margin, support) or not within_margin.any():
            break
        support = within_margin
    # The inverse is L⁻ᵀ L⁻¹, so its diagonal has the squared lengths of the columns of L⁻¹.
    inverse_factor = solve_triangular(factor, np.eye(len(rows)), lower=True)
    inverse_diagonal = np.einsum("ij,ij->j", inverse_factor, inverse_factor)
    leave_one_out = values.copy()
    leave_one_out[rows] = signs[rows] - weights[rows] / inverse_diagonal
    return BinarySvm(weights, leave_one_out)


def _pad(fits: list[tuple[NDArray[np.int64], BinarySvm]]) -> OneVsRestSvm:
    """Join machines, each with the rows of its texts, as arrays of the same width."""
    width = max(len(texts) for texts, _ in fits)
    shape = (len(fits), width)
    texts, weights, leave_one_out = (
        np.zeros(shape, np.int32),
        np.zeros(shape, np.float32),
        np.full(shape, np.nan, np.float32),
    )
    for row, (own, machine) in enumerate(fits):
        texts[row, : len(own)] = own
        weights[row, : len(own)] = machine.weights
        leave_one_out[row, : len(own)] = machine.leave_one_out
    return OneVsRestSvm(texts, weights, leave_one_out)
