"""Texts as vectors: TF-IDF over word and character n-grams, in several views."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from quartet.faq.settings import TextFeatures

CHARACTERS = "char"
"""The view over character n-grams."""
REMEMBERED_WORDS = 200_000
"""Words whose character n-grams are kept at hand, some 100 bytes each."""

Arrays = dict[str, NDArray[Any]]
Vectors = Mapping[str, csr_matrix]
"""By view: rows of length 1, so that a product of two is their cosine; float32."""


def word_view(ngrams: int) -> str:
    """Name of the view over words and runs of up to `ngrams` words."""
    return f"word{ngrams}"


class CharacterVectorizer(TfidfVectorizer):  # type: ignore[misc]  # scikit-learn is untyped
    """scikit-learn's vectoriser for runs of characters within words, each word read once.

    A text's runs are those of its words, and most words come again and again;
    what a word consists of is remembered. Same vectors, several times as fast.
    """

    def transform(self, raw_documents: Sequence[str]) -> csr_matrix:
        """Vectors of n texts of lower-case words with single spaces, shape (n, terms)."""
        words = [text.split() for text in raw_documents]
        runs = [self._runs(word) for text in words for word in text]
        sizes = np.array([len(run) for run in runs], dtype=np.int64)
        ends = np.cumsum([0, *(len(text) for text in words)])
        indptr = np.concatenate([[0], np.cumsum(sizes)])[ends]
        indices = np.concatenate([*runs, np.empty(0, np.int32)])
        counts = csr_matrix(
            (np.ones(len(indices), np.float32), indices, indptr.astype(np.int32)),
            shape=(len(words), len(self.vocabulary_)),
        )
        counts.sum_duplicates()
        return self._tfidf.transform(counts, copy=False)

    @cached_property
    def _runs(self) -> Callable[[str], NDArray[np.int32]]:
        analyse = self.build_analyzer()
        number_of = self.vocabulary_.get

        @lru_cache(maxsize=REMEMBERED_WORDS)
        def runs(word: str) -> NDArray[np.int32]:
            found = (number_of(run) for run in analyse(word))
            return np.array([number for number in found if number is not None], dtype=np.int32)

        return runs


@dataclass(frozen=True)
class TextEncoder:
    """One fitted TF-IDF vectoriser a view."""

    views: Mapping[str, TfidfVectorizer]

    def encode(self, texts: Sequence[str]) -> dict[str, csr_matrix]:
        """Vectors of n cleaned texts: by view a matrix of shape (n, terms of the view)."""
        return {name: view.transform(texts) for name, view in self.views.items()}

    def to_arrays(self) -> Arrays:
        """Everything `from_arrays` needs, as plain arrays."""
        arrays: Arrays = {}
        for name, view in self.views.items():
            terms = sorted(view.vocabulary_, key=view.vocabulary_.__getitem__)
            settings = {key: view.get_params()[key] for key in ("analyzer", "ngram_range")}
            arrays[f"{name}.settings"] = text_to_array(json.dumps(settings))
            arrays[f"{name}.terms"] = text_to_array("\n".join(terms))  # no term holds a line break
            arrays[f"{name}.idf"] = view.idf_.astype(np.float32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TextEncoder:
        """The encoder whose `to_arrays` gave these."""
        views = {}
        for name in (key.removesuffix(".idf") for key in arrays if key.endswith(".idf")):
            settings = json.loads(text_from_array(arrays[f"{name}.settings"]))
            terms = text_from_array(arrays[f"{name}.terms"]).split("\n")
            view = _vectoriser(settings["analyzer"], tuple(settings["ngram_range"]))
            view.vocabulary_ = {term: number for number, term in enumerate(terms)}
            view.fixed_vocabulary_ = True
            view.idf_ = arrays[f"{name}.idf"]
            views[name] = view
        return cls(views)


def fit_encoder(
    texts: Iterable[str], settings: TextFeatures, word_ngrams: Iterable[int]
) -> TextEncoder:
    """Learn terms and their inverse document frequencies, once for all views.

    Terms in more than `max_documents` texts are left out: they tell little, and
    products of vectors take as long as their commonest terms have it.

    Raises:
        ValueError: The texts hold no words.
    """
    known = list(texts)
    fitted = {}
    shapes = {word_view(ngrams): ("word", (1, ngrams)) for ngrams in sorted(set(word_ngrams))}
    shapes[CHARACTERS] = ("char_wb", (settings.min_characters, settings.max_characters))
    for name, (analyzer, ngram_range) in shapes.items():
        view = _vectoriser(analyzer, ngram_range, max_df=min(settings.max_documents, len(known)))
        try:
            fitted[name] = view.fit(known)
        except ValueError as error:
            raise ValueError(
                f"no text features can be made of these {len(known)} texts ({error}); do they hold "
                "words?"
            ) from error
    return TextEncoder(fitted)


def _vectoriser(analyzer: str, ngram_range: tuple[int, int], **options: Any) -> TfidfVectorizer:
    kind = CharacterVectorizer if analyzer == "char_wb" else TfidfVectorizer
    return kind(
        analyzer=analyzer,
        ngram_range=ngram_range,
        sublinear_tf=True,  # a word said twice is not twice the evidence
        dtype=np.float32,
        **options,
    )


def text_to_array(text: str) -> NDArray[np.uint8]:
    """A text as an array, for files of named arrays."""
    return np.frombuffer(text.encode(), dtype=np.uint8)


def text_from_array(array: NDArray[np.uint8]) -> str:
    """The text that `text_to_array` made an array of."""
    return array.tobytes().decode()


def sparse_to_arrays(matrix: csr_matrix, name: str) -> Arrays:
    """A sparse matrix as four arrays whose names begin with `name`."""
    return {
        f"{name}.data": matrix.data.astype(np.float32),
        f"{name}.indices": matrix.indices.astype(np.int32),
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.shape": np.array(matrix.shape, dtype=np.int64),
    }


def sparse_from_arrays(arrays: Mapping[str, NDArray[Any]], name: str) -> csr_matrix:
    """The matrix that `sparse_to_arrays` took apart."""
    parts = [arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr")]
    return csr_matrix(tuple(parts), shape=tuple(arrays[f"{name}.shape"]))
