"""A quote that is not closed must not take the rows after it along."""

import pytest

from quartet.datasets.tables import TSVDataset


def load(folder, content: bytes) -> dict[str, list]:
    path = folder / "ans.tsv"
    path.write_bytes(content)
    return TSVDataset(filepath=str(path), columns=["Id", "Text0"]).load().to_dict("list")


def test_quote_that_is_never_closed_is_text(tmp_path) -> None:
    table = load(tmp_path, b'1\tone\n2\t"two\n3\tthree\n4\tfour\n')
    assert table["Id"] == ["1", "2", "3", "4"]
    assert table["Text0"] == ["one", '"two', "three", "four"]
    assert table["line"] == [1, 2, 3, 4]


def test_quotes_of_different_rows_do_not_match(tmp_path) -> None:
    table = load(tmp_path, b'1\t"one\n2\ttwo\n3\t"three" words\n4\t"four\n5\t"five\n')
    assert table["Id"] == ["1", "2", "3", "4", "5"]
    assert table["Text0"] == ['"one', "two", "three words", '"four', '"five']
    assert table["line"] == [1, 2, 3, 4, 5]


def test_quoted_values_may_still_span_lines(tmp_path) -> None:
    table = load(tmp_path, b'1\t"one\n\n""two"""\r\n\r\n2\t"three\r\nfour"\n3\tfive')
    assert table["Text0"] == ['one\n\n"two"', "three\r\nfour", "five"]
    assert table["line"] == [1, 5, 7]


@pytest.mark.parametrize("row", [b'7\t"open\n', b'7\t"open\n8\tclosed" and more\n'])
def test_many_such_rows_take_linear_time(tmp_path, row: bytes) -> None:
    """With quadratic time this test would take hours."""
    table = load(tmp_path, row * 50_000)
    assert len(table["Id"]) == 50_000 * row.count(b"\n")
