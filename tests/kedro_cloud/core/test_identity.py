"""On a cluster with several identities, all services use the one that has roles."""

import azure.identity
import azure.identity.aio
import fsspec
import pytest
from azure.core.exceptions import ClientAuthenticationError
from fsspec.config import conf
from kedro.io import DatasetError

from kedro_cloud.blobs.storage import VARIABLES
from kedro_cloud.core.variables import AUTHENTICATION_STRING
from quartet.datasets.database_engines import create_database_engine, parse_database_url
from support import skip_or_fail

CLUSTERS, OWN = "11111111-of-the-cluster", "22222222-of-the-user"


@pytest.fixture
def client_ids(monkeypatch):
    """Return the client IDs of all credentials that are created."""
    client_ids = []

    class Credential:
        def __init__(self, managed_identity_client_id=None, **_):
            client_ids.append(managed_identity_client_id)

        def get_token(self, *_, **__):
            raise ClientAuthenticationError("there is no Azure here")

    for module in (azure.identity, azure.identity.aio):
        monkeypatch.setattr(module, "DefaultAzureCredential", Credential)
    for name in (*VARIABLES, "AZURE_CLIENT_ID", "DEFAULT_IDENTITY_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(AUTHENTICATION_STRING, "Authorization=AAD")
    monkeypatch.setitem(conf, "abfs", {"account_name": "identitytest"})
    return client_ids


def storage():
    fsspec.filesystem("abfs", skip_instance_cache=True)


def database():
    try:
        engine = create_database_engine(
            parse_database_url("mssql+pyodbc://example.database.windows.net/sensors"), 1
        )
    except DatasetError as error:
        skip_or_fail(str(error))
        raise
    with pytest.raises(DatasetError, match="no Entra ID identity"):
        engine.connect()


def telemetry():
    from kedro_cloud.monitoring import telemetry

    assert telemetry._credential() is not None


@pytest.mark.parametrize("service", [storage, database, telemetry])
@pytest.mark.parametrize(
    ("variables", "identity"),
    [
        ({}, None),
        ({"DEFAULT_IDENTITY_CLIENT_ID": CLUSTERS}, CLUSTERS),
        ({"DEFAULT_IDENTITY_CLIENT_ID": CLUSTERS, "AZURE_CLIENT_ID": OWN}, OWN),
        ({"DEFAULT_IDENTITY_CLIENT_ID": CLUSTERS, "AZURE_CLIENT_ID": ""}, CLUSTERS),
    ],
    ids=["none", "of the cluster", "of the user", "empty"],
)
def test_all_services_use_the_same_identity(client_ids, monkeypatch, service, variables, identity):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    service()
    assert client_ids == [identity]
