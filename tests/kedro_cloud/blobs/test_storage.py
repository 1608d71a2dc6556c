"""`abfs://` must use the right account and credential, and store complete blobs of all datasets."""

import io
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta

import fsspec
import numpy as np
import pandas as pd
import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.identity.aio import DefaultAzureCredential
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from fsspec.config import conf
from kedro.io import DatasetError
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import CSVDataset

from kedro_cloud.blobs import file_system as module
from kedro_cloud.blobs.storage import StorageHooks
from kedro_cloud.core.errors import describe
from quartet.datasets.captures import SensorSourceDataset
from round_trips import WAYS
from stored import catalog_on_blobs, loader, one_of_each_kind
from support import ROOT, run_kedro

MIB = 1 << 20


@pytest.fixture
def environment(monkeypatch):
    """Remove the variables of a signed-in user."""
    for name in os.environ:
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_", "DEFAULT_IDENTITY")):
            monkeypatch.delenv(name)
    monkeypatch.setitem(conf, "abfs", {"account_name": "quartettest"})
    return monkeypatch


def test_a_token_or_a_key_takes_precedence_over_the_signed_in_identity(environment):
    assert isinstance(fsspec.filesystem("abfs").credential, DefaultAzureCredential)
    environment.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    assert isinstance(fsspec.filesystem("abfs").credential, AzureNamedKeyCredential)
    environment.setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=x")
    entered = fsspec.filesystem("abfs").credential
    assert isinstance(entered, AzureSasCredential)
    assert entered.signature == "sv=1&sig=x"
    environment.setenv("AZURE_STORAGE_CONNECTION_STRING", "")  # empty: not set
    assert fsspec.filesystem("abfs").credential is entered


def test_the_account_is_that_of_the_environments_globals(environment):
    context = type("Context", (), {"config_loader": {"globals": {"storage_account": "theirs"}}})
    hooks = StorageHooks()
    hooks.after_context_created(context)
    dataset = CSVDataset(filepath="abfs://raw/a.csv")
    assert dataset._fs.service_client.url == "https://theirs.blob.core.windows.net/"
    context.config_loader["globals"] = {}
    hooks.after_context_created(context)
    assert fsspec.filesystem("abfs").account_name == "quartettest"  # as before


def test_a_missing_account_is_reported(environment):
    environment.setitem(conf, "abfs", {})
    with pytest.raises(DatasetError, match="no account is set; set storage_account") as caught:
        JSONDataset(filepath="abfs://raw/a.json")
    assert "\n" not in describe(caught.value)


def test_a_key_is_warned_about_once_and_secrets_in_files_are_rejected(environment, caplog):
    module._warn_of_key.cache_clear()
    environment.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    with caplog.at_level(logging.WARNING):
        CSVDataset(filepath="abfs://raw/a.csv")
        JSONDataset(filepath="abfs://raw/b.json", fs_args={"version_aware": True})
    (message,) = caplog.messages
    assert "`az login`" in message
    assert "a2V5" not in message
    for secret in ("account_key", "client_secret"):
        with pytest.raises(ValueError, match=f"{secret} is taken from AZURE_.* only") as caught:
            CSVDataset(filepath="abfs://raw/a.csv", credentials={secret: "a2V5"})
        assert "a2V5" not in str(caught.value)


def test_a_run_without_blob_storage_imports_nothing_for_it():
    code = (
        "import sys, quartet.settings\n"
        "from quartet.datasets.location import Location; Location.from_filepath('data/x')\n"
        "print(sorted({'adlfs', 'azure.storage.blob', 'azure.identity'} & sys.modules.keys()))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert process.stdout == "[]\n"


def test_a_sas_token_is_limited_by_its_permissions_and_expiry(azurite, blobs, monkeypatch):
    blobs.pipe_file("raw/a.json", b"1")

    def enter(permitted, hours):
        facts = dict(part.split("=", 1) for part in azurite.connection_string.split(";") if part)
        token = generate_account_sas(
            facts["AccountName"],
            facts["AccountKey"],
            ResourceTypes(container=True, object=True),
            AccountSasPermissions.from_string(permitted),
            expiry=datetime.now(UTC) + timedelta(hours=hours),
        )
        text = f"BlobEndpoint={facts['BlobEndpoint']};SharedAccessSignature={token}"
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
        return JSONDataset(filepath="abfs://raw/a.json")

    reader = enter("rl", 1)
    assert reader.load() == 1
    with pytest.raises(
        DatasetError, match=r"does not accept the SAS token for this .*403 Author.*read, add"
    ) as no:
        reader.save(2)
    assert "sig=" not in describe(no.value)
    with pytest.raises(DatasetError, match=r"SAS token, which expired at .* to a new one"):
        enter("rwdlac", -1).load()
    assert blobs.cat_file("raw/a.json") == b"1"


@pytest.mark.parametrize("size", [0, 5, 8 * MIB, 20 * MIB + 1])
def test_blobs_of_any_size_are_read_as_written(blobs, size):
    content = os.urandom(size)
    with fsspec.open("abfs://work/file", "wb") as file:
        for start in range(0, size, 3 * MIB):
            file.write(memoryview(content)[start : start + 3 * MIB])
        assert file.tell() == size
    with fsspec.open("abfs://work/file", "rb") as file:
        assert file.read() == content
    assert blobs.size("work/file") == size


def test_a_dataset_that_fails_to_serialise_keeps_the_old_blob(blobs):
    dataset = JSONDataset(filepath="abfs://work/facts.json")
    dataset.save({"value": 1})
    with pytest.raises(DatasetError):
        dataset.save({"value": 2, "not": np.zeros(1)})
    assert dataset.load() == {"value": 1}


@pytest.mark.parametrize("size", [100, 20 * MIB])
def test_an_exception_while_writing_keeps_the_old_blob(blobs, size):
    blobs.pipe_file("work/file", b"old")
    for path in ("work/file", "work/new"):
        with pytest.raises(KeyboardInterrupt), blobs.open(path, "wb") as file:
            file.write(bytes(size))
            raise KeyboardInterrupt
    assert blobs.cat_file("work/file") == b"old"
    assert blobs.find("work") == ["work/file"]


def test_a_file_that_is_not_closed_is_not_committed(blobs):
    file = blobs.open("work/file", "wb")
    file.write(b"half")
    del file
    assert not blobs.exists("work/file")


def test_a_process_that_dies_while_writing_keeps_the_old_blob(blobs):
    blobs.pipe_file("work/file", b"old")
    code = (
        "import os, fsspec, quartet.settings\n"
        "file = fsspec.filesystem('abfs').open('work/file', 'wb')\n"
        f"file.write(bytes({20 * MIB})); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 9
    assert blobs.cat_file("work/file") == b"old"


def test_a_file_written_while_another_error_is_handled_is_kept(blobs):
    try:
        raise KeyError
    except KeyError:
        with blobs.open("work/report", "w") as file:
            file.write("what went wrong")
    assert blobs.cat_file("work/report") == b"what went wrong"


def test_concurrent_writers_of_a_blob_do_not_mix_their_blocks(blobs):
    first, second = blobs.open("work/file", "wb"), blobs.open("work/file", "wb")
    for _ in range(10):
        first.write(b"1" * MIB)
        second.write(b"2" * MIB)
    first.close()
    winner = b"2"
    try:
        second.close()
    except DatasetError as error:  # the first commit may have discarded the pending blocks
        assert "two processes wrote this blob at the same time" in str(error)
        winner = b"1"
    assert blobs.cat_file("work/file") == winner * 10 * MIB


def test_exclusive_creation_refuses_an_existing_blob(blobs):
    with blobs.open("work/exclusive", "xb") as file:
        file.write(b"1")
    with pytest.raises(FileExistsError):
        blobs.open("work/exclusive", "xb")
    late = [blobs.open("work/other", "xb"), blobs.open("work/other", "xb")]
    late[0].close()
    with pytest.raises(FileExistsError):
        late[1].close()


def test_a_long_file_is_uploaded_while_it_is_written(proxy):
    with fsspec.filesystem("abfs").open("work/long", "wb") as file:
        for _ in range(100):
            file.write(bytes(MIB))
        sent = [request for request in proxy.requests if "comp=block&" in request]
        assert len(sent) >= 12 - module.CONCURRENCY  # of 12 blocks that are full
    assert fsspec.filesystem("abfs").size("work/long") == 100 * MIB


def test_blobs_of_other_processes_are_listed_at_once(azurite, blobs):
    mine = fsspec.filesystem("abfs")
    assert mine.ls("raw") == mine.find("raw") == []
    azurite.filesystem().pipe_file("raw/folder/new", b"1")
    assert mine.ls("raw/folder", detail=False) == mine.find("raw") == ["raw/folder/new"]
    azurite.filesystem().pipe_file("raw/folder/new", b"22")
    assert mine.size("raw/folder/new") == 2


def test_a_blob_replaced_while_it_is_read_is_reported(blobs):
    for value in (1, 2):
        content = io.BytesIO()
        pd.DataFrame({"a": np.full(3 * MIB, value)}).to_csv(content, index=False)
        blobs.pipe_file(f"raw/{value}.csv", content.getvalue() + b" " * 16 * MIB)
    with blobs.open("raw/1.csv", "rb") as file:
        file.read(MIB)
        blobs.cp_file("raw/2.csv", "raw/1.csv")
        with pytest.raises(DatasetError, match="replaced by another process while it was read"):
            file.read()
    with blobs.open("raw/1.csv", "rb") as file:
        blobs.rm("raw/1.csv")
        with pytest.raises(FileNotFoundError, match="removed by another process"):
            file.read()


def test_handles_work_in_other_processes(blobs):
    blobs.pipe_file("raw/captures/a.avro", b"1")
    source = SensorSourceDataset(filepath="abfs://raw/captures").load()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert pool.submit(source.read, "a.avro").result() == b"1"


def test_a_missing_container_is_reported_before_nodes_run(blobs, workspace):
    blobs.put(f"{ROOT}/data/01_raw/stackexchange/", "raw/stackexchange", recursive=True)
    blobs.rmdir("reports")
    result = run_kedro(workspace, "run", "-e", "azureml", "--pipelines", "faq_ingestion")
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert line.startswith("Error: abfs://reports: storage account azurite")
    assert "has no container 'reports'; create it: az storage container create" in line
    assert "Traceback" not in result.stderr
    assert blobs.find("work") == []


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
