"""Text that is not UTF-8 must be named or set aside, and must never stop a report."""

import gzip

import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.io import DatasetError

from faq.test_dump import answer, document, link, question
from faq.test_tables import make_tables
from quartet.cli import run
from quartet.datasets.dump import DumpFileDataset
from quartet.datasets.report import ReportDataset
from quartet.datasets.tables import QuestionsDataset, TSVDataset
from quartet.faq.settings import Cleaning, DumpSelection
from quartet.pipelines.faq_ingestion.nodes import ingest_dump
from quartet.pipelines.faq_tuning.nodes import clean_tables

COLUMNS = ["Id", "AnswerId", "Text0", "CreationDate"]


def saved_report(folder, table: pd.DataFrame) -> str:
    ReportDataset(filepath=str(folder / "report.csv"), save_args={"index": False}).save(table)
    return (folder / "report.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("parameter", ["faq_tag=caf\udce9", "caf\udce9=1", "a.b=1,c=\udcff"])
def test_parameter_on_the_command_line_is_refused_in_one_line(parameter: str) -> None:
    result = CliRunner().invoke(run, ["--params", parameter])
    assert result.exit_code == 1
    escaped = parameter.encode("utf-8", "backslashreplace").decode()
    assert result.output.startswith(f"Error: --params {escaped}: is not UTF-8; set LC_ALL=C.UTF-8")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    "row",
    [
        b"70\t101\tcaf\xe9\t2020\n",
        b"caf\xe9\t101\ta text\t2020\n",
        b"70\t\xe9\ta text\t2020\n",
        b"caf\xe9\n",
        b"\xff\xfe\t\xff\t\xff\t\xff\t\xff\n",
    ],
)
def test_row_of_a_table_is_quarantined_and_reported(tmp_path, row) -> None:
    originals, duplicates, answers = make_tables()
    path = tmp_path / "dup-q.tsv"
    lines = duplicates[COLUMNS].to_csv(sep="\t", header=False, index=False)
    path.write_bytes(lines.encode() + row)
    loaded = TSVDataset(filepath=str(path), columns=COLUMNS).load()
    _, kept, _, quarantine, *_ = clean_tables(originals, loaded, answers, Cleaning(min_text=5))
    assert len(kept) == len(duplicates)
    assert quarantine["line"].tolist() == [7]
    assert "duplicates,7," in saved_report(tmp_path, quarantine)


def test_other_columns_may_be_undecodable(tmp_path) -> None:
    """The creation date is not used."""
    originals, duplicates, answers = make_tables()
    loaded = duplicates.assign(CreationDate="caf\udce9")
    assert clean_tables(originals, loaded, answers, Cleaning(min_text=5))[3].empty


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("latin-1", "q.csv.gz"), ("utf-16", "q.tsv"), ("utf-16-le", "q.csv"), ("shift-jis", "q.csv")],
)
def test_questions_in_another_encoding_are_refused(tmp_path, encoding, name) -> None:
    letters = "カタカナ" if encoding == "shift-jis" else "é"
    content = f"Id,Text0\n1,{letters}\n".replace(",", "\t" if ".tsv" in name else ",")
    path = tmp_path / name
    encoded = content.encode(encoding)
    path.write_bytes(gzip.compress(encoded) if name.endswith(".gz") else encoded)
    with pytest.raises(DatasetError, match=f"{name}: its text is not UTF-8; save it as UTF-8"):
        QuestionsDataset(filepath=str(path)).load()


def test_row_and_name_of_a_dump_are_reported(tmp_path) -> None:
    folder = tmp_path / b"caf\xe9".decode("utf-8", "surrogateescape")
    posts = [question(1), answer(10, 1), question(2), question(3)]
    posts.insert(1, b'<row Id="5" PostTypeId="1" Title="caf\xe9" />\n')
    files = {
        "Posts.xml": document("posts", *posts),
        "PostLinks.xml": document("postlinks", link(2, 1), link(3, 1)),
    }
    for name, lines in files.items():
        DumpFileDataset(filepath=str(folder / name)).save(lines)
    opened = [DumpFileDataset(filepath=str(folder / name)).load() for name in files]
    faults = ingest_dump(*opened, DumpSelection(tag="js"))[3]
    report = saved_report(tmp_path, faults)
    assert r"caf\udce9/Posts.xml,4,is not UTF-8" in report
    assert r"caf\xe9" in report
