"""Whether the new matcher may enter the registry."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from quartet import __version__, faq
from quartet.datasets.checkpoint import fingerprint

if TYPE_CHECKING:
    import pandas as pd

    from quartet.datasets.registered_model import Champion, ModelRelease
    from quartet.faq.matcher import Matcher


def make_release(
    matcher: Matcher,
    originals: pd.DataFrame,
    duplicates: pd.DataFrame,
    answers: pd.DataFrame,
    test_results: pd.DataFrame,
    metrics: Mapping[str, float],
    champion: Champion | None,
) -> ModelRelease:
    """The better of the matcher and the champion as a release, approved if that is news.

    Both rank the same test duplicates and know the same others: the champion is
    given the present originals and known duplicates, so that a version from
    other data is compared fairly. A tie keeps the champion. Where it wins with
    knowledge that it was not registered with, it is registered anew with that:
    the version of old would not find what has been asked since.
    """
    from quartet.datasets.registered_model import ModelRelease

    test = duplicates[duplicates["part"] == "test"]
    known = duplicates[duplicates["part"] != "test"]
    rank = faq.evaluation.mean_reciprocal_rank(test_results["rank"].to_numpy())
    known_data = fingerprint(*known["text"], *originals["text"])
    to_beat = None
    if champion is not None:
        rival: Matcher = champion.raw.knowing(originals, known, answers)
        number = faq.matcher.numbers_of(originals, test)
        results = faq.evaluation.judge(
            rival.rank(list(test["text"])), number, originals["Id"].to_numpy()
        )
        to_beat = faq.evaluation.mean_reciprocal_rank(results["rank"].to_numpy())
        if to_beat >= rank:
            matcher = rival
    same = champion is not None and champion.tags.get("known_data_sha256") == known_data
    approved, reason = _verdict(rank, metrics["test_gain_at_1"], to_beat, champion, same)
    return ModelRelease(
        approved=approved,
        reason=reason,
        loader_module="quartet.faq.serving",
        files={faq.serving.MATCHER_FILE: matcher.packed()},
        requirements=faq.serving.REQUIREMENTS,
        input_example=test[["text"]].head(2).set_axis(["Text0"], axis=1).reset_index(drop=True),
        tags={
            "test_mean_reciprocal_rank": str(max(rank, to_beat or 0.0)),
            "known_data_sha256": known_data,
            "test_data_sha256": fingerprint(*test["text"]),
            "quartet_version": __version__,
            **{f"metric.{name}": f"{value:.6g}" for name, value in metrics.items()},
            **{f"parameter.{name}": str(value) for name, value in matcher.parameters},
            **{f"library.{name}": version(name) for name in faq.serving.REQUIREMENTS},
        },
    )


def _verdict(
    rank: float, gain: float, to_beat: float | None, champion: Champion | None, same: bool
) -> tuple[bool, str]:
    said = f"mean reciprocal rank {rank:.4f}, gain@1 {gain:.4f}"
    if champion is None or to_beat is None:
        return True, f"first version: {said}"
    compared = f"{said} against version {champion.version}'s {to_beat:.4f}"
    if rank > to_beat:
        return True, f"{compared} on the same test duplicates"
    if not same:
        return True, f"{compared}: not better, version {champion.version} learns the present texts"
    return False, f"{compared}: not better, version {champion.version} stays"
