"""A dump is ingested into the tables of faq_tuning; a damaged one replaces no table."""

import json

import pandas as pd

from quartet.datasets.dump import DumpFileDataset
from quartet.datasets.tables import TSVDataset
from quartet.pipelines.sample_data import faq as sample
from support import run_kedro

COLUMNS = ["Id", "AnswerId", "Text0", "CreationDate"]
INGEST = ("run", "--pipelines", "faq_ingestion")


def test_the_dump_of_the_sample_is_ingested_into_its_tables(trained_workspace):
    project = trained_workspace
    raw, tables = project / "data/01_raw/faq", project / "data/02_intermediate/faq"
    for name in ("orig-q", "dup-q", "ans"):
        assert (tables / f"{name}.tsv.gz").read_bytes() == (raw / f"{name}.tsv.gz").read_bytes()
    duplicates = TSVDataset(filepath=str(tables / "dup-q.tsv.gz"), columns=COLUMNS).load()
    answers = TSVDataset(filepath=str(tables / "ans.tsv.gz"), columns=["Id", "Text0"]).load()
    assert len(duplicates) == 576
    assert set(duplicates["AnswerId"]) == set(answers["Id"])
    reports = project / "data/08_reporting/faq_ingestion"
    metrics = json.loads((reports / "metrics.json").read_text())
    assert metrics["duplicates"] == 576
    assert metrics["originals"] == metrics["answers"] == 64
    assert all(isinstance(value, int | float) for value in metrics.values())
    assert pd.read_csv(reports / "malformed_rows.csv").empty
    assert (reports / "duplicates.png").read_bytes().startswith(b"\x89PNG")


def test_a_broken_download_stops_the_run_and_keeps_the_tables_of_a_tag(workspace):
    posts, links, _ = sample.make_faq_dump([], [], [], [ENTRY])
    folder = workspace / "dump"
    DumpFileDataset(filepath=str(folder / "Posts.xml.gz")).save(posts)
    DumpFileDataset(filepath=str(folder / "PostLinks.xml.bz2")).save(links)
    parameters = ("--params", "faq_dump=dump,faq_tag=python")
    complete = run_kedro(workspace, *INGEST, *parameters)
    assert complete.returncode == 0, complete.stderr
    tables = workspace / "data/02_intermediate/faq"
    originals = TSVDataset(filepath=str(tables / "orig-q.tsv.gz"), columns=COLUMNS).load()
    (text,) = originals["Text0"]
    assert text.startswith("Default list argument")
    before = {path.name: path.read_bytes() for path in tables.iterdir()}
    path = folder / "Posts.xml.gz"
    path.write_bytes(path.read_bytes()[:-20])
    broken = run_kedro(workspace, *INGEST, *parameters)
    assert broken.returncode != 0
    assert "compressed stream is truncated" in broken.stdout + broken.stderr
    assert {path.name: path.read_bytes() for path in tables.iterdir()} == before


ENTRY = {
    "title": "One",
    "body": "<p>one</p>",
    "answer": "<p>yes</p>",
    "duplicates": [{"title": f"Again {i}", "body": "<p>one</p>"} for i in range(3)],
    "asked": [],
}
