"""Tables that people open in a spreadsheet."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
from kedro_datasets.pandas import CSVDataset  # type: ignore[import-untyped]

_FORMULA_START = re.compile(r"[=+\-@\t\n＝＋－＠]")
"""Full-width characters included, which spreadsheets take for the others."""
_NUMBER = re.compile(r"[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?%?")


class ReportDataset(CSVDataset):  # type: ignore[misc]
    r"""Kedro's `pandas.CSVDataset` for reports with texts from outside.

    Spreadsheets execute a cell that begins with `=`, `+`, `-` or `@` as a formula, so such texts
    are saved with an apostrophe before them, as spreadsheets write texts themselves
    (https://owasp.org/www-community/attacks/CSV_Injection). Numbers stay as they are.
    Bytes that could not be decoded, which no file in UTF-8 can contain, are saved as `\\xff`.

    ```yaml
    faq_quarantine:
      type: quartet.datasets.report.ReportDataset
      filepath: data/08_reporting/faq_tuning/quarantine.csv
      save_args: {index: false}
    ```
    """

    def save(self, data: pd.DataFrame) -> None:
        """Write the table; texts are escaped."""
        super().save(escape_cells(data))


def escape_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts, names of columns included, no spreadsheet takes for formulas."""
    escaped = table.apply(_escape_column)
    escaped.columns = pd.Index([_escape(name) for name in table.columns], dtype=object)
    return escaped


def _escape_column(column: pd.Series) -> pd.Series:
    has_text = not (
        pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column)
    )
    return column.astype(object).map(_escape) if has_text else column


def _escape(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "backslashreplace").decode()
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    is_formula = _FORMULA_START.match(text) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text
