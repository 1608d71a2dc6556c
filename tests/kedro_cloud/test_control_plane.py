"""What stands for Azure in tests must answer Microsoft's own client as Azure does."""

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import AmlCompute, Data, Environment, Model
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError
from azure.identity import DefaultAzureCredential

from control_plane.documents import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID


@pytest.fixture
def client(plane):
    return MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE)


def test_a_cluster_comes_changes_and_goes(client):
    cluster = AmlCompute(name="gpu", size="STANDARD_NC6S_V3", max_instances=4)
    client.compute.begin_create_or_update(cluster).result()
    cluster.max_instances = 2
    client.compute.begin_create_or_update(cluster).result()
    assert [(each.name, each.max_instances) for each in client.compute.list()] == [("gpu", 2)]
    client.compute.begin_delete("gpu").result()
    with pytest.raises(ResourceNotFoundError):
        client.compute.get("gpu")


def test_the_latest_version_is_the_one_made_last(client):
    for version in ("2", "1"):
        client.environments.create_or_update(Environment(name="steps", version=version, image="x"))
    assert client.environments.get("steps", label="latest").version == "1"
    assert {each.version for each in client.environments.list("steps")} == {"1", "2"}


def test_a_model_comes_back_as_it_was_uploaded(client, tmp_path):
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank/models.bin").write_bytes(bytes(range(256)))
    client.models.create_or_update(Model(name="bank", version="1", path=str(tmp_path / "bank")))
    client.models.download("bank", "1", download_path=str(tmp_path / "back"))
    (found,) = (tmp_path / "back").rglob("models.bin")
    assert found.read_bytes() == bytes(range(256))


def test_data_that_is_uploaded_lies_in_the_workspaces_own_store(client, plane, tmp_path):
    (tmp_path / "questions.tsv").write_text("id\n1\n")
    path = str(tmp_path / "questions.tsv")
    made = client.data.create_or_update(
        Data(name="questions", version="1", path=path, type="uri_file")
    )
    assert "/datastores/workspaceblobstore/paths/" in made.path
    blobs = plane.blobs.client.get_container_client("azureml-blobstore").list_blob_names()
    assert [name for name in blobs if name.endswith("/questions.tsv")]


def test_what_refers_to_nothing_is_refused(plane, client):
    credential = DefaultAzureCredential().get_token("https://management.azure.com/.default")
    body = {"properties": {"computeId": f"{WORKSPACE_ID}/computes/nowhere"}}
    answer = client._requests_pipeline.put(
        f"https://management.azure.com{WORKSPACE_ID}/jobs/a",
        headers={"Authorization": f"Bearer {credential.token}"},
        json=body,
    )
    assert answer.status_code == 400
    assert plane.manager.find("jobs/a") is None


def test_nobody_gets_in_without_a_token_or_a_role(plane, client):
    answer = client._requests_pipeline.get(f"https://management.azure.com{WORKSPACE_ID}")
    assert answer.status_code == 401
    plane.manager.denied.add("computes/read")
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        client.compute.get("cpu-cluster")


def test_other_names_are_refused_and_noted(plane, client):
    with pytest.raises(ServiceRequestError):
        client._requests_pipeline.get("https://example.com", retry_total=0)
    assert plane.refused == ["example.com"]
