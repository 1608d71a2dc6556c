"""How good a ranking is: gain at k, mean rank, reciprocal rank, calibration.

A question has one right original, so gain@k, the share of right originals among
the first k, is the share of questions whose right original is there. Ties count
against the ranking: of originals with equal scores the right one comes last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ranks = NDArray[np.int64]
"""Rank of the right original of each question, 1 the best, shape (q,)."""
Values = NDArray[np.floating]


class Ranking(NamedTuple):
    """Candidates of q questions, in no order.

    Attributes:
        candidates: Shape (q, c): numbers of originals.
        probabilities: Shape (q, c): that the question is a duplicate of each.
    """

    candidates: NDArray[np.int64]
    probabilities: NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean over questions with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def ranks_of_right(scores: Values, right: NDArray[np.bool_], originals: int) -> Ranks:
    """Ranks of the right candidates.

    Args:
        scores: Shape (q, c).
        right: Shape (q, c), at most one a row.
        originals: Number of all originals: the rank where none of the candidates is right.
    """
    best = np.where(right, scores, -np.inf).max(axis=1)
    ranks = (scores >= best[:, None]).sum(axis=1)
    return np.where(right.any(axis=1), ranks, originals)


def evaluate_ranking(
    ranking: Ranking, number: NDArray[np.int64], ids: NDArray[np.int64]
) -> pd.DataFrame:
    """What became of q questions whose right originals are known.

    Args:
        ranking: Candidates and probabilities, shape (q, c).
        number: Shape (q,): numbers of the right originals.
        ids: Shape (k,): Ids of all originals.

    Returns:
        One row a question: `original` (Id), `rank`, `probability` of the right original (0 where
        it was no candidate), `first` (Id ranked first), `first_probability`, and `best_wrong`,
        the probability of the best wrong candidate.
    """
    candidates, probabilities = ranking
    right = candidates == number[:, None]
    rows = np.arange(len(number))
    first = probabilities.argmax(axis=1)
    return pd.DataFrame(
        {
            "original": ids[number],
            "rank": ranks_of_right(probabilities, right, len(ids)),
            "probability": np.where(right, probabilities, 0).sum(axis=1),
            "first": ids[candidates[rows, first]],
            "first_probability": probabilities[rows, first],
            "best_wrong": np.where(right, 0, probabilities).max(axis=1),
        }
    )


def gain_at(ranks: Ranks, k: int) -> float:
    """Share of questions whose right original is among the first k."""
    return float(np.mean(ranks <= k))


def mean_reciprocal_rank(ranks: Ranks) -> float:
    """Mean of 1/rank."""
    return float(np.mean(1 / ranks))


def metric_of(ranks: Ranks, name: str) -> float:
    """`mean_reciprocal_rank` or `gain_at_K`."""
    if name == "mean_reciprocal_rank":
        return mean_reciprocal_rank(ranks)
    return gain_at(ranks, int(name.rpartition("_")[2]))


def bootstrap_mean(
    values: Values, resamples: int, generator: np.random.Generator, largest: int = 1_000_000
) -> Estimate:
    """Mean of q values with the percentile interval of means of resampled values."""
    means = np.empty(resamples)
    step = max(1, largest // len(values))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        rows = generator.integers(len(values), size=(count, len(values)))
        means[start : start + count] = values[rows].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(np.mean(values)), float(low), float(high))


def gains_table(
    ranks: dict[str, Ranks], highest: int, resamples: int, generator: np.random.Generator
) -> pd.DataFrame:
    """Gain at 1 to `highest` of each method, with intervals.

    Returns:
        Columns `method`, `k`, `gain`, `low_95`, `high_95`.
    """
    rows = []
    for method, found in ranks.items():
        for k in range(1, highest + 1):
            gain = bootstrap_mean((found <= k).astype(float), resamples, generator)
            rows.append((method, k, *gain))
    return pd.DataFrame(rows, columns=["method", "k", "gain", "low_95", "high_95"])


def calibration_table(probabilities: Values, right: NDArray[np.bool_], bins: int) -> pd.DataFrame:
    """Stated and true share of duplicates among pairs of about equal probability.

    Args:
        probabilities: Shape (p,), of pairs.
        right: Shape (p,): whether each is a pair of a duplicate and its original.
        bins: Intervals of equal width between 0 and 1; empty ones are left out.

    Returns:
        Columns `probability` (mean stated), `share` (true), `pairs`.
    """
    interval = np.minimum((probabilities * bins).astype(int), bins - 1)
    pairs = pd.DataFrame({"probability": probabilities, "share": right, "interval": interval})
    groups = pairs.groupby("interval")
    table = groups.agg(
        probability=("probability", "mean"), share=("share", "mean"), pairs=("share", "size")
    )
    return table.reset_index(drop=True)


def calibration_error(table: pd.DataFrame) -> float:
    """Mean distance of stated from true share, weighted by pairs."""
    distance = (table["probability"] - table["share"]).abs()
    return float((distance * table["pairs"]).sum() / table["pairs"].sum())


def summarise(ranks: Ranks, gains: pd.DataFrame, calibration: pd.DataFrame) -> dict[str, float]:
    """The numbers of one method on the test duplicates, under the names they are reported by.

    Args:
        ranks: Of their right originals, shape (q,).
        gains: The method's rows of `gains_table`.
        calibration: Its `calibration_table`.
    """
    numbers: dict[str, float] = {"test_questions": len(ranks)}
    for k, row in gains.set_index("k").iterrows():
        numbers[f"test_gain_at_{k}"] = float(row["gain"])
        numbers[f"test_gain_at_{k}_low_95"] = float(row["low_95"])
        numbers[f"test_gain_at_{k}_high_95"] = float(row["high_95"])
    return numbers | {
        "test_mean_rank": float(ranks.mean()),
        "test_mean_reciprocal_rank": mean_reciprocal_rank(ranks),
        "test_calibration_error": calibration_error(calibration),
    }


def hardest_originals(tested: pd.DataFrame, count: int) -> pd.DataFrame:
    """Originals whose test duplicates are ranked worst.

    Args:
        tested: One row a test duplicate: `original`, `rank`, `probability` of the right original,
            and `first`, the Id ranked first.
        count: Rows to return.

    Returns:
        By original: `test_duplicates`, `mean_rank`, `mean_probability`, and `mistaken_for`, the
        wrong Id most often ranked first (missing if none was).
    """

    def mistaken(group: pd.DataFrame) -> Any:
        wrong = group.loc[group["rank"] > 1, "first"]
        return wrong.mode().iloc[0] if len(wrong) else None

    groups = tested.groupby("original", sort=True)
    table = groups.agg(
        test_duplicates=("rank", "size"),
        mean_rank=("rank", "mean"),
        mean_probability=("probability", "mean"),
    )
    table["mistaken_for"] = pd.array([mistaken(group) for _, group in groups], dtype="Int64")
    ordered = table.sort_values(["mean_rank", "mean_probability"], ascending=[False, True])
    return ordered.head(count).reset_index()
