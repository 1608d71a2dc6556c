"""Tables of questions and answers, in the forms in which people have them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from kedro.io.core import DatasetError

from quartet.datasets.columns import format_columns
from quartet.datasets.compression import open_text_table
from quartet.datasets.file import InputDataset
from quartet.datasets.location import Location
from quartet.datasets.question_columns import ColumnChooser, Table, to_text
from quartet.datasets.tables import join_title_and_body, read_parquet, read_text_rows

_HEADERLESS: Mapping[Table, tuple[str, ...]] = {
    "originals": ("Id", "AnswerId", "Text0", "CreationDate"),
    "duplicates": ("Id", "AnswerId", "Text0", "CreationDate"),
    "answers": ("Id", "Text0"),
}
"""Columns of files in the reference system's format, which have no header."""
_FILE_STEMS: Mapping[Table, tuple[str, ...]] = {
    "originals": ("origq", "originals", "original", "questions", "question", "faq", "faqs", "qa"),
    "duplicates": ("dupq", "duplicates", "duplicate", "dups", "paraphrases", "variants"),
    "answers": ("ans", "answers", "answer"),
    "questions": ("newquestions", "newquestion", "new", "unanswered"),
}
"""Recognised file names by table: without suffix, in lower case, letters only."""
_WORKBOOK_SUFFIXES = (".xlsx", ".xls", ".ods")
_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", *_WORKBOOK_SUFFIXES)


class QuestionTableDataset(InputDataset[pd.DataFrame]):
    """Loads one of the tables originals, duplicates and answers, from a folder or a single file.

    A table is a CSV, TSV or Parquet file with a header, plain or compressed by gzip, with any
    separator. Columns are found by name in any case: `Id`, `AnswerId`, and the text, which is
    `question` (or `answer`), `Text0`, or `Title` and `Body`. TSV files of the reference system
    have no header. Files are found under common names, such as `duplicates.csv`.

    A single table has the columns `question` and `answer`. Rows with the same `AnswerId`, or
    the same answer, are duplicates of the first of them. Without `Id`, rows are numbered.

    All values are strings; the column `line` is the line of the file. If a row has another number
    of columns than the header, all its values but the first are missing; bytes that are not UTF-8
    become surrogates (`surrogateescape`). Nodes quarantine such rows.

    ```yaml
    faq_duplicates:
      type: quartet.datasets.question_tables.QuestionTableDataset
      filepath: data/01_raw/faq/dup-q.tsv.gz
      table: duplicates
    ```
    """

    suffixes = (".gz",)

    def __init__(
        self,
        *,
        filepath: str,
        table: Table,
        columns: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL of the file. If it does not exist, its folder is
                searched; that may also be a single file, from `faq_data=FILE`.
            table: Which table to load.
            columns: Names of columns, by field of `question_columns.QuestionColumns`.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._root = self._location.parent
        self._table: Table = table
        self._chooser = ColumnChooser(columns, "faq_columns")

    def load(self) -> pd.DataFrame:
        """Return `Id`, `Text0` and `line`, and `AnswerId` of originals and duplicates.

        Raises:
            DatasetError: The file is missing, damaged or ambiguous, or a column is missing.
        """
        own = self._find_table(self._table)
        if own is not None and self._table != "originals":
            prefix = "duplicate " if self._table == "duplicates" else ""
            table = _number_rows(self._read(own, self._table), prefix)
            return table.drop(columns="Answer", errors="ignore")
        return self._select(own or self._find_table("originals"))

    def _select(self, location: Location | None) -> pd.DataFrame:
        """Derive the table of this dataset from the file of the originals, which may contain all.

        Raises:
            DatasetError: There is no such file, or it lacks this table.
        """
        if location is None:
            raise DatasetError(self._format_missing())
        complete = _number_rows(self._read(location, "originals"))
        if self._table == "answers" and "Answer" not in complete:
            raise DatasetError(self._format_missing())
        if self._find_table("duplicates") is None:
            self._check_no_other_tables()
            originals, duplicates = _group_by_answer(complete)
        else:
            originals, duplicates = complete.assign(AnswerId=_get_answer_ids(complete)), None
        if self._table == "duplicates":
            return originals.iloc[:0] if duplicates is None else duplicates
        if self._table == "originals":
            return originals.drop(columns="Answer", errors="ignore")
        answered = originals[originals["Answer"].fillna("").str.strip() != ""]
        answers = answered[["AnswerId", "Answer", "line"]].drop_duplicates("AnswerId")
        return answers.set_axis(["Id", "Text0", "line"], axis=1).reset_index(drop=True)

    def _list_tables(self) -> list[str]:
        """Return the paths of the tables in the folder, except tables of new questions."""
        names = [str(entry["name"]) for entry in self._root.list_entries()]
        tables = [name for name in names if _get_suffix(name) in _SUFFIXES]
        return [name for name in tables if _find_role(name) != "questions"]

    def _find_table(self, table: Table) -> Location | None:
        """Return the file of a table, None if there is none.

        If a folder has only one table, it is that of the originals.

        Raises:
            DatasetError: Several files may be the table.
        """
        exact = self._find() if table == self._table else None
        if exact is not None:
            return exact
        if self._location.filesystem.isfile(self._root.path):
            return self._root if table == "originals" else None
        tables = self._list_tables()
        own = [path for path in tables if _get_stem(path) in _FILE_STEMS[table]]
        if len(own) > 1:
            raise DatasetError(
                f"{self._root.path}: {_format_names(own)} may all be the {table}; keep one"
            )
        if not own and table == "originals" and len(tables) == 1:
            own = [path for path in tables if _find_role(path) is None]
        return replace(self._location, path=own[0]) if own else None

    def _check_no_other_tables(self) -> None:
        """Check that a folder without duplicates has no table that may be the duplicates."""
        others = [path for path in self._list_tables() if _find_role(path) is None]
        if others and len(self._list_tables()) > 1:
            raise DatasetError(
                f"{self._root.path}: found no duplicates, and {_format_names(others)}; rename them "
                "to duplicates or answers, or move them away"
            )

    def _format_missing(self) -> str:
        path, root = self._location.path, self._root.path
        tables = self._list_tables()
        found = f"found {_format_names(tables)} beside it" if tables else f"no table is in {root}"
        wanted = "originals.csv" if self._table == "originals" else f"{self._table}.csv"
        return (
            f"{path}: no such file; {found}; expected {wanted}, or one table with the columns "
            "question and answer; set --params faq_data=FOLDER or FILE"
        )

    def _read(self, location: Location, table: Table) -> pd.DataFrame:
        """Return `Text0` and `line`, and `Id`, `AnswerId` and `Answer` if the file has them."""
        path = location.path
        if _get_suffix(path) in _WORKBOOK_SUFFIXES:
            raise DatasetError(f"{path}: is a workbook; save the sheet as CSV UTF-8")
        try:
            with location.filesystem.open(path, "rb") as file:
                size = location.filesystem.size(path)
                if file.read(4) == b"PAR1" or _get_suffix(path) == ".parquet":
                    file.seek(0)
                    return self._read_parquet(file, size, path, table)
                file.seek(0)
                return self._read_text(open_text_table(file, size, path), path, table)
        except (ValueError, pa.ArrowException) as error:
            raise DatasetError(f"{path}: cannot be read as a table ({error})") from error

    def _read_parquet(self, file: Any, size: int | None, path: str, table: Table) -> pd.DataFrame:
        chosen: dict[str, str] = {}

        def choose(names: list[str]) -> list[str]:
            chosen.update(self._chooser.choose(names, table, path))
            return list(dict.fromkeys(chosen.values()))

        found = read_parquet(file, size, path, choose)
        columns = {field: found[name].map(to_text) for field, name in chosen.items()}
        rows = pd.DataFrame(columns, dtype=object)
        return _join_text(rows.assign(line=np.arange(1, len(rows) + 1)))

    def _read_text(self, content: Any, path: str, table: Table) -> pd.DataFrame:
        # A data dump may have no answers.
        rows, separator = read_text_rows(content, path, may_be_empty=table == "answers")
        if not rows:
            return pd.DataFrame(columns=[*_HEADERLESS[table], "line"], dtype=object)
        names, rows = self._split_header(rows, table, separator, path)
        width = len(names)
        complete = [row for _, row in rows if len(row) == width]
        if rows and not complete:
            raise DatasetError(
                f"{path}: expected {width} columns ({', '.join(names)[:200]}), found "
                f"{len(rows[0][1])}; export it as CSV or TSV"
            )
        chosen = self._chooser.choose(names, table, path)
        columns: dict[str, list[str | None]] = {
            field: [row[names.index(name)] if len(row) == width else None for _, row in rows]
            for field, name in chosen.items()
        }
        first = [row[0] for _, row in rows]
        if "Id" in columns:  # of an incomplete row the first value, to report where it is
            columns["Id"] = [
                value if value is not None else start
                for value, start in zip(columns["Id"], first, strict=True)
            ]
        lines = [line for line, _ in rows]
        return _join_text(pd.DataFrame({**columns, "line": lines}, dtype=object))

    def _split_header(
        self, rows: list[tuple[int, list[str]]], table: Table, separator: str, path: str
    ) -> tuple[Sequence[str], list[tuple[int, list[str]]]]:
        """Return the names of columns, and the rows below them."""
        first = [name.strip() for name in rows[0][1]]
        reference = _HEADERLESS.get(table, ())
        if separator != "\t" or self._chooser.is_header(first):
            return first, rows[1:]
        if not any(len(row) == len(reference) for _, row in rows):
            raise DatasetError(
                f"{path}: expected {len(reference)} tab-separated columns "
                f"({', '.join(reference)}) and no header, or a header, found {len(first)} columns; "
                "export it as TSV"
            )
        return reference, rows

    def _exists(self) -> bool:
        return self._find_table(self._table) is not None or (
            self._table in ("duplicates", "answers") and self._find_table("originals") is not None
        )

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "table": self._table}


def _group_by_answer(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a table into originals, the first row of each answer, and duplicates, the others."""
    ids = _get_answer_ids(table)
    if "AnswerId" not in table and "Answer" in table:
        answers = table["Answer"].fillna("").str.strip()
        first = table.loc[answers != ""].groupby(answers[answers != ""])["Id"].transform("first")
        ids = first.reindex(table.index).fillna(table["Id"])
    table = table.assign(AnswerId=ids)
    repeated = ids.notna() & ids.duplicated()
    duplicates = table[repeated].drop(columns="Answer", errors="ignore")
    return table[~repeated].reset_index(drop=True), duplicates.reset_index(drop=True)


def _get_answer_ids(table: pd.DataFrame) -> pd.Series:
    """Return the column `AnswerId`; by default an original's own Id."""
    return table["AnswerId"] if "AnswerId" in table else table["Id"]


def _number_rows(table: pd.DataFrame, prefix: str = "") -> pd.DataFrame:
    """Return the table with a column `Id`; by default `prefix` and the number of the row from 1."""
    if "Id" in table:
        return table
    return table.assign(Id=[f"{prefix}{number}" for number in range(1, len(table) + 1)])


def _join_text(table: pd.DataFrame) -> pd.DataFrame:
    if "Title" not in table:
        return table
    text = join_title_and_body(table["Title"], table["Body"])
    return table.drop(columns=["Title", "Body"]).assign(Text0=text)


def _format_names(paths: Sequence[str]) -> str:
    return format_columns(PurePosixPath(path).name for path in paths)


def _get_suffix(path: str) -> str:
    return PurePosixPath(path.lower().removesuffix(".gz")).suffix


def _get_stem(path: str) -> str:
    """Return the letters of a file's name without its suffixes, in lower case."""
    return re.sub(r"[^a-z]", "", PurePosixPath(path.lower().removesuffix(".gz")).stem)


def _find_role(path: str) -> Table | None:
    """Return the table that a file contains by its name; None if the name does not say."""
    return next((table for table, names in _FILE_STEMS.items() if _get_stem(path) in names), None)
