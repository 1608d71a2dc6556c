"""Where the texts of posts wait, on disk, until it is known which are kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ROWS_AT_ONCE = 5_000
"""Rows in memory while a table is handed over."""
QUESTION_COLUMNS = ("Id", "AnswerId", "Text0", "CreationDate")
ANSWER_COLUMNS = ("Id", "Text0")

_TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA temp_store = FILE;
    PRAGMA cache_size = -16000;  -- KiB in memory, the rest on disk
    CREATE TABLE originals (id INTEGER PRIMARY KEY, accepted INTEGER, text TEXT, date TEXT);
    CREATE TABLE duplicates (id INTEGER PRIMARY KEY, original INTEGER, text TEXT, date TEXT);
    CREATE TABLE answers (id INTEGER PRIMARY KEY, original INTEGER, score INTEGER, text TEXT);
    CREATE TABLE chosen (original INTEGER PRIMARY KEY, answer INTEGER);
"""
_CHOOSE = """
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
_VIEWS = """
    CREATE UNIQUE INDEX chosen_answers ON chosen (answer);
    CREATE VIEW kept_originals AS
        SELECT id, answer, text, date FROM originals JOIN chosen ON original = id;
    CREATE VIEW kept_duplicates AS
        SELECT id, answer, text, date FROM duplicates JOIN chosen USING (original);
    CREATE VIEW kept_answers AS
        SELECT id, text FROM answers WHERE id IN (SELECT answer FROM chosen);
"""


@dataclass(frozen=True)
class Table:
    """Rows in chunks of up to 5,000, from the start for everyone who asks."""

    database: sqlite3.Connection
    query: str
    columns: Sequence[str]

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield the chunks, none if there are no rows."""
        cursor = self.database.execute(self.query)
        while chunk := cursor.fetchmany(ROWS_AT_ONCE):
            yield pd.DataFrame(chunk, columns=list(self.columns))


class PostStore:
    """Questions and answers by Id, in a temporary file that goes with the object.

    Attributes:
        repeats: Posts whose Id was there already; the first one holds.
    """

    def __init__(self) -> None:
        # Without a name SQLite makes a private file and deletes it. Runners may save the
        # tables in another thread than the one that filled them.
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.executescript(_TABLES)
        self.repeats = 0

    def add_original(self, number: int, accepted: int | None, text: str, date: str) -> None:
        """Keep a question that others are duplicates of, and the Id of its accepted answer."""
        self._add("originals", number, accepted, text, date)

    def add_duplicate(self, number: int, original: int, text: str, date: str) -> None:
        """Keep a question that is a duplicate."""
        self._add("duplicates", number, original, text, date)

    def add_answer(self, number: int, original: int, score: int, text: str) -> None:
        """Keep an answer to what may be an original."""
        self._add("answers", number, original, score, text)

    def _add(self, table: str, *values: Any) -> None:
        insert = f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?)"
        self.repeats += 1 - self._database.execute(insert, values).rowcount

    def choose(self, keep_unanswered: bool) -> int:
        """Choose an answer for each original that has duplicates; no more posts after this.

        Returns:
            Originals without an answer. They get minus their own Id as that of their
            answer, or are left out.
        """
        self._database.commit()
        self._database.executescript(_CHOOSE)
        keep = "UPDATE chosen SET answer = -original WHERE answer IS NULL"
        leave_out = "DELETE FROM chosen WHERE answer IS NULL"
        missing = self._database.execute(keep if keep_unanswered else leave_out).rowcount
        self._database.commit()
        self._database.executescript(_VIEWS)
        return missing

    @property
    def originals(self) -> Table:
        """The originals kept."""
        return Table(self._database, "SELECT * FROM kept_originals ORDER BY id", QUESTION_COLUMNS)

    @property
    def duplicates(self) -> Table:
        """The duplicates of originals kept."""
        return Table(self._database, "SELECT * FROM kept_duplicates ORDER BY id", QUESTION_COLUMNS)

    @property
    def answers(self) -> Table:
        """The answer chosen for each original kept that has one."""
        return Table(self._database, "SELECT * FROM kept_answers ORDER BY id", ANSWER_COLUMNS)

    def count(self, table: Literal["chosen", "kept_duplicates", "kept_answers"]) -> int:
        """Rows of a table after `choose`: originals, duplicates or answers kept."""
        return self._number(f"SELECT count(*) FROM {table}")

    def duplicates_with_original(self) -> int:
        """Duplicates in the store whose original is there, too, answered or not."""
        originals = "SELECT id FROM originals"
        return self._number(f"SELECT count(*) FROM duplicates WHERE original IN ({originals})")

    def duplicates_per_original(self) -> NDArray[np.int64]:
        """Duplicates of each original kept, in their order; int64, shape (originals,)."""
        counts = self._database.execute(
            "SELECT count(*) FROM duplicates JOIN chosen USING (original) "
            "GROUP BY original ORDER BY original"
        )
        return np.fromiter((count for (count,) in counts), dtype=np.int64)

    def _number(self, query: str) -> int:
        (number,) = self._database.execute(query).fetchone()
        return int(number)
