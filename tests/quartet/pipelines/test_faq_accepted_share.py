"""No FAQ run may succeed on what little its checks accept; few rejected rows are one warning."""

import logging
from types import SimpleNamespace

import pandas as pd
import pytest

from faq.test_dump import XmlFile, answer, document, link, question
from faq.test_tables import make_tables
from quartet.faq.settings import Cleaning, DumpSelection, Matching
from quartet.pipelines.faq_ingestion.nodes import ingest_dump
from quartet.pipelines.faq_matching.nodes import match_questions
from quartet.pipelines.faq_tuning.nodes import clean_tables


def ingest(bad: int, share: float = 0.5):
    posts = [question(1), answer(10, 1), question(2), question(3)]
    posts += [b'<row Id="x%d" PostTypeId="3" />\n' % number for number in range(bad)]
    return ingest_dump(
        XmlFile("Posts.xml", document("posts", *posts)),
        XmlFile("PostLinks.xml", document("postlinks", link(2, 1), link(3, 1))),
        DumpSelection(tag="js", min_accepted_share=share),
    )


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_malformed_rows_of_a_dump_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    ingest(bad=4)
    assert warnings_of(caplog) == [
        "Posts.xml: rejected 4 of 8 rows: Id is not a whole number (4); such "
        'as line 7: <row Id="x0" PostTypeId="3" />; see malformed_rows'
    ]


def test_a_dump_of_mostly_malformed_rows_fails_with_the_reasons() -> None:
    with pytest.raises(ValueError, match=r"^Posts.xml: accepted 4 of 9 rows.*number \(5\)"):
        ingest(bad=5)
    ingest(bad=5, share=0.4)


CLEANING = Cleaning(min_text=5)


def test_invalid_rows_of_tables_are_a_warning_a_table(caplog: pytest.LogCaptureFixture) -> None:
    extra = [("30", "999", "lost one"), ("40", "101", "caf\udce9"), ("41", "101", "caf\udce9")]
    clean_tables(*make_tables(duplicates=extra), CLEANING)
    assert warnings_of(caplog) == [
        "faq_duplicates: rejected 3 of 9 rows: is not UTF-8 (2); its original is unknown or set "
        "aside (1); such as line 8, Id 40: caf\\udce9; see faq_quarantine"
    ]


@pytest.mark.parametrize(
    ("table", "row", "expected"),
    [
        ("duplicates", ("9{}", "101", "<p></p>"), r"^faq_duplicates: .*has no text \(7\)"),
        ("originals", ("9{}", "10{}", ""), r"^faq_originals: .*has no text \(7\)"),
        ("answers", (" ", "fine"), r"^faq_answers: .*Id is empty \(7\)"),
    ],
)
def test_a_table_of_mostly_invalid_rows_fails_with_the_reasons(table, row, expected) -> None:
    rows = [tuple(cell.format(number) for cell in row) for number in range(7)]
    with pytest.raises(ValueError, match=expected):
        clean_tables(*make_tables(**{table: rows}), CLEANING)
    clean_tables(
        *make_tables(**{table: rows}), CLEANING.model_copy(update={"min_accepted_share": 0.1})
    )


def match(texts: list[str], share: float):
    questions = pd.DataFrame({"Id": range(len(texts)), "Text0": texts})
    model = SimpleNamespace(raw_model=None, version=1)
    return match_questions(questions, model, Matching(min_accepted_share=share))


def test_questions_that_mostly_have_no_text_fail() -> None:
    with pytest.raises(ValueError, match=r"2 of 5 questions .* has no text \(3\); such as Id 0"):
        match([" ", " ", "why?", "how?", ""], 0.5)
    with pytest.raises(ValueError, match="none of the 1 questions has a text"):
        match([" "], 0.0)
