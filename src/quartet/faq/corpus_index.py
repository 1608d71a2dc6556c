"""Index the texts that questions are compared with: originals, known duplicates and answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.faq.cleaning import clean_text
from quartet.faq.tables import add_own_texts, indices_of
from quartet.faq.text import (
    CHARACTERS,
    SENTENCES,
    Arrays,
    Matrix,
    TextEncoder,
    Vectors,
    sparse_from_arrays,
    sparse_to_arrays,
)

OriginalIndices = NDArray[np.int64]
"""Indices of originals, 0 to k-1, in the order of the table of originals."""


@dataclass(frozen=True)
class CorpusIndex:
    """Vectors of n known duplicates, k originals and their answers.

    Attributes:
        original_of: Shape (n,), ascending: index of each known duplicate's original.
        texts: By view, shape (n + k, terms): known duplicates, then originals.
        answers: By view other than characters, shape (k, terms).
        is_own: Shape (n,): mask of known duplicates that are the own text of an original without
            others. Not saved: it matters for training only.
    """

    original_of: OriginalIndices
    texts: Vectors
    answers: Vectors
    is_own: NDArray[np.bool_] | None = None

    @property
    def duplicates(self) -> int:
        """Number n of known duplicates."""
        return len(self.original_of)

    @property
    def originals(self) -> int:
        """Number k of originals."""
        return int(next(iter(self.texts.values())).shape[0]) - self.duplicates

    @property
    def asked(self) -> OriginalIndices:
        """Rows of the known duplicates that people asked: none is an original's own text."""
        rows = np.arange(self.duplicates)
        return rows if self.is_own is None else rows[~self.is_own]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Row of each original's first known duplicate; shape (k,)."""
        return np.searchsorted(self.original_of, np.arange(self.originals))

    @cached_property
    def duplicate_counts(self) -> NDArray[np.int64]:
        """Number of each original's known duplicates; shape (k,)."""
        return np.bincount(self.original_of, minlength=self.originals)

    @cached_property
    def text_columns(self) -> Vectors:
        """The texts transposed, for fast products with questions; by view, (terms, n + k)."""
        return {view: _transpose(texts) for view, texts in self.texts.items()}

    @cached_property
    def answer_columns(self) -> Vectors:
        """The answers transposed; by view, shape (terms, k)."""
        return {view: _transpose(answers) for view, answers in self.answers.items()}

    def to_arrays(self) -> Arrays:
        """Return the index as named arrays."""
        arrays: Arrays = {"original_of": self.original_of}
        for part in ("texts", "answers"):
            for view, matrix in getattr(self, part).items():
                name = f"{part}.{view}"
                arrays |= {name: matrix} if view == SENTENCES else sparse_to_arrays(matrix, name)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> CorpusIndex:
        """Restore an index from `to_arrays`."""

        def restore(prefix: str) -> dict[str, Matrix]:
            names = (key for key in arrays if key.startswith(prefix) and key.endswith(".data"))
            views = (name.removeprefix(prefix).removesuffix(".data") for name in names)
            sparse = {view: sparse_from_arrays(arrays, prefix + view) for view in views}
            dense = arrays.get(prefix + SENTENCES)
            return sparse if dense is None else {**sparse, SENTENCES: dense}

        return cls(arrays["original_of"], restore("texts."), restore("answers."))


def index_tables(
    encoder: TextEncoder, originals: pd.DataFrame, duplicates: pd.DataFrame, answers: pd.DataFrame
) -> CorpusIndex:
    """Encode known duplicates, originals and answers.

    Args:
        encoder: A fitted encoder.
        originals: Columns `AnswerId`, `text`. One without duplicates is indexed as its own.
        duplicates: Columns `AnswerId`, `text`.
        answers: Column `text`, one row an original, in their order; empty if it has none.
    """
    known = add_own_texts(originals, duplicates)
    answer_vectors = encoder.encode_terms(list(answers["text"]))
    return CorpusIndex(
        original_of=indices_of(originals, known),
        texts=encoder.encode([*known["text"], *originals["text"]]),
        answers={
            **{view: matrix for view, matrix in answer_vectors.items() if view != CHARACTERS},
            **encoder.encode_sentences([clean_text(answer) for answer in answers["text"]]),
        },
        is_own=known["is_own"].to_numpy(dtype=bool),
    )


def _transpose(matrix: Matrix) -> Matrix:
    """Return the transpose with rows that are contiguous in memory."""
    return np.ascontiguousarray(matrix.T) if isinstance(matrix, np.ndarray) else matrix.T.tocsr()
