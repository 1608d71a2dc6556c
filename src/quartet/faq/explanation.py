"""Explain a match: the text most similar to the question, and the words that both have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from quartet.faq.matcher import Matcher
from quartet.faq.text import CHARACTERS, SENTENCES


class Explanation(NamedTuple):
    """Why a question matches an original.

    Attributes:
        nearest: Index of the most similar text.
        similarity: Its similarity to the question, 0 to 1.
        words: Words, or phrases, that both have, with the share of each in the cosine of words;
            the most important first.
    """

    nearest: int
    similarity: float
    words: list[tuple[str, float]]


def explain_match(
    matcher: Matcher, question: str, texts: Sequence[str], max_words: int = 8
) -> Explanation:
    """Compare a question with the texts of one original, as the matcher does.

    Args:
        matcher: The matcher, whose vocabulary and weights of words are used.
        question: Cleaned text.
        texts: Cleaned texts: the original, and known duplicates of it.
        max_words: Maximum number of words to return.
    """
    (view,) = matcher.comparer.svms
    asked, known = matcher.encoder.encode([question]), matcher.encoder.encode(texts)
    words, characters = (
        (known[name] @ asked[name].T).toarray().ravel() for name in (view, CHARACTERS)
    )
    share = matcher.features.character_share
    similarities = (1 - share) * words + share * characters
    if SENTENCES in known:
        share = matcher.features.sentence_share
        meanings = (known[SENTENCES] @ asked[SENTENCES].T).ravel()
        similarities = (1 - share) * similarities + share * meanings
    nearest = int(similarities.argmax())
    products = known[view][nearest].multiply(asked[view]).tocsr()
    order = np.argsort(-products.data, kind="stable")[:max_words]
    terms = {index: term for term, index in matcher.encoder.views[view].vocabulary_.items()}
    shared = [
        (terms[int(products.indices[entry])], float(products.data[entry] / words[nearest]))
        for entry in order
    ]
    return Explanation(nearest, float(similarities[nearest]), shared)
