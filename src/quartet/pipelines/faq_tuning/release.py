"""Whether the new matcher may enter the registry."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quartet import __version__, faq
from quartet.datasets.checkpoint import fingerprint

if TYPE_CHECKING:
    import pandas as pd

    from quartet.datasets.registered_model import Champion, ModelRelease
    from quartet.faq.matcher import Matcher
    from quartet.faq.settings import TestEvaluation


class _Contender(NamedTuple):
    """A matcher that knows the present texts, and how it does on the test duplicates."""

    matcher: Matcher
    metrics: Mapping[str, float]

    @property
    def reciprocal_rank(self) -> float:
        return self.metrics["test_mean_reciprocal_rank"]

    def __str__(self) -> str:
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
    """The better of the matcher and the champion as a release, approved if that is news.

    Both rank the same test duplicates and know the same others: the champion is
    given the present originals, known duplicates and answers, so that a version
    from other data is compared fairly. A tie keeps the champion. Where it wins
    with knowledge that it was not registered with, it is registered anew with
    that, and with the metrics it then has: the version of old would not find
    what has been asked since, nor give an answer as it now stands.
    """
    from quartet.datasets.registered_model import ModelRelease

    test = duplicates[duplicates["part"] == "test"]
    known = duplicates[duplicates["part"] != "test"]
    knowledge = fingerprint(
        *_columns(known, "AnswerId", "text"),
        *_columns(originals, "Id", "AnswerId", "text"),
        *_columns(answers, "text"),
    )
    old = None
    if champion is not None:
        rival: Matcher = champion.raw.with_corpus(originals, known, answers)
        old = _judged(rival, originals, test, evaluation)
    best, approved, reason = _verdict(_Contender(matcher, metrics), old, champion, knowledge)
    return ModelRelease(
        approved=approved,
        reason=reason,
        loader_module="quartet.faq.serving",
        files={faq.serving.MATCHER_FILE: best.matcher.to_bytes()},
        requirements=faq.serving.REQUIREMENTS,
        input_example=test[["text"]].head(2).set_axis(["Text0"], axis=1).reset_index(drop=True),
        tags=_tags(best, knowledge, fingerprint(*_columns(test, "AnswerId", "text"))),
    )


def _columns(table: pd.DataFrame, *names: str) -> list[list[Any]]:
    """Each as a list, so that a fingerprint tells where one ends and the next begins."""
    return [table[name].tolist() for name in names]


def _judged(
    rival: Matcher, originals: pd.DataFrame, test: pd.DataFrame, evaluation: TestEvaluation
) -> _Contender:
    """The rival with the numbers that the new matcher has of the same test duplicates."""
    results, calibration = rival.evaluate(originals, test, evaluation.bins)
    ranks = results["rank"].to_numpy()
    gains = faq.evaluation.gains_table(
        {"rival": ranks},
        evaluation.ranks,
        evaluation.resamples,
        np.random.default_rng(evaluation.seed),
    )
    return _Contender(rival, faq.evaluation.summarise(ranks, gains, calibration))


def _verdict(
    new: _Contender, old: _Contender | None, champion: Champion | None, knowledge: str
) -> tuple[_Contender, bool, str]:
    """The better one, whether it is news to the registry, and why."""
    if old is None or champion is None:
        return new, True, f"first version: {new}"
    name = f"version {champion.version}"
    compared = f"{new} against {name}'s {old.reciprocal_rank:.4f}"
    if new.reciprocal_rank > old.reciprocal_rank:
        return new, True, f"{compared} on the same test duplicates"
    if champion.tags.get("known_data_sha256") == knowledge:
        return old, False, f"{compared}: not better, {name} stays"
    beaten = f"the new matcher's {new.reciprocal_rank:.4f} is not better"
    return old, True, f"{name} with the present texts: {old}; {beaten}"


def _tags(contender: _Contender, knowledge: str, test_data: str) -> dict[str, str]:
    """Facts about the contender, and of no other."""
    numbers, parameters = contender.metrics.items(), contender.matcher.parameters
    return {
        "test_mean_reciprocal_rank": str(contender.reciprocal_rank),
        "known_data_sha256": knowledge,
        "test_data_sha256": test_data,
        "quartet_version": __version__,
        **{f"metric.{name}": f"{value:.6g}" for name, value in numbers},
        **{f"parameter.{name}": str(value) for name, value in parameters},
        **{f"library.{name}": version(name) for name in faq.serving.REQUIREMENTS},
    }
