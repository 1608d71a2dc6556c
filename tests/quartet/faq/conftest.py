"""Provide a small FAQ whose originals differ by topic, and its index."""

import numpy as np
import pandas as pd
import pytest

from quartet.faq.corpus_index import index_tables
from quartet.faq.settings import TextFeatures
from quartet.faq.similarity import Comparer
from quartet.faq.text import fit_encoder, word_view

FEATURES = TextFeatures(seed=1, candidates=6, random_negatives=4, margin_rivals=20)
COMMON_WORDS = "how do i can you please help the my is a what with when it not work"


def make_tables(originals=12, duplicates=6, seed=0):
    """Return originals, duplicates and answers with words of a topic and common words."""
    generator = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    rows, duplicate_rows = [], []
    for number in range(originals):
        topic = ["".join(generator.choice(letters, 6)) for _ in range(8)]

        def make_question(topic=topic):
            words = [*generator.choice(topic, 3), *generator.choice(COMMON_WORDS.split(), 5)]
            return " ".join(generator.permutation(words))

        rows.append((number + 1, number + 101, make_question()))
        duplicate_rows += [
            (1000 + 50 * number + i, number + 101, make_question()) for i in range(duplicates)
        ]
    columns = ["Id", "AnswerId", "text"]
    questions = pd.DataFrame(rows, columns=columns)
    asked = pd.DataFrame(duplicate_rows, columns=columns)
    answers = pd.DataFrame({"Id": questions["AnswerId"], "text": questions["text"] + " answered"})
    return questions, asked, answers


class Registered:
    """A registered model as MLflow loads it."""

    def __init__(self, matcher):
        self._matcher = matcher

    def get_raw_model(self):
        return self._matcher


@pytest.fixture(scope="session")
def faq_tables():
    """Return originals, duplicates and answers."""
    return make_tables()


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
