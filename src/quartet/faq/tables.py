"""The three tables of a FAQ: checked row by row, cleaned, filtered, split.

Originals and duplicates have the columns `Id`, `AnswerId`, `Text0` and
`CreationDate`, answers `Id` and `Text0`, all of them text as it stands in a
file. `AnswerId` ties a duplicate to its original and to the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from quartet.faq.cleaning import clean_text, has_banner
from quartet.faq.settings import Cleaning, DuplicateSplit

QUARANTINE_COLUMNS = ["table", "line", "Id", "reason", "text"]
_SHOWN = 120
"""Characters of a text that the quarantine shows."""
_NUMBER = r"\s*(-?[0-9]{1,18})(?:\.0*)?\s*"
"""Tables that once had gaps are written by many programs with `.0` behind each number."""
_NUMBER_SAID = "a whole number of at most 18 digits"
"""An int64 has room for any such number."""


class FaqTables(NamedTuple):
    """Usable rows of all three tables, and what became of the others.

    Attributes:
        originals: Columns `Id`, `AnswerId` (int64), `text` (cleaned), in the order of the file.
        duplicates: The same columns, in the order of their originals.
        answers: `Id` (int64), `text` (as it stood), one row an original, in their order.
        quarantine: Rows with a fault, with `table`, `line`, `Id`, `reason` and `text`.
        statistics: One row a table and stage: rows and lengths of texts in characters.
        banners: Duplicates whose text held the banner that names the original.
    """

    originals: pd.DataFrame
    duplicates: pd.DataFrame
    answers: pd.DataFrame
    quarantine: pd.DataFrame
    statistics: pd.DataFrame
    banners: int


def prepare_tables(
    originals: pd.DataFrame, duplicates: pd.DataFrame, answers: pd.DataFrame, cleaning: Cleaning
) -> FaqTables:
    """Check, clean and filter the three raw tables.

    Raises:
        ValueError: Fewer than two originals are left.
    """
    faults = _Quarantine()
    clean = _cleaner(cleaning)
    answers = faults.sift_rows("answers", answers, ["Id"], _as_it_stood)
    originals = faults.sift_rows("originals", originals, ["Id", "AnswerId"], clean)
    duplicates = faults.sift_rows("duplicates", duplicates, ["Id", "AnswerId"], clean)
    banners = int(duplicates["Text0"].map(has_banner).sum())
    originals = faults.sift_originals(originals, answers if cleaning.require_answer else None)
    duplicates = faults.sift_duplicates(duplicates, originals)
    checked = {"originals": originals, "duplicates": duplicates, "answers": answers}
    originals, duplicates = _filter(originals, duplicates, cleaning)
    _refuse_too_few(originals, checked, faults, cleaning)
    used = _aligned(originals, duplicates, answers)
    statistics = [_statistics("checked", checked), _statistics("used", used)]
    return FaqTables(
        **used,
        quarantine=faults.table(),
        statistics=pd.concat(statistics, ignore_index=True),
        banners=banners,
    )


def split_duplicates(duplicates: pd.DataFrame, split: DuplicateSplit) -> pd.DataFrame:
    """Each duplicate with its part, `train`, `tune` or `test`, drawn original by original.

    Returns:
        The rows of `duplicates` with the further column `part`.

    Raises:
        ValueError: An original has fewer than three duplicates.
    """
    generator = np.random.default_rng(split.seed)
    part = np.full(len(duplicates), "train", dtype=object)
    for answer, rows in duplicates.groupby("AnswerId", sort=False).indices.items():
        if len(rows) < 3:
            raise ValueError(
                f"the original with AnswerId {answer} has {len(rows)} duplicates; it needs three, "
                "one each to learn from, to tune on and to test on: raise min_duplicates"
            )
        test = max(1, int(split.test_share * len(rows)))
        tune = min(max(1, round(split.tune_share * (len(rows) - test))), len(rows) - test - 1)
        drawn = generator.permutation(rows)
        part[drawn[:test]] = "test"
        part[drawn[test : test + tune]] = "tune"
    return duplicates.assign(part=part)


def _cleaner(cleaning: Cleaning) -> Callable[[str], str]:
    return lambda text: clean_text(
        text, remove_banner=cleaning.remove_banner, keep_code=cleaning.keep_code
    )


def _as_it_stood(text: str) -> str:
    return text.strip()


class _Quarantine:
    """Collects rows with faults."""

    def __init__(self) -> None:
        self._parts: list[pd.DataFrame] = []

    def sift(self, table: str, rows: pd.DataFrame, faulty: pd.Series, reason: str) -> pd.DataFrame:
        """The rows without the fault; the others are kept here."""
        bad = rows[faulty]
        if len(bad):
            texts = bad["Text0"].fillna("").astype(str).str[:_SHOWN]
            shown = (
                bad[["line", "Id"]]
                .astype(object)
                .assign(
                    table=table,
                    reason=reason,
                    # What is no UTF-8 could not be written to the report either.
                    text=texts.map(lambda text: text.encode("utf-8", "replace").decode()),
                )
            )
            self._parts.append(shown[QUARANTINE_COLUMNS])
        return rows[~faulty]

    def sift_rows(
        self, table: str, rows: pd.DataFrame, keys: list[str], clean: Callable[[str], str]
    ) -> pd.DataFrame:
        """Rows that are whole, with numbers as numbers and the cleaned text in `text`."""
        if "line" not in rows:
            rows = rows.assign(line=np.arange(1, len(rows) + 1))
        incomplete = rows[[*keys, "Text0"]].isna().any(axis=1)
        rows = self.sift(table, rows, incomplete, "has another number of columns")
        foreign = ~rows["Text0"].map(_is_utf8).astype(bool)
        rows = self.sift(table, rows, foreign, "is not UTF-8")
        for key in keys:
            # Matched as text: among numbers that are none, large ones would be rounded.
            number = rows[key].str.extract(f"^{_NUMBER}$", expand=False)
            wrong = number.isna()
            rows = self.sift(table, rows, wrong, f"{key} is not {_NUMBER_SAID}")
            rows = rows.assign(**{key: number[~wrong].astype(np.int64)})
        rows = self.sift(table, rows, rows["Id"].duplicated(), "repeats an earlier Id")
        rows = rows.assign(text=rows["Text0"].map(clean))
        return self.sift(table, rows, rows["text"] == "", "has no text")

    def sift_originals(self, originals: pd.DataFrame, answers: pd.DataFrame | None) -> pd.DataFrame:
        """Originals whose answer is theirs alone and, where answers are given, among these."""
        repeated = originals["AnswerId"].duplicated()
        originals = self.sift("originals", originals, repeated, "another original has its answer")
        if answers is None:
            return originals
        missing = ~originals["AnswerId"].isin(answers["Id"])
        return self.sift("originals", originals, missing, "there is no answer of this Id")

    def sift_duplicates(self, duplicates: pd.DataFrame, originals: pd.DataFrame) -> pd.DataFrame:
        """Duplicates of one of the originals that are not themselves one."""
        lost = ~duplicates["AnswerId"].isin(originals["AnswerId"])
        reason = "its original is unknown or set aside"
        duplicates = self.sift("duplicates", duplicates, lost, reason)
        both = duplicates["Id"].isin(originals["Id"])
        return self.sift("duplicates", duplicates, both, "is itself an original")

    def table(self) -> pd.DataFrame:
        """All rows set aside."""
        empty = pd.DataFrame(columns=QUARANTINE_COLUMNS)
        return pd.concat(self._parts, ignore_index=True) if self._parts else empty

    def reasons(self) -> str:
        """How many rows were set aside for which reason, in words."""
        told = self.table()
        counts = (told["table"] + ": " + told["reason"]).value_counts()
        return "; ".join(f"{count} {reason}" for reason, count in counts.items())


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # bytes that could not be decoded stand there as surrogates
        return False
    return True


def _filter(
    originals: pd.DataFrame, duplicates: pd.DataFrame, cleaning: Cleaning
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows that are long enough, and originals with enough duplicates."""
    originals = originals[originals["text"].str.len() >= cleaning.min_text]
    duplicates = duplicates[duplicates["text"].str.len() >= cleaning.min_text]
    counts = duplicates["AnswerId"].value_counts()
    enough = counts.index[counts >= cleaning.min_duplicates]
    originals = originals[originals["AnswerId"].isin(enough)]
    return originals, duplicates[duplicates["AnswerId"].isin(originals["AnswerId"])]


def _aligned(
    originals: pd.DataFrame, duplicates: pd.DataFrame, answers: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The three tables as they are used: duplicates and answers in the order of the originals."""
    columns = ["Id", "AnswerId", "text"]
    place = pd.Series(np.arange(len(originals)), index=originals["AnswerId"])
    order = duplicates["AnswerId"].map(place).sort_values(kind="stable").index
    texts = answers.set_index("Id")["text"].reindex(originals["AnswerId"]).fillna("")
    return {
        "originals": originals[columns].reset_index(drop=True),
        "duplicates": duplicates.loc[order, columns].reset_index(drop=True),
        "answers": texts.rename_axis("Id").reset_index(),
    }


def _refuse_too_few(
    originals: pd.DataFrame,
    before: dict[str, pd.DataFrame],
    faults: _Quarantine,
    cleaning: Cleaning,
) -> None:
    if len(originals) >= 2:
        return
    found = f"{len(before['originals'])} originals and {len(before['duplicates'])} duplicates"
    quarantined = f" Set aside: {faults.reasons()}." if faults.reasons() else ""
    raise ValueError(
        f"{len(originals)} originals are left, at least 2 are needed: of {found} that passed the "
        f"checks, the others lack min_text={cleaning.min_text} characters or "
        f"min_duplicates={cleaning.min_duplicates} duplicates of that length; lower these "
        f"parameters or give more data.{quarantined}"
    )


def _statistics(stage: str, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows and text lengths of each table, and duplicates per original."""
    rows = [
        {"stage": stage, "what": f"characters of {name}", **_describe(table["text"].str.len())}
        for name, table in tables.items()
    ]
    counts = tables["duplicates"]["AnswerId"].value_counts()
    rows.append({"stage": stage, "what": "duplicates an original", **_describe(counts)})
    return pd.DataFrame(rows)


def _describe(values: pd.Series) -> dict[str, float]:
    described = values.astype(float).describe()
    names = {"count": "count", "mean": "mean", "min": "min", "50%": "median", "max": "max"}
    return {name: float(described[key]) for key, name in names.items()}
