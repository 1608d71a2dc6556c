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
    """The matcher as a release; approved if it beats the champion.

    Both rank the same test duplicates and know the same others: the champion is
    given the present originals and known duplicates, so that a version from
    other data is compared fairly. A tie keeps the champion.
    """
    from quartet.datasets.registered_model import ModelRelease

    test = duplicates[duplicates["part"] == "test"]
    known = duplicates[duplicates["part"] != "test"]
    rank = faq.evaluation.mean_reciprocal_rank(test_results["rank"].to_numpy())
    to_beat = None
    if champion is not None:
        rival: Matcher = champion.raw.knowing(originals, known, answers)
        number = faq.matcher.numbers_of(originals, test)
        results = faq.evaluation.judge(
            rival.rank(list(test["text"])), number, originals["Id"].to_numpy()
        )
        to_beat = faq.evaluation.mean_reciprocal_rank(results["rank"].to_numpy())
    approved, reason = _verdict(rank, metrics["test_gain_at_1"], to_beat, champion)
    return ModelRelease(
        approved=approved,
        reason=reason,
        loader_module="quartet.faq.serving",
        files={faq.serving.MATCHER_FILE: matcher.packed()},
        requirements=faq.serving.REQUIREMENTS,
        input_example=test[["text"]].head(2).set_axis(["Text0"], axis=1).reset_index(drop=True),
        tags={
            "test_mean_reciprocal_rank": str(rank),
            "known_data_sha256": fingerprint(*known["text"], *originals["text"]),
            "test_data_sha256": fingerprint(*test["text"]),
            "quartet_version": __version__,
            **{f"metric.{name}": f"{value:.6g}" for name, value in metrics.items()},
            **{f"parameter.{name}": str(value) for name, value in matcher.parameters},
            **{f"library.{name}": version(name) for name in faq.serving.REQUIREMENTS},
        },
    )


def _verdict(
    rank: float, gain: float, to_beat: float | None, champion: Champion | None
) -> tuple[bool, str]:
    said = f"mean reciprocal rank {rank:.4f}, gain@1 {gain:.4f}"
    if champion is None or to_beat is None:
        return True, f"first version: {said}"
    compared = f"{said} against version {champion.version}'s {to_beat:.4f}"
    if rank > to_beat:
        return True, f"{compared} on the same test duplicates"
    return False, f"{compared}: not better, version {champion.version} stays"
