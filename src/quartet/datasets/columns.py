"""Names of columns in the header of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kedro.io.core import DatasetError

_MOST_NAMES = 20
"""Names in an error message; a file that is not a table may have thousands."""


def check_unique_columns(dataset: str, names: Iterable[object]) -> None:
    """Check that no column appears twice: nobody knows which of them is meant.

    Args:
        dataset: Name of the dataset, or path of the file.
        names: The header of the table.

    Raises:
        DatasetError: A name appears twice.
    """
    repeated = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if repeated:
        raise DatasetError(
            f"{dataset}: column '{repeated[0]}' appears twice; rename or remove one of them"
        )


def format_columns(names: Iterable[object]) -> str:
    """Return the names of columns for an error message."""
    texts = [str(name)[:100] for name in names]
    others = len(texts) - _MOST_NAMES
    listed = ", ".join(texts[:_MOST_NAMES]) or "no column"
    return f"{listed} and {others:,} others" if others > 0 else listed
