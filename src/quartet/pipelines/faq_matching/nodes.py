"""Define the node of `faq_matching`."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import lazy_loader

from kedro_cloud.core.run_command import run_command
from quartet import faq
from quartet.datasets.accepted_share import check_accepted_share
from quartet.faq.settings import Matching

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.registered_model import Champion
else:
    pd = lazy_loader.load("pandas")
    Figure = Champion = Any

logger = logging.getLogger(__name__)


def match_questions(
    faq_new_questions: pd.DataFrame, faq_ranker: Champion | None, faq_matching_settings: Matching
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, Figure, dict[str, float]]:
    """Match new questions with the registered ranker.

    Args:
        faq_new_questions: Columns `Id` and `Text0`, one row per question.
        faq_ranker: The registered ranker; None if there is none.
        faq_matching_settings: Number of matches and thresholds.

    Returns:
        Matches (`settings.matches` rows per question, the columns of `Matcher.match` and `asked`);
        those of the first questions; the first match of each question that is probably unanswered;
        questions without text; a histogram of the first probabilities; metrics. If the ranker does
        not recognise questions without an answer, `unanswered` is empty, and no metric counts them.

    Raises:
        ValueError: No ranker is registered, or too few questions have a text.
    """
    if faq_ranker is None:
        raise ValueError(
            "faq_ranker: no version of the model is registered; run "
            f"`{run_command('faq_tuning')}` first"
        )
    questions, empty = _split_empty(faq_new_questions, faq_matching_settings)
    matcher: faq.matcher.Matcher = faq_ranker.raw_model
    is_known = matcher.answerability is not None
    if not is_known:
        reason = (
            "was tuned on too few duplicates"
            if matcher.is_tuned
            else "is not tuned, so `probability` is a similarity from 0 to 1"
        )
        logger.warning(
            "faq_ranker: version %s %s, and questions without an answer are not recognised; add "
            "duplicates and run `%s`",
            *(faq_ranker.version, reason, run_command("faq_tuning")),
        )
    start = time.perf_counter()
    matches = matcher.match(list(questions["Text0"]), faq_matching_settings.matches)
    seconds = time.perf_counter() - start
    matches = _add_questions(matches, questions)
    if is_known and faq_matching_settings.min_answerable is not None:
        matches["unanswered"] = matches["answerable"] < faq_matching_settings.min_answerable
    first = matches[matches["rank"] == 1]
    unanswered = first[first["unanswered"]].drop(columns=["rank", "unanswered"])
    counts = {
        "answered_questions": len(questions) - len(unanswered),
        "unanswered_questions": len(unanswered),
    }
    metrics = {
        "questions": len(questions),
        "questions_without_text": len(empty),
        "mean_first_probability": float(first["probability"].mean()),
        **(counts if is_known else {}),
        "questions_with_probable_match": int((first["probability"] >= 0.5).sum()),
        "ranker_version": faq_ranker.version,
        "seconds": seconds,
        "questions_per_s": len(questions) / seconds,
    }
    examples = matches.head(faq_matching_settings.examples * faq_matching_settings.matches)
    figure = faq.figures.plot_top_probabilities(first["probability"].to_numpy())
    return matches, examples, unanswered, empty, figure, metrics


def _split_empty(questions: pd.DataFrame, settings: Matching) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the questions with and without text; raise ValueError if too few have one."""
    has_text = questions["Text0"].str.strip() != ""
    complete, empty = questions[has_text], questions[~has_text]
    if complete.empty:
        raise ValueError(
            f"faq_new_questions: none of the {len(empty)} questions has a text; check the file"
        )
    check_accepted_share(
        "faq_new_questions",
        len(complete),
        {"has no text": len(empty)},
        ", ".join(f"Id {value}" for value in empty["Id"].head(1)),
        settings.min_accepted_share,
        unit="questions",
        report="unmatched_questions",
    )
    return complete, empty


def _add_questions(matches: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Return matches whose first columns are Id and text of the question, not its index."""
    matched = questions.iloc[matches["question"]]
    matches = matches.assign(question=matched["Id"].to_numpy())
    matches.insert(1, "asked", matched["Text0"].to_numpy())
    return matches
