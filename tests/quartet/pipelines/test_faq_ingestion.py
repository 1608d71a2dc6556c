"""A dump must become input of faq_tuning; a broken one must not replace any table."""

import json
import shutil

import pandas as pd
import pytest

from quartet.datasets.dump import DumpFileDataset
from quartet.datasets.tables import TSVDataset
from quartet.pipelines.sample_data import faq as sample
from support import ROOT, run_kedro

COLUMNS = ["Id", "AnswerId", "Text0", "CreationDate"]
NAMES = ("language", "values", "asynchrony", "browser")


@pytest.fixture
def project(workspace):
    """Return a workspace with the sources of the sample but without its generated files."""
    source, raw = ROOT / "data/01_raw/faq_sample", workspace / "data/01_raw"
    for folder in ("faq", "stackexchange", "faq_sample"):
        shutil.rmtree(raw / folder, ignore_errors=True)
    shutil.copytree(source, raw / "faq_sample")
    return workspace


def run(folder, pipeline, *arguments):
    return run_kedro(folder, "run", "--pipelines", pipeline, *arguments)


def test_the_dump_of_the_sample_is_ingested_into_its_tables(project):
    sample_run = run(project, "sample_data")
    assert sample_run.returncode == 0, sample_run.stderr
    result = run(project, "faq_ingestion")
    assert result.returncode == 0, result.stderr
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
    assert pd.read_csv(reports / "faults.csv").empty
    assert (reports / "duplicates.png").read_bytes().startswith(b"\x89PNG")


def test_the_committed_sample_equals_the_output_of_the_pipeline(project):
    result = run(project, "sample_data")
    assert result.returncode == 0, result.stderr
    for folder in ("faq", "stackexchange"):
        here, there = (root / "data/01_raw" / folder for root in (project, ROOT))
        committed = {path.name: path.read_bytes() for path in there.iterdir()}
        assert {path.name: path.read_bytes() for path in here.iterdir()} == committed
        assert committed


def test_a_broken_download_stops_the_run_and_keeps_the_tables(project):
    entries = [[], [], [], [ENTRY]]
    posts, links, _ = sample.make_faq_dump(*entries)
    folder = project / "dump"
    DumpFileDataset(filepath=str(folder / "Posts.xml.gz")).save(posts)
    DumpFileDataset(filepath=str(folder / "PostLinks.xml.gz")).save(links)
    complete = run(project, "faq_ingestion", "--params", "faq_dump=dump")
    assert complete.returncode == 0, complete.stderr
    tables = project / "data/02_intermediate/faq"
    before = {path.name: path.read_bytes() for path in tables.iterdir()}
    path = folder / "Posts.xml.gz"
    path.write_bytes(path.read_bytes()[:-20])
    broken = run(project, "faq_ingestion", "--params", "faq_dump=dump")
    assert broken.returncode != 0
    assert "compressed stream is truncated" in broken.stdout + broken.stderr
    assert {path.name: path.read_bytes() for path in tables.iterdir()} == before


def test_a_parameter_selects_another_tag(project):
    posts, links, _ = sample.make_faq_dump([], [], [], [ENTRY])
    DumpFileDataset(filepath=str(project / "dump/Posts.xml")).save(posts)
    DumpFileDataset(filepath=str(project / "dump/PostLinks.xml.bz2")).save(links)
    result = run(project, "faq_ingestion", "--params", "faq_dump=dump,faq_tag=python")
    assert result.returncode == 0, result.stderr
    path = project / "data/02_intermediate/faq/orig-q.tsv.gz"
    (text,) = TSVDataset(filepath=str(path), columns=COLUMNS).load()["Text0"]
    assert text.startswith("Default list argument")


ENTRY = {
    "title": "One",
    "body": "<p>one</p>",
    "answer": "<p>yes</p>",
    "duplicates": [{"title": f"Again {i}", "body": "<p>one</p>"} for i in range(3)],
    "asked": [],
}
