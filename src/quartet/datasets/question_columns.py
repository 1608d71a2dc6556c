"""Names of the columns in tables of questions and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from quartet.datasets.columns import TableOptions, match_columns, parse_options

Table = Literal["originals", "duplicates", "answers", "questions"]

SYNONYMS = {
    "question": ("question", "questions", "query", "text", "utterance", "prompt", "title", "frage"),
    "answer": ("answer", "answers", "reply", "response", "solution", "text", "antwort"),
    "id": ("id", "key", "number", "nr"),
    "answer_id": ("answer_id", "original", "original_id", "duplicate_of", "canonical", "group"),
}
"""Common names of columns, which are proposed."""
_HEADER_WORDS = {"text0", "title", "body", *(word for words in SYNONYMS.values() for word in words)}


class QuestionColumns(TableOptions):
    """Names of the columns of tables of questions and answers."""

    id: str = "Id"
    answer_id: str = "AnswerId"
    question: str = "question"
    answer: str = "answer"


class ColumnChooser:
    """Finds the columns of a table by name, in any case.

    Names that are given by a parameter replace the defaults of `QuestionColumns`.
    """

    def __init__(self, given: Mapping[str, Any] | None, parameter: str) -> None:
        self._columns = parse_options(QuestionColumns, given, parameter)
        self._parameter = parameter

    def is_header(self, values: Sequence[str]) -> bool:
        """Return whether a row contains a name that a column may have."""
        known = _HEADER_WORDS | {name.casefold() for name in self._columns.model_dump().values()}
        return any(value.strip().casefold() in known for value in values)

    def choose(self, names: Sequence[str], table: Table, path: str) -> dict[str, str]:
        """Return the names in a file of `Id`, `AnswerId`, `Text0` and `Answer`, if it has them.

        Instead of `Text0`, there may be `Title` and `Body`.

        Args:
            names: The header of the file.
            table: What the table contains, which says which columns are required.
            path: The file, for messages.

        Raises:
            DatasetError: A required column is missing, or one appears twice.
        """
        found = {name.strip().casefold() for name in names}
        wanted = self._columns.model_dump()
        text = "answer" if table == "answers" else "question"
        fields = {"id": "Id", "answer_id": "AnswerId", text: "Text0"}
        if wanted[text] == text and text not in found:
            if "text0" in found:
                wanted[text] = "Text0"
            elif {"title", "body"} <= found:
                del fields[text]
                fields |= {"title": "Title", "body": "Body"}
                wanted |= {"title": "Title", "body": "Body"}
        optional = {"id", "answer_id", "answer"}
        if table == "originals":
            fields["answer"] = "Answer"
        elif table == "duplicates":
            optional = {"id"}
        else:
            del fields["answer_id"]
        if table == "answers":
            optional = set()
            if "id" not in found and wanted["answer_id"].casefold() in found:
                wanted["id"] = wanted["answer_id"]
        columns = {field: wanted[field] for field in fields}
        matched = match_columns(path, names, columns, self._parameter, SYNONYMS, optional)
        return {fields[field]: name for field, name in matched.items()}


def to_text(value: Any) -> str | None:
    """Return a value as text: a whole number exactly and without `.0`, None if it is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
