"""A report must not run formulas of strangers, and must hold whatever a table contains."""

import inspect
import math

import numpy as np
import pandas as pd
import pytest
from kedro_datasets.partitions import PartitionedDataset

from quartet.datasets.raw import BytesDataset
from quartet.datasets.report import ReportDataset
from quartet.datasets.text import TextReportDataset

NUMBERS = ["-5", "+3.2", "-1e-3", "-1,234.5", "+7%", "12"]


def round_trip(folder, table: pd.DataFrame) -> pd.DataFrame:
    dataset = ReportDataset(filepath=str(folder / "report.csv"), save_args={"index": False})
    dataset.save(table)
    return pd.read_csv(folder / "report.csv", dtype=str, keep_default_na=False)


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+SUM(A1)", "-2+3", "@cmd", "\tx", "\r=1", "\n=1", "=HYPERLINK()", "＝1", "-", "- a"],
)
def test_text_that_begins_like_a_formula_gets_an_apostrophe(tmp_path, cell: str) -> None:
    table = pd.DataFrame({"text": [cell], "kind": pd.Categorical([cell]), cell: ["x"]})
    saved = round_trip(tmp_path, table)
    escaped = f"'{cell}".replace("\r", "\n")
    assert saved["text"].item() == escaped
    assert saved["kind"].item() == escaped
    assert saved.columns[2] == escaped


def test_carriage_return_does_not_begin_a_row(tmp_path) -> None:
    saved = round_trip(tmp_path, pd.DataFrame({"text": ["a\r=1+1\r\n=2"], "n": [1]}))
    assert saved["text"].tolist() == ["a\n=1+1\n=2"]


@pytest.mark.parametrize("cell", ["a=1", "'=1", "", " x", "<script>", *NUMBERS])
def test_other_text_and_numbers_stay_as_they_are(tmp_path, cell: str) -> None:
    assert round_trip(tmp_path, pd.DataFrame({"text": [cell, "x"]}))["text"][0] == cell


def test_numbers_and_missing_values_are_saved_as_by_kedro(tmp_path) -> None:
    table = pd.DataFrame(
        {
            "loss": [-0.5, math.nan],
            "count": np.array([-1, 2]),
            "maybe": [None, "a"],
            "mixed": [-1.5, "b"],
            "flag": [True, False],
            "time": pd.to_datetime(["2026-01-01", None]),
        }
    )
    round_trip(tmp_path, table)
    assert (tmp_path / "report.csv").read_text() == table.to_csv(index=False)
    empty = pd.DataFrame(columns=["a", "b"])
    round_trip(tmp_path, empty)
    assert (tmp_path / "report.csv").read_text() == "a,b\n"


def test_undecodable_bytes_are_saved_as_escapes(tmp_path) -> None:
    text = b"caf\xe9".decode("utf-8", "surrogateescape")
    saved = round_trip(tmp_path, pd.DataFrame({"Id": [text], text: ["ü"]}))
    assert saved.to_dict("list") == {"Id": [r"caf\udce9"], r"caf\udce9": ["ü"]}


def test_preview_is_that_of_the_saved_table(tmp_path) -> None:
    dataset = ReportDataset(filepath=str(tmp_path / "r.csv"), save_args={"index": False})
    dataset.save(pd.DataFrame({"text": ["=1"], "n": [1]}))
    assert dataset.preview(nrows=1)["data"] == [["'=1", 1]]


def test_preview_of_text_escapes_html(tmp_path):
    stored = TextReportDataset(filepath=str(tmp_path / "card.md"))
    stored.save("# The style `a<b>c`\n\n| width | 4 & more |\n")
    shown = stored.preview()
    assert shown.startswith("<pre")
    assert "# The style `a&lt;b&gt;c`\n\n| width | 4 &amp; more |\n</pre>" in shown
    assert inspect.signature(stored.preview).return_annotation == "HTMLPreview"


def test_files_of_a_folder_are_kept_byte_for_byte(tmp_path):
    files = {"a/2026/00": b"\x00\r\n\xff", "b/01": b""}
    folder = PartitionedDataset(path=str(tmp_path), dataset=BytesDataset, filename_suffix=".bin")
    folder.save(files)
    assert {name: load() for name, load in folder.load().items()} == files
    assert (tmp_path / "a/2026/00.bin").read_bytes() == files["a/2026/00"]
