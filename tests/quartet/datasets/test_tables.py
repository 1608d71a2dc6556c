"""Tables are loaded completely, and faulty rows are marked."""

import gzip

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from quartet.datasets.tables import QuestionsDataset, TSVDataset

COLUMNS = ["Id", "Text0"]


def write(folder, content, name="table.tsv"):
    path = folder / name
    path.write_bytes(content)
    return TSVDataset(filepath=str(path), columns=COLUMNS)


def test_compression_is_detected_from_the_content(tmp_path):
    table = write(tmp_path, gzip.compress(b"1\tone\n2\ttwo\n")).load()
    assert table.to_dict("list") == {"Id": ["1", "2"], "Text0": ["one", "two"], "line": [1, 2]}


def test_quotes_around_and_in_values(tmp_path):
    table = write(tmp_path, b'1\t"a\tb ""c""\nd"\n2\tsay "hi" now\n3\tx\n').load()
    assert table["Text0"].tolist() == ['a\tb "c"\nd', 'say "hi" now', "x"]
    assert table["line"].tolist() == [1, 3, 4]


def load_rows(folder, content):
    return write(folder, content).load().to_dict("list")


def test_quote_that_is_never_closed_is_text(tmp_path) -> None:
    table = load_rows(tmp_path, b'1\tone\n2\t"two\n3\tthree\n4\tfour\n')
    assert table["Id"] == ["1", "2", "3", "4"]
    assert table["Text0"] == ["one", '"two', "three", "four"]
    assert table["line"] == [1, 2, 3, 4]


def test_quotes_of_different_rows_do_not_match(tmp_path) -> None:
    table = load_rows(tmp_path, b'1\t"one\n2\ttwo\n3\t"three" words\n4\t"four\n5\t"five\n')
    assert table["Id"] == ["1", "2", "3", "4", "5"]
    assert table["Text0"] == ['"one', "two", "three words", '"four', '"five']
    assert table["line"] == [1, 2, 3, 4, 5]


def test_quoted_values_may_still_span_lines(tmp_path) -> None:
    table = load_rows(tmp_path, b'1\t"one\n\n""two"""\r\n\r\n2\t"three\r\nfour"\n3\tfive')
    assert table["Text0"] == ['one\n\n"two"', "three\r\nfour", "five"]
    assert table["line"] == [1, 5, 7]


@pytest.mark.parametrize("row", [b'7\t"open\n', b'7\t"open\n8\tclosed" and more\n'])
def test_many_such_rows_take_linear_time(tmp_path, row: bytes) -> None:
    """With quadratic time this test would take hours."""
    table = load_rows(tmp_path, row * 50_000)
    assert len(table["Id"]) == 50_000 * row.count(b"\n")


def test_row_of_another_width_has_missing_values(tmp_path):
    table = write(tmp_path, b"1\tone\n2\n3\tthree\tmore\n").load()
    assert table["Id"].tolist() == ["1", "2", "3"]
    assert table["Text0"].isna().tolist() == [False, True, True]


def test_table_of_other_columns_raises(tmp_path):
    with pytest.raises(DatasetError, match=r"expected 2 tab-separated columns \(Id, Text0\)"):
        write(tmp_path, b"1,one\n2,two\n").load()


def test_missing_file_raises_with_hint(tmp_path):
    dataset = TSVDataset(filepath=str(tmp_path / "no.tsv"), columns=COLUMNS)
    with pytest.raises(DatasetError, match=r"no\.tsv: no such file; run the pipeline"):
        dataset.load()


@pytest.mark.parametrize("fault", ["cut short", "overwritten"])
def test_damaged_file_raises(tmp_path, fault):
    content = bytearray(gzip.compress(b"1\tone\n" * 1000))
    if fault == "cut short":
        del content[-20:]
    else:
        content[12:30] = b"garbage" * 3
    with pytest.raises(DatasetError, match="gzip file is damaged"):
        write(tmp_path, bytes(content), "t.tsv.gz").load()


@pytest.mark.parametrize("name", ["out.tsv", "out.tsv.gz"])
def test_save_and_load_round_trip(tmp_path, name):
    texts = ['tab\tand "quote"', '"', "line\nbreak", "été", "", "plain"]
    table = pd.DataFrame({"Id": [str(i) for i in range(len(texts))], "Text0": texts})
    dataset = TSVDataset(filepath=str(tmp_path / name), columns=COLUMNS)
    dataset.save([table.head(2), table.iloc[2:]])
    loaded = dataset.load()
    assert loaded["Text0"].tolist() == texts
    first = (tmp_path / name).read_bytes()
    dataset.save(table)
    assert (tmp_path / name).read_bytes() == first


def test_failed_save_keeps_the_old_file(tmp_path):
    import quartet.settings  # noqa: F401  registers the file system that replaces as a whole

    dataset = TSVDataset(filepath=str(tmp_path / "t.tsv.gz"), columns=COLUMNS)
    dataset.save(pd.DataFrame({"Id": ["1"], "Text0": ["old"]}))

    def failing():
        yield pd.DataFrame({"Id": ["2"], "Text0": ["new"]})
        raise RuntimeError("stopped")

    with pytest.raises(DatasetError, match="stopped"):
        dataset.save(failing())
    assert dataset.load()["Text0"].tolist() == ["old"]


QUESTIONS = pd.DataFrame({"Id": [7, 8], "Title": ["One", "Two"], "Body": ["<p>a</p>", "b, c"]})


@pytest.mark.parametrize("name", ["q.csv", "q.tsv", "q.csv.gz", "q.parquet"])
def test_questions_are_loaded_in_every_format(tmp_path, name):
    path = tmp_path / name
    if name.endswith(".parquet"):
        QUESTIONS.to_parquet(path)
    else:
        QUESTIONS.to_csv(path, sep="\t" if ".tsv" in name else ",", index=False)
    table = QuestionsDataset(filepath=str(path)).load()
    assert table["Text0"].tolist() == ["One. <p>a</p>", "Two. b, c"]
    assert table["Id"].astype(int).tolist() == [7, 8]


def test_question_without_title_and_body_has_no_text(tmp_path):
    (tmp_path / "q.csv").write_text("Title,Body\n , \n,b\na,\n")
    table = QuestionsDataset(filepath=str(tmp_path / "q.csv")).load()
    assert table["Text0"].str.strip().tolist() == ["", "b", "a."]


def test_questions_without_ids_are_numbered(tmp_path):
    (tmp_path / "q.csv").write_text("Text0\nhow?\nNA\n")
    table = QuestionsDataset(filepath=str(tmp_path / "q.csv")).load()
    assert table.to_dict("list") == {"Id": ["1", "2"], "Text0": ["how?", "NA"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.csv", "Query\nhow?\n", '--params "faq_question_columns.question=Query"'),
        ("q.doc", "Text0\nhow?\n", r"suffix is \.doc, expected \.csv, \.tsv"),
        ("q.parquet", "no parquet", "cannot be read as a table"),
        ("q.csv", "", "is empty, expected a header with question or Text0"),
        ("q.csv", "\n \n", "is empty, expected a header with question or Text0"),
        ("q.csv", None, "faq_questions=FILE"),
    ],
)
def test_invalid_questions_raise(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=message):
        QuestionsDataset(filepath=str(tmp_path / name)).load()


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("question", [["a"], None], "list<element: string>"),
        ("Id", [{"a": 1}, {"a": 2}], "struct<a: int64>"),
        ("question", [b"a", b"\xff"], "binary"),
    ],
)
def test_nested_and_binary_values_of_parquet_are_refused_by_column(tmp_path, column, values, kind):
    path = tmp_path / "q.parquet"
    table = {"Id": [1, 2], "question": ["x", "y"], column: values}
    pd.DataFrame(table).to_parquet(path)
    with pytest.raises(DatasetError) as raised:
        QuestionsDataset(filepath=str(path)).load()
    assert str(raised.value) == (
        f"{path}: column '{column}' contains {kind}, expected text or numbers; save it as text"
    )


def test_nested_values_of_other_columns_are_ignored(tmp_path):
    path = tmp_path / "q.parquet"
    pd.DataFrame({"question": ["x"], "tags": [["a", "b"]]}).to_parquet(path)
    assert QuestionsDataset(filepath=str(path)).load()["Text0"].tolist() == ["x"]


TWICE = ["Id", "Title", "Body", "Title"]


@pytest.mark.parametrize("name", ["q.csv", "q.parquet"])
def test_repeated_column_of_questions_is_named(tmp_path, name) -> None:
    path = tmp_path / name
    if name == "q.parquet":
        columns = [pa.array(["x"])] * len(TWICE)
        pq.write_table(pa.Table.from_arrays(columns, names=TWICE), path)
    else:
        path.write_text(f"\ufeff{','.join(TWICE)}\n1,2,3,4\n")
    with pytest.raises(DatasetError) as raised:
        QuestionsDataset(filepath=str(path)).load()
    message = f"{path}: column 'Title' appears twice; rename or remove one of them"
    assert str(raised.value) == message


def test_repeated_column_of_a_configuration_is_named(tmp_path) -> None:
    with pytest.raises(DatasetError, match=r"t.tsv: column 'Id' appears twice"):
        TSVDataset(filepath=str(tmp_path / "t.tsv"), columns=["Id", "Text0", "Id"])


def test_quotes_and_line_ends_of_a_csv_file(tmp_path) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes(b'\xef\xbb\xbf"Id","Text0","x"\r\n007,"one, ""two""\n",\r\n\r\n8,NA\r\n')
    table = QuestionsDataset(filepath=str(path)).load()
    assert table.to_dict("list") == {"Id": ["007", "8"], "Text0": ['one, "two"\n', "NA"]}
    assert table.index.tolist() == [0, 1]


def test_title_is_plain_text(tmp_path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("Title,Body\nWhat is <b>x</b> & &nbsp;?,<p>y</p>\na<b,\n")
    texts = QuestionsDataset(filepath=str(path)).load()["Text0"].tolist()
    assert texts == ["What is &lt;b>x&lt;/b> & &amp;nbsp;?. <p>y</p>", "a&lt;b. "]
