"""Evaluate rankings: gain@k, mean rank, mean reciprocal rank and calibration.

gain@k is recall@k: the share of questions whose right original is among the first k.
Each question has one right original. Ties count against the ranking: among candidates
with equal scores, the right one comes last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ranks = NDArray[np.int64]
"""Shape (q,): rank of each question's right original, from 1."""
Values = NDArray[np.floating]


class Ranking(NamedTuple):
    """Unordered candidates of q questions.

    Attributes:
        candidates: Shape (q, c): indices of originals.
        probabilities: Shape (q, c): probability that the question is a duplicate of each.
        answerable: Shape (q,): probability that it is a duplicate of any original; NaN if the
            matcher has not learned that.
    """

    candidates: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    answerable: NDArray[np.float64]


def ranks_of_right(scores: Values, right: NDArray[np.bool_], originals: int) -> Ranks:
    """Return the ranks of the right originals.

    Args:
        scores: Shape (q, c).
        right: Shape (q, c): mask of the right candidates, at most one a row.
        originals: Number of all originals, the rank if no candidate is right.
    """
    best = np.where(right, scores, -np.inf).max(axis=1)
    ranks = (scores >= best[:, None]).sum(axis=1)
    return np.where(right.any(axis=1), ranks, originals)


def evaluate_ranking(
    ranking: Ranking, right_indices: NDArray[np.int64], ids: NDArray[Any]
) -> pd.DataFrame:
    """Evaluate the ranking of q questions whose originals are known.

    Args:
        ranking: Candidates and probabilities, shape (q, c).
        right_indices: Shape (q,): indices of the right originals.
        ids: Shape (k,): Ids of all originals.

    Returns:
        One row a question: `original` (Id), `rank` and `probability` of the right original
        (probability 0 if it is not a candidate), `first` (Id ranked first),
        `first_probability`, and `best_wrong`, the probability of the best wrong candidate.
    """
    candidates, probabilities, _ = ranking
    right = candidates == right_indices[:, None]
    rows = np.arange(len(right_indices))
    first = probabilities.argmax(axis=1)
    return pd.DataFrame(
        {
            "original": ids[right_indices],
            "rank": ranks_of_right(probabilities, right, len(ids)),
            "probability": np.where(right, probabilities, 0).sum(axis=1),
            "first": ids[candidates[rows, first]],
            "first_probability": probabilities[rows, first],
            "best_wrong": np.where(right, 0, probabilities).max(axis=1),
        }
    )


def gain_at(ranks: Ranks, k: int) -> float:
    """Return gain@k, the share of questions whose right original is among the first k."""
    return float(np.mean(ranks <= k))


def mean_reciprocal_rank(ranks: Ranks) -> float:
    """Return the mean of 1/rank."""
    return float(np.mean(1 / ranks))


def compute_metric(ranks: Ranks, name: str) -> float:
    """Return the metric with this name: `mean_reciprocal_rank` or `gain_at_K`."""
    if name == "mean_reciprocal_rank":
        return mean_reciprocal_rank(ranks)
    return gain_at(ranks, int(name.rpartition("_")[2]))


def bootstrap_mean(
    values: Values, resamples: int, generator: np.random.Generator, max_values: int = 1_000_000
) -> tuple[float, float, float]:
    """Return the mean of q values, and low and high end of its 95 % percentile bootstrap interval.

    Args:
        values: Shape (q,).
        resamples: Number of bootstrap samples.
        generator: Draws the samples.
        max_values: Values drawn at once, to bound memory.
    """
    means = np.empty(resamples)
    step = max(1, max_values // len(values))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        rows = generator.integers(len(values), size=(count, len(values)))
        means[start : start + count] = values[rows].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.mean(values)), float(low), float(high)


def gains_table(
    ranks: dict[str, Ranks], highest: int, resamples: int, generator: np.random.Generator
) -> pd.DataFrame:
    """Return gain@1 to gain@`highest` of each method, with 95 % intervals.

    Args:
        ranks: Ranks of the right originals, by method.
        highest: Highest k.
        resamples: Number of bootstrap samples.
        generator: Draws the samples.

    Returns:
        Columns `method`, `k`, `gain`, `low_95`, `high_95`.
    """
    rows = []
    for method, method_ranks in ranks.items():
        for k in range(1, highest + 1):
            gain = bootstrap_mean((method_ranks <= k).astype(float), resamples, generator)
            rows.append((method, k, *gain))
    return pd.DataFrame(rows, columns=["method", "k", "gain", "low_95", "high_95"])


def calibration_table(probabilities: Values, right: NDArray[np.bool_], bins: int) -> pd.DataFrame:
    """Return the calibration curve: predicted probability and observed share of duplicates.

    Args:
        probabilities: Shape (p,): predicted probabilities of p pairs.
        right: Shape (p,): whether the pair is a duplicate and its original.
        bins: Intervals of equal width between 0 and 1; empty ones are omitted.

    Returns:
        Columns `probability` (mean predicted), `share` (observed), `pairs`.
    """
    interval = np.minimum((probabilities * bins).astype(int), bins - 1)
    pairs = pd.DataFrame({"probability": probabilities, "share": right, "interval": interval})
    groups = pairs.groupby("interval")
    table = groups.agg(
        probability=("probability", "mean"), share=("share", "mean"), pairs=("share", "size")
    )
    return table.reset_index(drop=True)


def calibration_error(table: pd.DataFrame) -> float:
    """Return the expected calibration error: the mean gap, weighted by pairs."""
    gap = (table["probability"] - table["share"]).abs()
    return float((gap * table["pairs"]).sum() / table["pairs"].sum())


def summarise(ranks: Ranks, gains: pd.DataFrame, calibration: pd.DataFrame) -> dict[str, float]:
    """Return the metrics of one method on the test duplicates.

    Args:
        ranks: Shape (q,): ranks of the right originals.
        gains: The method's rows of `gains_table`.
        calibration: The method's `calibration_table`.
    """
    metrics: dict[str, float] = {"test_questions": len(ranks)}
    for k, row in gains.set_index("k").iterrows():
        metrics[f"test_gain_at_{k}"] = float(row["gain"])
        metrics[f"test_gain_at_{k}_low_95"] = float(row["low_95"])
        metrics[f"test_gain_at_{k}_high_95"] = float(row["high_95"])
    return metrics | {
        "test_mean_rank": float(ranks.mean()),
        "test_mean_reciprocal_rank": mean_reciprocal_rank(ranks),
        "test_calibration_error": calibration_error(calibration),
    }


def hardest_originals(tested: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the originals whose test duplicates are ranked worst.

    Args:
        tested: One row a test duplicate: `original`, `rank`, `probability` of the right original,
            and `first`, the Id ranked first.
        count: Rows to return.

    Returns:
        Columns `original`, `test_duplicates`, `mean_rank`, `mean_probability`, and
        `mistaken_for`, the wrong Id most often ranked first, if any.
    """

    def find_confusion(group: pd.DataFrame) -> Any:
        wrong = group.loc[group["rank"] > 1, "first"]
        return wrong.mode().iloc[0] if len(wrong) else None

    groups = tested.groupby("original", sort=True)
    table = groups.agg(
        test_duplicates=("rank", "size"),
        mean_rank=("rank", "mean"),
        mean_probability=("probability", "mean"),
    )
    confusions = [find_confusion(group) for _, group in groups]
    table["mistaken_for"] = pd.Series(confusions, table.index, dtype=object)
    ordered = table.sort_values(["mean_rank", "mean_probability"], ascending=[False, True])
    return ordered.head(count).reset_index()
