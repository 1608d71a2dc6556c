"""Estimate the probability that a question has an answer at all among the originals.

The probabilities of a ranking assume that one of the originals is meant. Whether that is
so is learned from questions whose originals are held out: what is left ranks first for
them is never right. A logistic regression distinguishes them from questions whose
originals are there, by how well the first candidates match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

from quartet.faq.text import Arrays

Values = NDArray[np.float64]
_SIMILARITIES = ("question", "nearest")
"""Features of each view that compare with one text: the original, its nearest duplicate."""


def compute_evidence(
    scores: NDArray[Any], features: NDArray[np.float32], names: Sequence[str]
) -> Values:
    """Return what the candidates of q questions show, shape (q, e).

    The best score, its lead over the second (0 without one), the highest margin, and in each view
    the similarity of the most similar text.

    Args:
        scores: Shape (q, c): raw scores of the ranker.
        features: Shape (q, c, f).
        names: Names of the f features.
    """
    top = np.sort(scores, axis=1)[:, -2:]
    columns = [top[:, -1], top[:, -1] - top[:, 0]]
    columns += [
        features[:, :, index].max(axis=1)
        for index, name in enumerate(names)
        if name.endswith(".margin")
    ]
    views = dict.fromkeys(name.partition(".")[0] for name in names if not name.startswith("all."))
    for view in views:
        texts = [names.index(f"{view}.{name}") for name in _SIMILARITIES]
        columns.append(features[:, :, texts].max(axis=(1, 2)))
    return np.stack(columns, axis=1).astype(np.float64)


@dataclass(frozen=True)
class Answerability:
    """Maps the evidence of a question to the probability that it has an answer.

    Attributes:
        mean: Shape (e,): mean of each kind of evidence.
        scale: Shape (e,): its standard deviation.
        weights: Shape (e,): weights of the logistic regression.
        offset: Its intercept.
        threshold: Probability below which a question counts as unanswered.
        held_out: Shape (m,): cross-validated probabilities of the m questions it was fitted on.
        has_original: Shape (m,): whether the original of each was there.
    """

    mean: Values
    scale: Values
    weights: Values
    offset: float
    threshold: float
    held_out: Values
    has_original: NDArray[np.bool_]

    def probabilities(self, evidence: Values) -> Values:
        """Return the probability that each of q questions has an answer, shape (q,)."""
        scaled = (evidence - self.mean) / self.scale
        values: Values = expit(scaled @ self.weights + self.offset)
        return values

    def to_arrays(self) -> Arrays:
        """Return the model as named arrays."""
        return {name: np.atleast_1d(np.asarray(value)) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Restore the model from `to_arrays`."""
        fields: dict[str, Any] = dict(arrays)
        fields |= {name: float(arrays[name][0]) for name in ("offset", "threshold")}
        return cls(**fields)


def fit_answerability(
    evidence: Values, has_original: NDArray[np.bool_], folds: NDArray[np.int64], recall: float
) -> Answerability:
    """Fit the model, and choose its threshold by cross-validation.

    Args:
        evidence: Shape (m, e).
        has_original: Shape (m,): whether the original of each question was there.
        folds: Shape (m,): fold of each question; it is scored by a model fitted on the others.
        recall: Share of the questions with an original that the threshold accepts.
    """
    mean, scale = evidence.mean(axis=0), evidence.std(axis=0) + 1e-9
    scaled = (evidence - mean) / scale
    held_out = np.zeros(len(evidence))
    for fold in np.unique(folds):
        rows = folds == fold
        held_out[rows] = _fit(scaled[~rows], has_original[~rows]).predict_proba(scaled[rows])[:, 1]
    model = _fit(scaled, has_original)
    return Answerability(
        mean=mean,
        scale=scale,
        weights=model.coef_[0],
        offset=float(model.intercept_[0]),
        threshold=float(np.quantile(held_out[has_original], 1 - recall)),
        held_out=held_out,
        has_original=has_original,
    )


def _fit(evidence: Values, has_original: NDArray[np.bool_]) -> LogisticRegression:
    return LogisticRegression(max_iter=1000).fit(evidence, has_original)


def make_threshold_table(model: Answerability) -> pd.DataFrame:
    """Return what each threshold costs on the held-out questions, the model's own included.

    Returns:
        Columns `threshold`, `answered` (share accepted of the questions with an original),
        `false_positives` (share accepted of those without), `is_chosen`.
    """
    thresholds = np.unique([*np.linspace(0, 1, 21).round(2), model.threshold])
    accepted = model.held_out >= thresholds[:, None]
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "answered": accepted[:, model.has_original].mean(axis=1),
            "false_positives": accepted[:, ~model.has_original].mean(axis=1),
            "is_chosen": thresholds == model.threshold,
        }
    )


def summarise_answerability(model: Answerability) -> dict[str, float]:
    """Return metrics of the cross-validated probabilities."""
    labels, values = model.has_original, model.held_out
    return {
        "answerable_questions": len(labels),
        "answerable_auroc": float(roc_auc_score(labels, values)),
        "answerable_false_positive_rate_at_95_recall": false_positive_rate(labels, values, 0.95),
        "answerable_threshold": model.threshold,
        "answerable_false_positive_rate": float((values[~labels] >= model.threshold).mean()),
    }


def false_positive_rate(labels: NDArray[np.bool_], values: Values, recall: float) -> float:
    """Return the lowest false-positive rate at which the recall is reached."""
    false_positives, recalls, _ = roc_curve(labels, values, drop_intermediate=False)
    return float(false_positives[np.searchsorted(recalls, recall)])
