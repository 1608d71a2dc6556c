"""Store the texts of posts on disk until it is known which are kept."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CHUNK_ROWS = 5_000
"""Rows of a chunk, which is in memory at once."""
QUESTION_COLUMNS = ("Id", "AnswerId", "Text0", "CreationDate")
ANSWER_COLUMNS = ("Id", "Text0")

_CREATE_TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA temp_store = FILE;
    PRAGMA cache_size = -16000;  -- KiB in memory, the rest on disk
    CREATE TABLE originals (id INTEGER PRIMARY KEY, accepted INTEGER, text TEXT, date TEXT);
    CREATE TABLE duplicates (id INTEGER PRIMARY KEY, original INTEGER, text TEXT, date TEXT);
    CREATE TABLE answers (id INTEGER PRIMARY KEY, original INTEGER, score INTEGER, text TEXT);
    CREATE TABLE chosen (original INTEGER PRIMARY KEY, answer INTEGER);
"""
_CHOOSE_ANSWERS = """
    CREATE INDEX duplicates_of ON duplicates (original);
    CREATE INDEX answers_to ON answers (original, score, id);
    INSERT INTO chosen
    SELECT id, coalesce(
        (SELECT a.id FROM answers a WHERE a.id = accepted AND a.original = originals.id),
        (SELECT a.id FROM answers a WHERE a.original = originals.id
         ORDER BY a.score DESC, a.id LIMIT 1)
    )
    FROM originals WHERE id IN (SELECT original FROM duplicates);
"""
_CREATE_VIEWS = """
    CREATE UNIQUE INDEX chosen_answers ON chosen (answer);
    CREATE VIEW duplicates_with_original AS
        SELECT id FROM duplicates WHERE original IN (SELECT id FROM originals);
    CREATE VIEW kept_originals AS
        SELECT id, answer, text, date FROM originals JOIN chosen ON original = id;
    CREATE VIEW kept_duplicates AS
        SELECT id, answer, text, date FROM duplicates JOIN chosen USING (original);
    CREATE VIEW kept_answers AS
        SELECT id, text FROM answers WHERE id IN (SELECT answer FROM chosen);
"""


@dataclass(frozen=True)
class Table:
    """Rows of a query in chunks of up to 5,000; can be iterated repeatedly."""

    database: sqlite3.Connection
    query: str
    columns: Sequence[str]

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield the chunks; none if the query has no rows."""
        with report_full_disk():
            cursor = self.database.execute(self.query)
        while chunk := cursor.fetchmany(CHUNK_ROWS):
            yield pd.DataFrame(chunk, columns=list(self.columns))


class PostStore:
    """Questions and answers by Id, in a temporary file that is deleted with the object.

    Attributes:
        repeated_posts: Number of posts whose Id was already stored; the first post is kept.
    """

    def __init__(self) -> None:
        # An empty name makes SQLite create a temporary file. Kedro's runners may save the tables
        # in another thread than the one that filled them.
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.executescript(_CREATE_TABLES)
        self.repeated_posts = 0

    def add_original(self, post_id: int, accepted: int | None, text: str, date: str) -> None:
        """Store a question that has duplicates, with the Id of its accepted answer."""
        self._add("originals", post_id, accepted, text, date)

    def add_duplicate(self, post_id: int, original: int, text: str, date: str) -> None:
        """Store a question that is a duplicate of an original."""
        self._add("duplicates", post_id, original, text, date)

    def add_answer(self, post_id: int, original: int, score: int, text: str) -> None:
        """Store an answer to a question that may be an original."""
        self._add("answers", post_id, original, score, text)

    def _add(self, table: str, *values: Any) -> None:
        insert = f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?)"
        self.repeated_posts += 1 - self._database.execute(insert, values).rowcount

    def choose_answers(self, keep_unanswered: bool) -> int:
        """Choose an answer for each original that has duplicates, after the last post was added.

        The answer is the accepted one, or the one with the highest score and, among
        these, the lowest Id. An original without an answer is left out, or kept with the
        negative of its Id as `AnswerId`.

        Returns:
            Number of originals without an answer.
        """
        keep = "UPDATE chosen SET answer = -original WHERE answer IS NULL"
        leave_out = "DELETE FROM chosen WHERE answer IS NULL"
        self._database.commit()
        self._database.executescript(_CHOOSE_ANSWERS)
        missing = self._database.execute(keep if keep_unanswered else leave_out).rowcount
        self._database.commit()
        self._database.executescript(_CREATE_VIEWS)
        return missing

    @property
    def originals(self) -> Table:
        """The kept originals."""
        return Table(self._database, "SELECT * FROM kept_originals ORDER BY id", QUESTION_COLUMNS)

    @property
    def duplicates(self) -> Table:
        """The duplicates of the kept originals."""
        return Table(self._database, "SELECT * FROM kept_duplicates ORDER BY id", QUESTION_COLUMNS)

    @property
    def answers(self) -> Table:
        """The chosen answers of the kept originals."""
        return Table(self._database, "SELECT * FROM kept_answers ORDER BY id", ANSWER_COLUMNS)

    def count(
        self,
        table: Literal["chosen", "kept_duplicates", "kept_answers", "duplicates_with_original"],
    ) -> int:
        """Return the number of kept originals (`chosen`), kept duplicates or answers.

        `duplicates_with_original` are those whose original is stored, answered or not.
        """
        (number,) = self._database.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(number)

    def count_duplicates_per_original(self) -> NDArray[np.int64]:
        """Return the number of duplicates of each kept original, shape (originals,)."""
        counts = self._database.execute(
            "SELECT count(*) FROM duplicates JOIN chosen USING (original) "
            "GROUP BY original ORDER BY original"
        )
        return np.fromiter((count for (count,) in counts), dtype=np.int64)


@contextmanager
def report_full_disk() -> Iterator[None]:
    """Turn SQLite's error about a full disk into one that says where the file is."""
    try:
        yield
    except sqlite3.OperationalError as error:
        folder = os.environ.get("SQLITE_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp"
        raise ValueError(
            f"{folder}: the temporary file with the posts cannot be written ({error}); free disk "
            "space there, or set SQLITE_TMPDIR to a folder with as much space as the dump"
        ) from error
