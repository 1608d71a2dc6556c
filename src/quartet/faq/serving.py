"""Restores a registered matcher: MLflow calls `_load_pyfunc`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from quartet.faq.matcher import Matcher

MATCHER_FILE = "matcher.safetensors"
MATCHES = 3
REQUIREMENTS = (
    "lazy-loader",
    "lightgbm",
    "lxml",
    "mlflow",
    "numpy",
    "pandas",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "scipy",
    "threadpoolctl",
    "tqdm",
)
"""What this module needs where it serves, pinned as installed where the model was trained."""


class FaqRanker:
    """The most probable originals of questions."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    def predict(
        self, questions: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Match questions as they were asked, HTML or plain.

        Args:
            questions: One column, `Text0`.
            params: Unused; part of MLflow's interface.

        Returns:
            Three rows a question, the most probable original first; see `Matcher.match`.

        Raises:
            ValueError: There is no column `Text0`.
        """
        if "Text0" not in questions:
            raise ValueError(f"expected a column Text0, found {', '.join(map(str, questions))}")
        return self._matcher.match(list(questions["Text0"]), MATCHES)

    def get_raw_model(self) -> Matcher:
        """The matcher itself, for other numbers of matches or other known texts."""
        return self._matcher


def _load_pyfunc(folder: str) -> FaqRanker:
    """MLflow's entry point: the matcher whose file lies in `folder`."""
    return FaqRanker(Matcher.from_bytes((Path(folder) / MATCHER_FILE).read_bytes()))
