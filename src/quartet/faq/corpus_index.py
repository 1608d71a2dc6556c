"""What a matcher compares a question with: originals, their known duplicates, their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from quartet.faq.text import (
    CHARACTERS,
    Arrays,
    TextEncoder,
    Vectors,
    sparse_from_arrays,
    sparse_to_arrays,
)

Originals = NDArray[np.int64]
"""Numbers of originals, 0 to k-1, in the order of the table of questions."""


@dataclass(frozen=True)
class CorpusIndex:
    """Vectors of all known texts.

    Attributes:
        original_of: Shape (n,), ascending: which original each known duplicate belongs to.
        texts: By view, shape (n + k, terms): known duplicates, then the k originals.
        answers: By view, shape (k, terms): the answers, in word views only.
    """

    original_of: Originals
    texts: Vectors
    answers: Vectors

    @property
    def duplicates(self) -> int:
        """Number n of known duplicates."""
        return len(self.original_of)

    @property
    def originals(self) -> int:
        """Number k of originals."""
        return int(next(iter(self.texts.values())).shape[0]) - self.duplicates

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Shape (k,): number of each original's first known duplicate."""
        return np.searchsorted(self.original_of, np.arange(self.originals))

    @cached_property
    def known(self) -> NDArray[np.int64]:
        """Shape (k,): known duplicates of each original."""
        return np.bincount(self.original_of, minlength=self.originals)

    @cached_property
    def text_columns(self) -> Vectors:
        """The texts transposed, (terms, n + k), as products with questions want them."""
        return {view: texts.T.tocsr() for view, texts in self.texts.items()}

    @cached_property
    def answer_columns(self) -> Vectors:
        """The answers transposed, shape (terms, k)."""
        return {view: answers.T.tocsr() for view, answers in self.answers.items()}

    def to_arrays(self) -> Arrays:
        """Everything `from_arrays` needs, as plain arrays."""
        arrays: Arrays = {"original_of": self.original_of}
        for part in ("texts", "answers"):
            for view, matrix in getattr(self, part).items():
                arrays |= sparse_to_arrays(matrix, f"{part}.{view}")
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> CorpusIndex:
        """The index whose `to_arrays` gave these."""

        def part(prefix: str) -> dict[str, csr_matrix]:
            names = (key for key in arrays if key.startswith(prefix) and key.endswith(".data"))
            views = (name.removeprefix(prefix).removesuffix(".data") for name in names)
            return {view: sparse_from_arrays(arrays, prefix + view) for view in views}

        return cls(arrays["original_of"], part("texts."), part("answers."))


def build_index(
    encoder: TextEncoder,
    duplicates: Sequence[str],
    original_of: Originals,
    questions: Sequence[str],
    answers: Sequence[str],
) -> CorpusIndex:
    """Vectors of n known duplicates, k originals and their k answers.

    Args:
        encoder: Fitted on the texts that may be known.
        duplicates: n texts, in the order of their originals.
        original_of: Shape (n,), ascending.
        questions: k texts of the originals.
        answers: k texts; empty where there is no answer.

    Raises:
        ValueError: `original_of` is not ascending, or an original has no known duplicate.
    """
    counts = np.bincount(original_of, minlength=len(questions))
    if np.any(np.diff(original_of) < 0) or len(counts) != len(questions) or not counts.all():
        raise ValueError(
            "known duplicates must come in the order of their originals, at least one of each"
        )
    return CorpusIndex(
        original_of=original_of,
        texts=encoder.encode([*duplicates, *questions]),
        answers=_of_words(encoder.encode(answers)),
    )


def _of_words(vectors: Vectors) -> Vectors:
    return {view: matrix for view, matrix in vectors.items() if view != CHARACTERS}
