"""The share of rows that the checks of a dataset accept."""

from __future__ import annotations

import logging
from collections.abc import Mapping

logger = logging.getLogger(__name__)

_MAX_REASONS = 5
"""Reasons in a message; with more, it would not fit on a screen."""


def check_accepted_share(
    dataset: str,
    accepted: int,
    rejected: Mapping[str, int],
    example: str,
    minimum: float,
    *,
    unit: str = "rows",
    report: str = "",
) -> None:
    """Check that enough rows of a dataset were accepted, and log one warning if any were rejected.

    A dataset without rows passes: whether it may be empty is for its reader to decide.

    Args:
        dataset: Name of the dataset, or path of the file.
        accepted: Number of accepted rows.
        rejected: Number of rejected rows by reason, such as `{"has no text": 3}`.
        example: A rejected row: where it is, its reason, and its start.
        minimum: Least share of accepted rows, 0 to 1: the parameter `min_accepted_share`.
        unit: What the rows are, in the plural.
        report: Dataset that lists the rejected rows, named in the warning.

    Raises:
        ValueError: No row was accepted, or a smaller share than `minimum`.
    """
    dataset = _escape(dataset)
    counts = sorted((item for item in rejected.items() if item[1]), key=lambda item: -item[1])
    total = sum(count for _, count in counts)
    if not total:
        return
    share = accepted / (accepted + total)
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in counts[:_MAX_REASONS])
    others = len(counts) - _MAX_REASONS
    reasons += f"; {others} more reasons" * (others > 0)
    if accepted and share >= minimum:
        logger.warning(
            "%s: rejected %s of %s %s: %s; such as %s%s",
            dataset,
            f"{total:,}",
            f"{accepted + total:,}",
            unit,
            reasons,
            _escape(example),
            f"; see {report}" if report else "",
        )
        return
    raise ValueError(
        f"{dataset}: accepted {accepted:,} of {accepted + total:,} {unit} ({share:.1%}), expected "
        f"at least {minimum:.0%}. Rejected: {reasons}; such as {_escape(example)}. "
        "Fix the data" + (", or lower min_accepted_share" if accepted else "")
    )


def _escape(text: str) -> str:
    """Return a text in one line, with characters escaped that UTF-8 cannot encode."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())
