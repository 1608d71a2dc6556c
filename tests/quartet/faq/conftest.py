"""A small FAQ whose originals differ by topic, and what is known of it."""

import numpy as np
import pandas as pd
import pytest

from quartet.faq.matcher import index_tables
from quartet.faq.settings import TextFeatures
from quartet.faq.similarity import Comparer
from quartet.faq.text import fit_encoder, word_view

FEATURES = TextFeatures(seed=1, candidates=6, random_negatives=4, margin_rivals=20)
COMMON = [
    "how",
    "do",
    "i",
    "can",
    "you",
    "please",
    "help",
    "the",
    "my",
    "is",
    "a",
    "what",
    "with",
    "when",
    "it",
    "not",
    "work",
]


def invent(originals=12, duplicates=6, seed=0):
    """Tables of made-up questions: a topic's words, mixed with common ones."""
    generator = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    rows, known = [], []
    for number in range(originals):
        topic = ["".join(generator.choice(letters, 6)) for _ in range(8)]

        def ask(topic=topic):
            words = [*generator.choice(topic, 3), *generator.choice(COMMON, 5)]
            return " ".join(generator.permutation(words))

        rows.append((number + 1, number + 101, ask()))
        known += [(1000 + 50 * number + i, number + 101, ask()) for i in range(duplicates)]
    columns = ["Id", "AnswerId", "text"]
    questions, asked = pd.DataFrame(rows, columns=columns), pd.DataFrame(known, columns=columns)
    answers = pd.DataFrame({"Id": questions["AnswerId"], "text": questions["text"] + " answered"})
    return questions, asked, answers


@pytest.fixture(scope="session")
def faq_tables():
    """Originals, duplicates, answers."""
    return invent()


@pytest.fixture(scope="session")
def encoder(faq_tables):
    originals, duplicates, _ = faq_tables
    return fit_encoder([*duplicates["text"], *originals["text"]], FEATURES, (1, 2))


@pytest.fixture(scope="session")
def index(faq_tables, encoder):
    return index_tables(encoder, *faq_tables)


@pytest.fixture(scope="session")
def comparer(index):
    return Comparer.fit(index, [word_view(1), word_view(2)], FEATURES)
