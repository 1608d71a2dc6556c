"""Encode texts in several views: TF-IDF of word and character n-grams, and sentence vectors."""

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

from quartet.faq.sentences import SentenceEncoder
from quartet.faq.settings import TextFeatures

CHARACTERS = "char"
"""The view of character n-grams."""
SENTENCES = "sentence"
"""The view of a sentence encoder, whose vectors are dense."""
CACHED_WORDS = 200_000
"""Words whose character n-grams are cached, about 100 bytes each."""

Arrays = dict[str, NDArray[Any]]
Matrix = Any
"""A float32 matrix: sparse for n-grams, a NumPy array for sentences. SciPy is untyped."""
Vectors = Mapping[str, Matrix]
"""By view, a float32 matrix with rows of unit length, whose products are cosines."""


def word_view(ngrams: int) -> str:
    """Return the name of the view of word n-grams up to this length."""
    return f"word{ngrams}"


class CharacterVectorizer(TfidfVectorizer):  # type: ignore[misc]  # scikit-learn is untyped
    """A faster `TfidfVectorizer` for character n-grams within words (`char_wb`).

    The n-grams of a text are those of its words, so they are cached by word. The vectors
    are the same.
    """

    def transform(self, raw_documents: Sequence[str]) -> csr_matrix:
        """Return vectors of n lower-case texts with single spaces, shape (n, terms)."""
        words = [text.split() for text in raw_documents]
        ngrams = [self._encode_word(word) for text in words for word in text]
        sizes = np.array([len(indices) for indices in ngrams], dtype=np.int64)
        ends = np.cumsum([0, *(len(text) for text in words)])
        indptr = np.concatenate([[0], np.cumsum(sizes)])[ends]
        indices = np.concatenate([*ngrams, np.empty(0, np.int32)])
        counts = csr_matrix(
            (np.ones(len(indices), np.float32), indices, indptr.astype(np.int32)),
            shape=(len(words), len(self.vocabulary_)),
        )
        counts.sum_duplicates()
        return self._tfidf.transform(counts, copy=False)

    @cached_property
    def _encode_word(self) -> Callable[[str], NDArray[np.int32]]:
        """Function that returns the vocabulary indices of a word's n-grams."""
        analyse = self.build_analyzer()
        get_index = self.vocabulary_.get

        @lru_cache(maxsize=CACHED_WORDS)
        def encode_word(word: str) -> NDArray[np.int32]:
            indices = (get_index(ngram) for ngram in analyse(word))
            return np.array([index for index in indices if index is not None], dtype=np.int32)

        return encode_word


@dataclass(frozen=True)
class TextEncoder:
    """Fitted TF-IDF vectorisers, one a view, and a sentence encoder, if there is one."""

    views: Mapping[str, TfidfVectorizer]
    sentences: SentenceEncoder | None = None

    def encode(self, texts: Sequence[str]) -> dict[str, Matrix]:
        """Return vectors of n cleaned texts; by view, shape (n, terms)."""
        return {**self.encode_terms(texts), **self.encode_sentences(texts)}

    def encode_terms(self, texts: Sequence[str]) -> dict[str, csr_matrix]:
        """Return the TF-IDF vectors of n texts; by view, shape (n, terms)."""
        return {name: view.transform(texts) for name, view in self.views.items()}

    def encode_sentences(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the sentence vectors of n texts, shape (n, dimensions), if there are any."""
        return {} if self.sentences is None else {SENTENCES: self.sentences.encode(texts)}

    def to_arrays(self) -> Arrays:
        """Return the encoder as named arrays."""
        arrays: Arrays = {}
        if self.sentences is not None:
            arrays = add_prefix(f"{SENTENCES}.", self.sentences.to_arrays())
        for name, view in self.views.items():
            terms = sorted(view.vocabulary_, key=view.vocabulary_.__getitem__)
            settings = {key: view.get_params()[key] for key in ("analyzer", "ngram_range")}
            arrays[f"{name}.settings"] = text_to_array(json.dumps(settings))
            # No term contains a line break.
            arrays[f"{name}.terms"] = text_to_array("\n".join(terms))
            arrays[f"{name}.idf"] = view.idf_.astype(np.float32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TextEncoder:
        """Restore an encoder from `to_arrays`."""
        views = {}
        for name in (key.removesuffix(".idf") for key in arrays if key.endswith(".idf")):
            settings = json.loads(text_from_array(arrays[f"{name}.settings"]))
            terms = text_from_array(arrays[f"{name}.terms"]).split("\n")
            view = _make_vectoriser(settings["analyzer"], tuple(settings["ngram_range"]))
            view.vocabulary_ = {term: index for index, term in enumerate(terms)}
            view.fixed_vocabulary_ = True
            view.idf_ = arrays[f"{name}.idf"]
            views[name] = view
        sentences = select_prefix(f"{SENTENCES}.", arrays)
        return cls(views, SentenceEncoder.from_arrays(sentences) if sentences else None)


def multiply(vectors: Matrix, columns: Matrix) -> NDArray[np.float32]:
    """Return the cosines of texts as a dense matrix, shape (q, n).

    Args:
        vectors: Shape (q, terms).
        columns: Shape (terms, n).
    """
    product: Any = vectors @ columns
    dense: NDArray[np.float32] = product if isinstance(product, np.ndarray) else product.toarray()
    return dense


def fit_encoder(
    texts: Iterable[str],
    settings: TextFeatures,
    word_ngrams: Iterable[int],
    sentences: SentenceEncoder | None = None,
) -> TextEncoder:
    """Fit the vocabularies and inverse document frequencies of all views.

    Args:
        texts: Cleaned texts.
        settings: Lengths of character n-grams, and the maximum document frequency.
        word_ngrams: Maximum length of word n-grams of each word view.
        sentences: The sentence encoder, which is not fitted; None for lexical views only.

    Raises:
        ValueError: The texts contain no words.
    """
    corpus = list(texts)
    fitted = {}
    shapes = {word_view(ngrams): ("word", (1, ngrams)) for ngrams in sorted(set(word_ngrams))}
    shapes[CHARACTERS] = ("char_wb", (settings.min_characters, settings.max_characters))
    for name, (analyzer, ngram_range) in shapes.items():
        max_df = min(settings.max_documents, len(corpus))
        view = _make_vectoriser(analyzer, ngram_range, max_df=max_df)
        try:
            fitted[name] = view.fit(corpus)
        except ValueError as error:
            raise ValueError(
                f"cannot build text features of {len(corpus)} texts ({error}); check that they "
                "contain words"
            ) from error
    return TextEncoder(fitted, sentences)


def _make_vectoriser(
    analyzer: str, ngram_range: tuple[int, int], **options: Any
) -> TfidfVectorizer:
    vectoriser = CharacterVectorizer if analyzer == "char_wb" else TfidfVectorizer
    return vectoriser(
        analyzer=analyzer,
        ngram_range=ngram_range,
        sublinear_tf=True,  # a repeated word is less than twice the evidence
        dtype=np.float32,
        **options,
    )


def text_to_array(text: str) -> NDArray[np.uint8]:
    """Return a text as a UTF-8 array, for files of named arrays."""
    return np.frombuffer(text.encode(), dtype=np.uint8)


def text_from_array(array: NDArray[np.uint8]) -> str:
    """Restore a text from `text_to_array`."""
    return array.tobytes().decode()


def sparse_to_arrays(matrix: csr_matrix, name: str) -> Arrays:
    """Return a sparse matrix as four arrays whose names begin with `name`."""
    return {
        f"{name}.data": matrix.data.astype(np.float32),
        f"{name}.indices": matrix.indices.astype(np.int32),
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.shape": np.array(matrix.shape, dtype=np.int64),
    }


def sparse_from_arrays(arrays: Mapping[str, NDArray[Any]], name: str) -> csr_matrix:
    """Restore a sparse matrix from `sparse_to_arrays`."""
    parts = [arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr")]
    return csr_matrix(tuple(parts), shape=tuple(arrays[f"{name}.shape"]))


def add_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return the arrays under names that begin with a prefix."""
    return {prefix + name: array for name, array in arrays.items()}


def select_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return the arrays whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
