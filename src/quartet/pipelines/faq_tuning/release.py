"""Decide which matcher to register."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quartet import __version__, faq
from quartet.datasets.checkpoint import fingerprint
from quartet.faq.settings import LEXICAL

from .card import make_card

if TYPE_CHECKING:
    import pandas as pd

    from quartet.datasets.registered_model import Champion, ModelRelease
    from quartet.faq.matcher import Matcher
    from quartet.faq.settings import TestEvaluation


class _EvaluatedMatcher(NamedTuple):
    """A matcher of the current corpus with its metrics on the test duplicates."""

    matcher: Matcher
    metrics: Mapping[str, float]

    @property
    def is_tested(self) -> bool:
        return "test_mean_reciprocal_rank" in self.metrics

    @property
    def reciprocal_rank(self) -> float:
        return self.metrics["test_mean_reciprocal_rank"]

    def __str__(self) -> str:
        if not self.is_tested:
            return "not tuned and not tested, as there are too few duplicates"
        gain = self.metrics["test_gain_at_1"]
        return f"mean reciprocal rank {self.reciprocal_rank:.4f}, gain@1 {gain:.4f}"


def make_release(
    matcher: Matcher,
    originals: pd.DataFrame,
    duplicates: pd.DataFrame,
    answers: pd.DataFrame,
    metrics: Mapping[str, float],
    champion: Champion | None,
    evaluation: TestEvaluation,
) -> ModelRelease:
    """Return the better of the matcher and the champion, approved if it is to be registered.

    Both are evaluated on the same test duplicates with the current corpus, so that a
    champion from other data is compared fairly. A tie keeps the champion. A champion that
    wins with a corpus other than it was registered with is registered again, with the
    current corpus and its metrics; otherwise new questions and answers would be missing.
    Without test duplicates, the new matcher is registered if the corpus has changed.

    Args:
        matcher: The new matcher.
        originals: Columns `Id`, `AnswerId`, `text`.
        duplicates: Columns `Id`, `AnswerId`, `text`, `part`.
        answers: Column `text`, one row an original, in their order.
        metrics: Metrics of the new matcher.
        champion: The registered version, if any.
        evaluation: How to evaluate the champion.
    """
    from quartet.datasets.registered_model import ModelRelease

    test = duplicates[duplicates["part"] == "test"]
    known = duplicates[duplicates["part"] != "test"]
    corpus_hash = fingerprint(
        *_list_columns(known, "AnswerId", "text"),
        *_list_columns(originals, "Id", "AnswerId", "text"),
        *_list_columns(faq.matcher.make_originals_table(originals, answers), "question", "answer"),
    )
    old = None
    if champion is not None and not test.empty:
        champion_matcher: Matcher = champion.raw_model.with_corpus(originals, known, answers)
        old = _evaluate(champion_matcher, originals, test, evaluation)
    new = _EvaluatedMatcher(matcher, metrics)
    best, approved, reason = _choose_matcher(new, old, champion, corpus_hash)
    examples = originals if test.empty else test
    test_hash = fingerprint(*_list_columns(test, "AnswerId", "text"))
    return ModelRelease(
        approved=approved,
        reason=reason,
        loader_module="quartet.faq.serving",
        files={faq.serving.MATCHER_FILE: best.matcher.to_bytes()},
        requirements=faq.serving.list_requirements(best.matcher),
        input_example=examples[["text"]].head(2).set_axis(["Text0"], axis=1).reset_index(drop=True),
        tags=_make_tags(best, corpus_hash, test_hash),
        card=make_card(
            best.metrics if best.is_tested else {},
            {"originals": len(originals), "duplicates": len(known), "test duplicates": len(test)},
            {"originals, duplicates and answers": corpus_hash, "test duplicates": test_hash},
        ),
    )


def _list_columns(table: pd.DataFrame, *names: str) -> list[list[Any]]:
    """Return columns as lists, whose boundaries a fingerprint distinguishes."""
    return [table[name].tolist() for name in names]


def _evaluate(
    matcher: Matcher, originals: pd.DataFrame, test: pd.DataFrame, evaluation: TestEvaluation
) -> _EvaluatedMatcher:
    """Compute the metrics that `metrics` has of the new matcher, from the same test duplicates."""
    results, calibration = matcher.evaluate(originals, test, evaluation.bins)
    ranks = results["rank"].to_numpy()
    gains = faq.evaluation.gains_table(
        {"champion": ranks},
        evaluation.ranks,
        evaluation.resamples,
        np.random.default_rng(evaluation.seed),
    )
    return _EvaluatedMatcher(matcher, faq.evaluation.summarise(ranks, gains, calibration))


def _choose_matcher(
    new: _EvaluatedMatcher,
    old: _EvaluatedMatcher | None,
    champion: Champion | None,
    corpus_hash: str,
) -> tuple[_EvaluatedMatcher, bool, str]:
    """Return the better matcher, whether to register it, and the reason."""
    if champion is None:
        return new, True, f"first version: {new}"
    name = f"version {champion.version}"
    if old is None:
        is_current = champion.tags.get("known_data_sha256") == corpus_hash
        outcome = f"same questions, {name} stays" if is_current else "other questions"
        return new, not is_current, f"{new}: {outcome}"
    comparison = f"{new} against {name}'s {old.reciprocal_rank:.4f}"
    if new.reciprocal_rank > old.reciprocal_rank:
        return new, True, f"{comparison} on the same test duplicates"
    if champion.tags.get("known_data_sha256") == corpus_hash:
        return old, False, f"{comparison}: not better, {name} stays"
    remark = f"the new matcher's {new.reciprocal_rank:.4f} is not better"
    return old, True, f"{name} with the current corpus: {old}; {remark}"


def _make_tags(best: _EvaluatedMatcher, corpus_hash: str, test_hash: str) -> dict[str, str]:
    """Describe the released matcher in tags of the registry."""
    sentences = best.matcher.encoder.sentences
    rank = {"test_mean_reciprocal_rank": str(best.reciprocal_rank)} if best.is_tested else {}
    return {
        **rank,
        "tuned": str(best.matcher.is_tuned).lower(),
        "known_data_sha256": corpus_hash,
        "test_data_sha256": test_hash,
        "quartet_version": __version__,
        **{f"metric.{name}": f"{value:.6g}" for name, value in best.metrics.items()},
        **{f"parameter.{name}": str(value) for name, value in best.matcher.parameters},
        "encoder": sentences.sha256 if sentences else LEXICAL,
        **{
            f"library.{name}": version(name) for name in faq.serving.list_requirements(best.matcher)
        },
    }
