"""All datasets of the catalog that can be on blob storage must work there as on local disks."""

import shutil

import pytest

from round_trips import WAYS
from stored import catalog_on_blobs, loader, one_of_each_kind
from support import ROOT, run_kedro


@pytest.mark.parametrize("name", one_of_each_kind())
def test_a_dataset_works_on_blob_storage(name, blobs):
    kind = catalog_on_blobs()[name]["type"]
    way = WAYS[kind] if kind in WAYS else WAYS[kind.rsplit(".", 1)[1]]
    way(name, blobs)


def test_all_files_of_the_catalog_can_be_on_blob_storage():
    files = {"filepath", "path", "folder"}
    of_files = {name for name, entry in loader("base")["catalog"].items() if files & entry.keys()}
    assert {name for name in of_files if not name.startswith("_")} == catalog_on_blobs().keys()


def test_a_run_with_everything_on_blob_storage(blobs, workspace):
    """The environment of a cluster, given only the connection string."""
    blobs.put(f"{ROOT}/data/01_raw/stackexchange/", "raw/stackexchange", recursive=True)
    shutil.rmtree(workspace / "data")
    result = run_kedro(workspace, "run", "-e", "azureml", "--pipelines", "faq_ingestion")
    assert result.returncode == 0, result.stderr
    reports = blobs.find("reports/local/faq_ingestion")
    assert "reports/local/faq_ingestion/metrics.json" in reports
    assert blobs.exists("work/02_intermediate/faq/orig-q.tsv.gz")
    assert not [path for path in workspace.rglob("*") if path.name == "02_intermediate"]
