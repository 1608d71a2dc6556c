"""Model cards of registered models: data, results with intervals, limitations and licences.

The cards follow Mitchell et al., "Model cards for model reporting" (2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Result:
    """A metric with its 95 % interval, if there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, float], name: str) -> Self:
        """Create from `NAME`, `NAME_low_95` and `NAME_high_95`."""
        return cls(metrics[name], metrics.get(f"{name}_low_95"), metrics.get(f"{name}_high_95"))

    @classmethod
    def from_share(cls, share: float, n: int) -> Self:
        """Create from a share of `n` cases, with the Wilson score interval."""
        z = 1.959964
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        return cls(share, centre - half, centre + half)

    def format(self) -> str:
        """Return the value, and the interval in parentheses: `0.9861 (0.9678 to 0.994)`."""
        if self.low is None or self.high is None:
            return format_number(self.value)
        low, high = map(format_number, (self.low, self.high))
        return f"{format_number(self.value)} ({low} to {high})"


@dataclass(frozen=True)
class ModelCard:
    """What users of a registered model need to know.

    Attributes:
        summary: What the model predicts, from what, and how.
        data: Facts on the data it was trained and tested on, by name.
        results: Results by name, those of baselines among them.
        evaluation: How the results were measured.
        intended_use: What it is for.
        limitations: When it fails, and what was not tested.
        licences: Whose terms apply to the model.
    """

    summary: str
    data: Mapping[str, str]
    results: Mapping[str, Result]
    evaluation: str
    intended_use: str
    limitations: Sequence[str]
    licences: Sequence[str]

    def to_markdown(self, title: str, origin: Mapping[str, str]) -> str:
        """Return the card in Markdown.

        Args:
            title: Name and version of the model.
            origin: Facts on the registration, by name.
        """
        results = {name: result.format() for name, result in self.results.items()}
        parts = [
            f"# {title}",
            self.summary,
            "## Data",
            _format_table("", "", self.data),
            "## Results",
            self.evaluation,
            *([_format_table("metric", "value (95 % interval)", results)] if results else []),
            "## Intended use",
            self.intended_use,
            "## Limitations",
            _format_list(self.limitations),
            "## Licences",
            _format_list(self.licences),
            "## Origin",
            _format_table("", "", {name: f"`{value}`" for name, value in origin.items()}),
        ]
        return "\n\n".join(parts) + "\n"


def _format_table(first: str, second: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {name} | {text.replace('|', chr(92) + '|')} |" for name, text in rows.items()]
    return "\n".join([f"| {first} | {second} |", "|---|---|", *lines])


def _format_list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def format_number(value: float) -> str:
    """Format a number with four significant digits, or as an integer from 1,000: `0.9582`."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
