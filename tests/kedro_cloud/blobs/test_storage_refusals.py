"""Errors of blob storage that a user must fix must be reported at once, in one line with advice."""

import pandas as pd
import pytest
from fsspec.config import conf
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Node, Pipeline

from kedro_cloud.blobs.storage import StorageHooks
from stored import ON_BLOBS, catalog_on_blobs, dataset, one_line, one_of_each_kind

CSV = pd.DataFrame({"a": [1, 2]})


def test_a_missing_container_is_reported_with_the_command_that_creates_it(blobs):
    history, stored = dataset("faq_trials"), dataset("convnet_checkpoint").load()
    for container in ("reports", "models"):
        blobs.rmdir(container)
    for act in (lambda: history.save(CSV), history.load, history.exists):
        with pytest.raises(DatasetError) as caught:
            act()
        line = one_line(caught)
        assert "has no container 'reports'; create it: az storage container create" in line
        assert "--name reports" in line
    with pytest.raises(DatasetError, match="no container 'models'"):
        stored.restore("f")  # not taken for work that is not begun


@pytest.mark.parametrize("name", [*one_of_each_kind(), "a_folder_of_partitions"])
def test_a_run_does_not_start_while_a_container_is_missing(name, blobs):
    folder = {"type": "partitions.PartitionedDataset", "dataset": "pandas.CSVDataset"}
    entry = catalog_on_blobs().get(name, {**folder, "path": "abfs://work/tables"})
    address = next(str(value) for value in entry.values() if str(value).startswith(ON_BLOBS))
    container = address.removeprefix(ON_BLOBS).partition("/")[0]
    blobs.rmdir(container)
    run = Pipeline([Node(lambda read: None, name, None, name="reads_it")])
    with pytest.raises(DatasetError, match=f"no container '{container}'"):
        StorageHooks().before_pipeline_run(run, DataCatalog.from_config({name: entry}))


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AuthorizationPermissionMismatch", "the role Storage Blob Data Contributor"),
        (403, "AuthorizationFailure", "not allow requests from this network"),
        (403, "KeyBasedAuthenticationNotPermitted", "unset AZURE_STORAGE_ACCOUNT_KEY"),
        (403, "AuthenticationFailed", "does not accept the key or token"),
        (403, "AccountIsDisabled", "is disabled"),
        (401, "NoAuthenticationInformation", "az login --tenant"),
        (400, "InvalidResourceName", "does not accept this name"),
        (409, "BlobImmutableDueToPolicy", "refused a request .409 BlobImm"),
        (412, "LeaseIdMissing", "refused a request .412 LeaseIdMissing."),
        (400, "InvalidBlockList", "two processes wrote this blob at the same time"),
        (400, "InvalidHeaderValue", "refused a request .400 InvalidHeaderValue."),
    ],
)
def test_refused_requests_are_reported_at_once_with_advice(status, code, expected, proxy, waits):
    history = dataset("faq_trials")
    history.save(CSV)
    refusal = proxy.fail(".", "answer", status=status, code=code)
    for act in (history.load, lambda: history.save(CSV), history.exists):
        before = refusal.happened
        with pytest.raises(DatasetError, match=expected) as caught:
            act()
        one_line(caught)
        assert refusal.happened == before + 1
    assert waits == []


def test_an_unknown_account_is_reported_soon(blobs, waits, monkeypatch):
    """As the name of a host that by definition does not exist."""
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sig=x")
    account = {"account_name": "misspelt", "account_host": "misspelt.blob.invalid"}
    monkeypatch.setitem(conf, "abfs", account)
    with pytest.raises(DatasetError) as caught:
        dataset("faq_trials").load()
    line = one_line(caught)
    assert "storage account misspelt does not exist (no host misspelt.blob.invalid)" in line
    assert "storage_account in globals.yml" in line
    assert sum(waits) < 5


def test_a_missing_credential_is_reported_at_once(blobs, waits, monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    for variable in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setitem(conf, "abfs", {"account_name": "quartettest"})
    with pytest.raises(DatasetError) as caught:
        dataset("faq_trials").load()
    line = one_line(caught)
    assert "storage account quartettest cannot be accessed: no credential; run `az login`" in line
    assert "AZURE_STORAGE_SAS_TOKEN" in line
    assert waits == []


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("AZURE_STORAGE_CONNECTION_STRING", "copied=wrong", "is not a connection string"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "not base64", "its key is not valid"),
    ],
)
def test_a_malformed_setting_is_reported_by_name(variable, value, expected, blobs, monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setitem(conf, "abfs", {"account_name": "quartettest"})
    monkeypatch.setenv(variable, value)
    with pytest.raises(DatasetError, match=expected) as caught:
        dataset("faq_trials").load()
    assert variable in one_line(caught)
    assert value not in one_line(caught)
