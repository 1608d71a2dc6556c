"""Nodes of `faq_matching`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import lazy_loader

from quartet import faq
from quartet.faq.settings import Matching

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.registered_model import Champion
else:
    pd = lazy_loader.load("pandas")
    Figure = Champion = Any


def match_questions(
    faq_new_questions: pd.DataFrame, faq_ranker: Champion | None, faq_matches_wanted: Matching
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Figure, dict[str, float]]:
    """Matches of each question, those of the first few, questions without text, and numbers.

    Raises:
        ValueError: No ranker is registered, or no question has a text.
    """
    if faq_ranker is None:
        raise ValueError(
            "no version of the model of faq_ranker is registered: run `kedro run --pipelines "
            "faq_tuning` first"
        )
    matcher: faq.matcher.Matcher = faq_ranker.raw_model
    has_text = faq_new_questions["Text0"].str.strip() != ""
    asked, silent = faq_new_questions[has_text], faq_new_questions[~has_text]
    if asked.empty:
        raise ValueError(f"none of the {len(silent)} questions has a text; is it the right file?")
    start = time.perf_counter()
    matches = matcher.match(list(asked["Text0"]), faq_matches_wanted.matches)
    seconds = time.perf_counter() - start
    chosen = asked.iloc[matches["question"]]
    matches = matches.assign(question=chosen["Id"].to_numpy(), asked=chosen["Text0"].to_numpy())
    matches = matches[["question", "asked", *matches.columns.drop(["question", "asked"])]]
    first = matches[matches["rank"] == 1]["probability"]
    metrics = {
        "questions": len(asked),
        "questions_without_text": len(silent),
        "mean_first_probability": float(first.mean()),
        "questions_with_probable_match": int((first >= 0.5).sum()),
        "ranker_version": faq_ranker.version,
        "seconds": seconds,
        "questions_per_s": len(asked) / seconds,
    }
    rows = faq_matches_wanted.examples * faq_matches_wanted.matches
    figure = faq.figures.plot_top_probabilities(first.to_numpy())
    return matches, matches.head(rows), silent, figure, metrics
