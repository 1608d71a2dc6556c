"""A column that appears twice must be named; no one of the two may be taken in silence."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from quartet.datasets.columns import check_unique_columns, format_columns
from quartet.datasets.tables import QuestionsDataset, TSVDataset

HEADER = ["Id", "Title", "Body", "Title"]


@pytest.mark.parametrize("name", ["q.csv", "q.tsv", "q.parquet"])
def test_repeated_column_of_questions_is_named(tmp_path, name) -> None:
    path = tmp_path / name
    if name == "q.parquet":
        columns = [pa.array(["x"])] * len(HEADER)
        pq.write_table(pa.Table.from_arrays(columns, names=HEADER), path)
    else:
        separator = "," if name == "q.csv" else "\t"
        path.write_text(f"\ufeff{separator.join(HEADER)}\n{separator.join('1234')}\n")
    with pytest.raises(DatasetError) as raised:
        QuestionsDataset(filepath=str(path)).load()
    message = f"{path}: column 'Title' appears twice; rename or remove one of them"
    assert str(raised.value) == message


def test_repeated_column_of_a_configuration_is_named(tmp_path) -> None:
    with pytest.raises(DatasetError, match=r"t.tsv: column 'Id' appears twice"):
        TSVDataset(filepath=str(tmp_path / "t.tsv"), columns=["Id", "Text0", "Id"])


def test_names_are_compared_exactly() -> None:
    check_unique_columns("table", ["a", "A", "a.1", ""])
    with pytest.raises(DatasetError, match="column '' appears twice"):
        check_unique_columns("table", ["", "a", ""])


def test_message_stays_short_for_what_is_no_table() -> None:
    assert format_columns(["a", "b"]) == "a, b"
    assert len(format_columns(["x" * 1000] * 1000)) < 3000


def test_header_is_read_as_before(tmp_path) -> None:
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
