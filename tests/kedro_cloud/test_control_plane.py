"""The emulated control plane must reject what Azure rejects."""

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.identity import DefaultAzureCredential

from control_plane.documents import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID


@pytest.fixture
def client(plane):
    return MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE)


def test_a_reference_to_a_missing_resource_is_rejected(plane, client):
    credential = DefaultAzureCredential().get_token("https://management.azure.com/.default")
    body = {"properties": {"computeId": f"{WORKSPACE_ID}/computes/nowhere"}}
    answer = client._requests_pipeline.put(
        f"https://management.azure.com{WORKSPACE_ID}/jobs/a",
        headers={"Authorization": f"Bearer {credential.token}"},
        json=body,
    )
    assert answer.status_code == 400
    assert plane.manager.find("jobs/a") is None


def test_requests_without_token_or_role_are_rejected(plane, client):
    answer = client._requests_pipeline.get(f"https://management.azure.com{WORKSPACE_ID}")
    assert answer.status_code == 401
    plane.manager.denied.add("computes/read")
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        client.compute.get("cpu-cluster")


def test_other_hosts_are_rejected_and_recorded(plane, client):
    with pytest.raises(ServiceRequestError):
        client._requests_pipeline.get("https://example.com", retry_total=0)
    assert plane.refused == ["example.com"]
