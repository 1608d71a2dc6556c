"""Load a registered matcher for MLflow, which calls `_load_pyfunc`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd

from quartet.faq.matcher import Matcher

MATCHER_FILE = "matcher.safetensors"
MATCHES = 3
CHECKSUMS = "SHA256SUMS"
"""File with the checksums of the model's files, which the registry writes."""
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
"""Packages that serving needs, pinned to the versions of the training environment."""
SENTENCE_REQUIREMENTS = ("onnxruntime", "tokenizers")
"""Packages that serving needs as well if the matcher has a sentence encoder."""


def list_requirements(matcher: Matcher) -> tuple[str, ...]:
    """Return the packages that serving a matcher needs."""
    return REQUIREMENTS + (SENTENCE_REQUIREMENTS if matcher.encoder.sentences else ())


class FaqRanker:
    """Predicts the most probable originals of questions."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    def predict(
        self, questions: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Match raw questions, HTML or plain text.

        Args:
            questions: Column `Text0`.
            params: Unused; part of MLflow's interface.

        Returns:
            Three rows a question, the most probable original first; see `Matcher.match`. Without
            `answerable` and `unanswered` if the matcher has not learned them, as JSON has no NaN.

        Raises:
            ValueError: The column `Text0` is missing.
        """
        if "Text0" not in questions:
            raise ValueError(f"expected a column Text0, found {', '.join(map(str, questions))}")
        matches = self._matcher.match(list(questions["Text0"]), MATCHES)
        if self._matcher.answerability is None:
            return matches.drop(columns=["answerable", "unanswered"])
        return matches

    def get_raw_model(self) -> Matcher:
        """Return the matcher, for other numbers of matches or another corpus."""
        return self._matcher


def _load_pyfunc(folder: str) -> FaqRanker:
    """Load the model from `folder`; MLflow's entry point."""
    return FaqRanker(Matcher.from_bytes(_read_checked(Path(folder), MATCHER_FILE)))


def _read_checked(folder: Path, name: str) -> bytes:
    """Return the content of a file whose checksum, if the model has one, is right."""
    content = (folder / name).read_bytes()
    sums = folder / CHECKSUMS
    if sums.exists() and f"{hashlib.sha256(content).hexdigest()}  {name}" not in (
        sums.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
    ):
        raise ValueError(f"{folder / name}: is damaged (SHA-256); restore the model's files")
    return content
