"""Invalid rows must be quarantined with a reason and must not affect valid ones."""

import numpy as np
import pandas as pd
import pytest

from quartet.faq.settings import Cleaning, DuplicateSplit
from quartet.faq.tables import prepare_tables, split_duplicates

CLEANING = Cleaning(min_text=5)


def make_questions(rows):
    return pd.DataFrame(rows, columns=["Id", "AnswerId", "Text0"], dtype=str).assign(
        CreationDate="2020-01-01"
    )


def make_tables(originals=(), duplicates=(), answers=()):
    """Return two valid originals with three duplicates each, and the given rows."""
    valid = [("1", "101", "original one"), ("2", "102", "original two"), *originals]
    known = [(f"1{i}", "101", f"duplicate {i} of one") for i in range(3)]
    known += [(f"2{i}", "102", f"duplicate {i} of two") for i in range(3)]
    replies = [("101", "answer one"), ("102", "answer <b>two</b>"), *answers]
    return (
        make_questions(valid),
        make_questions([*known, *duplicates]),
        pd.DataFrame(replies, columns=["Id", "Text0"], dtype=str),
    )


def prepare(**rows):
    return prepare_tables(*make_tables(**rows), CLEANING)


def list_reasons(result):
    return list(result.quarantine[["table", "Id", "reason"]].itertuples(index=False, name=None))


def test_valid_rows_are_kept_with_their_answers():
    result = prepare()
    assert result.originals["Id"].tolist() == ["1", "2"]
    assert result.duplicates["Id"].tolist() == ["10", "11", "12", "20", "21", "22"]
    assert result.answers["text"].tolist() == ["answer one", "answer <b>two</b>"]
    assert result.quarantine.empty


@pytest.mark.parametrize(
    ("rows", "table", "reason"),
    [
        ({"originals": [("1", "109", "again")]}, "originals", "repeats an earlier Id"),
        ({"duplicates": [("10", "101", "again")]}, "duplicates", "repeats an earlier Id"),
        ({"answers": [("101", "again")]}, "answers", "repeats an earlier Id"),
        ({"originals": [("3", "101", "third")]}, "originals", "another original has its answer"),
        ({"originals": [("3", "103", "third")]}, "originals", "there is no answer of this Id"),
        ({"duplicates": [("30", "999", "lost one")]}, "duplicates", "its original is unknown"),
        ({"duplicates": [("2", "101", "original two")]}, "duplicates", "is itself an original"),
        ({"duplicates": [("30", "101", " <p></p> ")]}, "duplicates", "has no text"),
        ({"duplicates": [(" ", "101", "whatever")]}, "duplicates", "Id is empty"),
        ({"duplicates": [("30", "", "text text")]}, "duplicates", "AnswerId is empty"),
        ({"duplicates": [("bad \udcff", "101", "text text")]}, "duplicates", "is not UTF-8"),
        ({"duplicates": [("30", "101", "bad \udcff byte")]}, "duplicates", "is not UTF-8"),
        ({"duplicates": [("30", None, None)]}, "duplicates", "has another number of columns"),
    ],
)
def test_an_invalid_row_is_quarantined_with_a_reason(rows, table, reason):
    result = prepare(**rows)
    ((found_table, _, found_reason),) = list_reasons(result)
    assert found_table == table
    assert reason in found_reason
    assert result.originals["Id"].tolist() == ["1", "2"]
    assert len(result.duplicates) == 6


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Q-10", "Q-10"),
        ("007", "007"),
        (str(2**80), str(2**80)),
        ("-12", "-12"),
        (" 7 ", "7"),
        ("77.0", "77"),  # as pandas writes a column of whole numbers with gaps
        ("1.2.0", "1.2.0"),
        ("1e3", "1e3"),
    ],
)
def test_an_id_is_text_and_stays_exact(given, kept):
    result = prepare(duplicates=[(given, "101.0", "another one")])
    assert kept in result.duplicates["Id"].tolist()
    assert result.quarantine.empty


def test_the_quarantine_can_be_written_and_has_line_numbers():
    result = prepare(duplicates=[("30", "101", "bad \udcff byte " + "x" * 500)])
    (row,) = result.quarantine.to_dict("records")
    assert row["line"] == 7
    assert len(row["text"].encode()) <= 130


def test_an_original_without_answer_can_be_kept():
    cleaning = CLEANING.model_copy(update={"require_answer": False})
    extra = [(f"3{i}", "-3", f"duplicate {i} of three") for i in range(3)]
    raw = make_tables(originals=[("3", "-3", "original three")], duplicates=extra)
    result = prepare_tables(*raw, cleaning)
    assert result.originals["Id"].tolist() == ["1", "2", "3"]
    assert result.answers["text"].tolist()[-1] == ""


def test_short_texts_and_small_classes_are_filtered_not_quarantined():
    small = [("30", "103", "only one duplicate")]
    tables = make_tables(
        originals=[("3", "103", "original three")],
        duplicates=[*small, ("40", "101", "abc")],
        answers=[("103", "answer three")],
    )
    result = prepare_tables(*tables, CLEANING.model_copy(update={"min_duplicates": 3}))
    assert result.originals["Id"].tolist() == ["1", "2"]
    assert "40" not in result.duplicates["Id"].tolist()
    assert result.quarantine.empty


def test_too_few_originals_raise_an_error_with_parameters_and_reasons():
    with pytest.raises(ValueError, match=r"min_duplicates=9.*lower these.*1 duplicates: has no"):
        prepare_tables(
            *make_tables(duplicates=[("30", "101", "<p>")]), Cleaning(min_text=5, min_duplicates=9)
        )


def test_duplicates_are_sorted_in_the_order_of_their_originals():
    originals, duplicates, answers = make_tables()
    mixed = duplicates.sample(frac=1, random_state=0)
    result = prepare_tables(originals.iloc[::-1], mixed, answers, CLEANING)
    assert result.originals["Id"].tolist() == ["2", "1"]
    assert result.duplicates["AnswerId"].tolist() == ["102"] * 3 + ["101"] * 3


def test_banners_are_counted():
    banner = "<p>Possible Duplicate: <a>original one</a></p> my own words"
    assert prepare(duplicates=[("30", "101", banner)]).banners == 1


def test_statistics_cover_rows_before_and_after_the_filters():
    table = prepare(duplicates=[("30", "101", "abc")]).statistics
    lengths = table[table["what"] == "characters of duplicates"].set_index("stage")
    assert lengths.loc["checked", "count"] == 7
    assert lengths.loc["checked", "min"] == 3
    assert lengths.loc["used", "count"] == 6


def make_duplicates(counts):
    answers = np.repeat(np.arange(len(counts)) + 100, counts)
    return pd.DataFrame({"Id": np.arange(len(answers)), "AnswerId": answers, "text": "x"})


@pytest.mark.parametrize("size", [3, 4, 9, 10, 100])
def test_every_original_has_duplicates_in_every_part(size):
    split = split_duplicates(make_duplicates([size] * 4), DuplicateSplit(seed=1, min_training=3))
    counts = pd.crosstab(split["AnswerId"], split["part"])
    assert (counts["test"] == max(1, size // 10)).all()
    assert (counts["tune"] == max(1, round(0.2 * (size - max(1, size // 10))))).all()
    assert (counts["train"] >= 1).all()
    assert (counts.sum(axis=1) == size).all()


def test_the_seed_determines_the_split():
    table = make_duplicates([10] * 20)
    first, again = (split_duplicates(table, DuplicateSplit(seed=1)) for _ in range(2))
    other = split_duplicates(table, DuplicateSplit(seed=2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["part"] != other["part"]).any()


def test_originals_with_few_duplicates_or_none_are_kept():
    extra = [("3", "103", "original three"), ("4", "104", "original four")]
    result = prepare(
        originals=extra,
        duplicates=[("30", "103", "only one duplicate")],
        answers=[("103", "answer three"), ("104", "answer four")],
    )
    assert result.originals["Id"].tolist() == ["1", "2", "3", "4"]
    assert len(result.duplicates) == 7


def test_duplicates_of_originals_with_one_are_dealt_to_all_parts():
    split = split_duplicates(make_duplicates([1] * 300), DuplicateSplit(seed=1))
    assert split["part"].value_counts().to_dict() == {"train": 100, "tune": 100, "test": 100}


@pytest.mark.parametrize(
    ("count", "parts"), [(30, {"train", "tune", "test"}), (29, {"train", "test"})]
)
def test_too_few_duplicates_are_not_for_tuning(count, parts):
    few = split_duplicates(make_duplicates([3] * count), DuplicateSplit(seed=1, min_training=30))
    assert set(few["part"]) == parts


def test_no_duplicates_can_be_split():
    assert split_duplicates(
        make_duplicates([]).astype({"AnswerId": str}), DuplicateSplit(seed=1)
    ).empty
