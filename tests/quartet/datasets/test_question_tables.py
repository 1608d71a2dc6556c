"""Questions keep their texts, Ids and answers in every form, and what is missing is named."""

import gzip

import pandas as pd
import pytest
from kedro.io import DatasetError

from quartet.datasets.question_tables import QuestionTableDataset
from quartet.datasets.tables import QuestionsDataset

FILES = {"originals": "orig-q", "duplicates": "dup-q", "answers": "ans"}


def load(folder, table, **columns):
    path = f"{folder}/{FILES[table]}.tsv.gz"
    return QuestionTableDataset(filepath=path, table=table, columns=columns).load()


def rows(table, *columns):
    return list(table[list(columns)].itertuples(index=False, name=None))


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        content = text.encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_files_of_the_reference_system_have_no_header(tmp_path):
    write(
        tmp_path,
        **{
            "orig-q.tsv.gz": "1\t101\tHow, or why, or when?\t2020\n",
            "dup-q.tsv": "2\t101\tWhy?\t2020\n3\t101\n",
            "ans.tsv.gz": "101\tSo.\n",
        },
    )
    found = load(tmp_path, "originals")
    assert rows(found, "Id", "AnswerId", "Text0") == [("1", "101", "How, or why, or when?")]
    duplicates = load(tmp_path, "duplicates")
    assert duplicates["Id"].tolist() == ["2", "3"]
    assert duplicates["Text0"].isna().tolist() == [False, True]
    assert duplicates["line"].tolist() == [1, 2]
    assert rows(load(tmp_path, "answers"), "Id", "Text0") == [("101", "So.")]


def test_a_data_dump_may_have_no_answers(tmp_path):
    write(tmp_path, **{"ans.tsv.gz": "", "dup-q.tsv.gz": ""})
    assert rows(load(tmp_path, "answers"), "Id", "Text0", "line") == []
    with pytest.raises(DatasetError, match=r"dup-q\.tsv\.gz: is empty, expected at least one row"):
        load(tmp_path, "duplicates")


def test_file_with_the_configured_name_takes_precedence(tmp_path):
    files = {"orig-q.tsv": "1\t1\tformer\t2020\n", "orig-q.tsv.gz": "1\t1\tnew\t2020\n"}
    write(tmp_path, **files)
    assert load(tmp_path, "originals")["Text0"].tolist() == ["new"]


def test_one_table_is_enough(tmp_path):
    write(tmp_path, faq__csv='question,answer\n"How, so?",So.\nWhy?,Because.\n')
    for root in (tmp_path, tmp_path / "faq.csv"):
        originals = load(root, "originals")
        assert rows(originals, "Id", "AnswerId", "Text0") == [
            ("1", "1", "How, so?"),
            ("2", "2", "Why?"),
        ]
        assert load(root, "duplicates").empty
        assert rows(load(root, "answers"), "Id", "Text0") == [("1", "So."), ("2", "Because.")]


@pytest.mark.parametrize(
    "text",
    [
        "question,answer\nHow?,So.\nWhy?,Because.\nIn what way?,So.\nNobody knows?,\nWho?,\n",
        "Id,AnswerId,question,answer\n"
        "1,1,How?,So.\n2,2,Why?,Because.\n3,1,In what way?,\n4,4,Nobody knows?,\n5,5,Who?,\n",
    ],
    ids=["the same answer", "the same AnswerId"],
)
def test_other_rows_of_an_answer_are_duplicates_of_the_first(tmp_path, text):
    write(tmp_path, faq__csv=text)
    assert load(tmp_path, "originals")["Text0"].tolist() == [
        "How?",
        "Why?",
        "Nobody knows?",
        "Who?",
    ]
    assert rows(load(tmp_path, "duplicates"), "Id", "AnswerId", "Text0") == [
        ("3", "1", "In what way?")
    ]
    assert load(tmp_path, "answers")["Id"].tolist() == ["1", "2"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", ["question{}Answer{}ID", "TEXT0{}answer{}id"])
def test_any_separator_and_case(tmp_path, separator, header):
    content = header.format(separator, separator) + f"\nHow?{separator}So.{separator}Q-10\n"
    (tmp_path / "faq.csv").write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert rows(load(tmp_path, "originals"), "Id", "Text0") == [("Q-10", "How?")]
    assert rows(load(tmp_path, "answers"), "Id", "Text0") == [("Q-10", "So.")]


def test_large_integers_in_parquet_stay_exact(tmp_path):
    ids = pd.array([2**60 + 1, None, 2**60 + 3], dtype="Int64")
    table = pd.DataFrame({"Id": ids, "question": ["How?", "Why?", "Who?"], "answer": "So."})
    table.to_parquet(tmp_path / "faq.parquet")
    table.assign(AnswerId=ids).to_parquet(tmp_path / "dups.parquet")
    assert load(tmp_path, "originals")["Id"].tolist() == [str(2**60 + 1), None, str(2**60 + 3)]
    assert load(tmp_path, "duplicates")["AnswerId"].tolist()[2] == str(2**60 + 3)
    questions = QuestionsDataset(filepath=str(tmp_path / "faq.parquet")).load()
    assert questions["Id"].tolist() == [str(2**60 + 1), "", str(2**60 + 3)]


def test_title_and_body_are_one_text(tmp_path):
    write(tmp_path, faq__csv="title,BODY,answer\nHow a<b,<p>Text</p>,So.\n")
    assert load(tmp_path, "originals")["Text0"].tolist() == ["How a&lt;b. <p>Text</p>"]


def test_columns_can_be_named(tmp_path):
    write(tmp_path, faq__csv="Anfrage,Erwiderung\nHow?,So.\n")
    names = {"question": "anfrage", "answer": "Erwiderung"}
    assert load(tmp_path, "originals", **names)["Text0"].tolist() == ["How?"]
    assert load(tmp_path, "answers", **names)["Text0"].tolist() == ["So."]


@pytest.mark.parametrize(
    ("table", "files", "message"),
    [
        (
            "originals",
            {"faq.csv": "query,reply\nHow?,So.\n"},
            '--params "faq_columns.question=query"',
        ),
        (
            "duplicates",
            {"faq.csv": "question,answer\nHow?,So.\n", "dups.csv": "question,original\nWhy?,1\n"},
            '--params "faq_columns.answer_id=original"',
        ),
        ("originals", {"faq.csv": "question,question\na,b\n"}, "'question' appears twice"),
        ("answers", {"faq.csv": "question\nHow?\n"}, r"ans\.tsv\.gz: no such file; found faq\.csv"),
        ("originals", {}, "no such file; no table is in"),
        (
            "duplicates",
            {"faq.csv": "question,answer\nHow?,So.\n", "more.csv": "a\nb\n"},
            r"found no duplicates, and more\.csv; rename them",
        ),
        ("originals", {"faq.csv": "", "qa.csv": ""}, r"faq\.csv, qa\.csv may all be the originals"),
        ("originals", {"faq.xlsx": "PK"}, "is a workbook; save the sheet as CSV UTF-8"),
        ("originals", {"faq.csv": ""}, "is empty"),
        ("originals", {"faq.csv": "question,answer\nHow\nWhy\n"}, r"expected 2 columns .* found 1"),
    ],
)
def test_what_is_missing_is_named(tmp_path, table, files, message):
    write(tmp_path, **files)
    with pytest.raises(DatasetError, match=message):
        load(tmp_path, table)


def test_new_questions_in_the_same_folder_are_not_duplicates(tmp_path):
    files = {"faq.csv": "question,answer\nHow?,So.\n", "new-questions.csv": "question\nWhy?\n"}
    write(tmp_path, **files)
    assert load(tmp_path, "originals")["Text0"].tolist() == ["How?"]
    assert load(tmp_path, "duplicates").empty


def test_duplicates_without_ids_do_not_take_those_of_originals(tmp_path):
    write(
        tmp_path,
        faq__csv="question,answer\nHow?,So.\n",
        duplicates__csv="question,AnswerId\nWhy?,1\n",
    )
    assert load(tmp_path, "originals")["Id"].tolist() == ["1"]
    assert load(tmp_path, "duplicates")["Id"].tolist() == ["duplicate 1"]


def test_new_questions_have_names_of_their_own(tmp_path):
    write(tmp_path, q__txt="Frage;Nr\nHow, or why?;N-1\n")
    columns = {"question": "frage", "id": "nr"}
    table = QuestionsDataset(filepath=str(tmp_path / "q.txt"), columns=columns).load()
    assert rows(table, "Id", "Text0") == [("N-1", "How, or why?")]
