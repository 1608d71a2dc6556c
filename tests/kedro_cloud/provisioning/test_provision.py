"""`kedro cloud provision` must create what cloud.yml lists, once, and harm nothing else."""

import datetime
from functools import partial

import pytest
import yaml

from control_plane import Answer, Fault
from control_plane.admission import Size
from control_plane.documents import GROUP_ID, WORKSPACE_ID, cluster
from kedro_cloud.cli.provision import provision
from kedro_cloud.provisioning.environment import Image
from plain import edit
from projects import add_image
from published import call, error_lines, error_of, puts, succeed

IDENTITY = f"{GROUP_ID}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
SUBNET = f"{GROUP_ID}/providers/Microsoft.Network/virtualNetworks/net/subnets/machines"
STORES = {"plain_raw": "raw", "plain_work": "work"}
ALL = (
    "computes/cpu-cluster",
    "computes/gpu-cluster",
    "datastores/plain_raw",
    "datastores/plain_work",
    "data/shuttles/versions/1",
)


@pytest.fixture
def plane(plane, project):
    """A workspace with the image."""
    add_image(plane, project)
    return plane


@pytest.fixture
def cloud(project):
    """Change cloud.yml."""
    return partial(edit, project / "conf/azureml/cloud.yml")


@pytest.fixture
def run(plane, project):
    """Run the command, to whose changes the user agrees."""
    return partial(call, project, provision, "--yes")


@pytest.fixture
def done(plane, project):
    """Run the command, which must succeed; return what it prints."""
    return partial(succeed, project, provision, "--yes")


@pytest.fixture
def made(plane, done):
    """A provisioned workspace; earlier requests are cleared."""
    done()
    plane.requests.clear()
    return plane


def test_all_resources_are_created_once_without_a_key(plane, done):
    done()
    assert puts(plane) == [f"PUT quartet-workspace/{path}" for path in ALL]
    made = plane.manager.find("computes/gpu-cluster")
    assert list(made["identity"]["userAssignedIdentities"]) == [f"{IDENTITY}/jobs"]
    assert made["properties"]["disableLocalAuth"] is True
    assert made["properties"]["properties"]["vmPriority"] == "LowPriority"
    store = plane.manager.find("datastores/plain_raw")["properties"]
    assert (store["accountName"], store["containerName"]) == ("plain", "raw")
    assert store["credentials"] == {"credentialsType": "None"}
    since = len(plane.requests)
    assert "matches cloud.yml: nothing to change" in done()
    assert puts(plane, since) == []


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [(["--dry-run"], "this was a dry run", 0), ([], "rerun with --yes", 1)],
)
def test_a_dry_run_shows_changes_and_applies_none(plane, project, arguments, message, code):
    result = call(project, provision, *arguments)
    assert result.exit_code == code
    assert "+ cluster cpu-cluster: Standard_D4s_v5, 0 to 4 nodes" in result.stdout
    assert "= datastore workspaceblobstore: not in cloud.yml, left alone" in result.stdout
    assert message in result.output
    assert puts(plane) == []


def test_a_change_shows_old_and_new_values_and_keeps_the_network(plane, done):
    body = cluster(2)
    body["properties"] |= {"vmSize": "STANDARD_D4S_V5", "subnet": {"id": SUBNET}}
    plane.resources.put(
        f"{WORKSPACE_ID}/computes/cpu-cluster",
        {
            "location": "westeurope",
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {f"{IDENTITY}/a": {}}},
            "properties": body,
        },
    )
    store = {"datastoreType": "AzureBlob", "accountName": "old", "containerName": "raw"}
    keys = {"credentials": {"credentialsType": "AccountKey"}}
    plane.manager.add("datastores/plain_raw", store | keys)
    output = done()
    changes = "max_nodes 2 → 4, idle_seconds 120 → 300, identity a → jobs"
    assert f"~ cluster cpu-cluster: {changes}" in output
    kept = plane.manager.find("computes/cpu-cluster")
    assert kept["properties"]["properties"]["subnet"]["id"] == SUBNET
    assert kept["properties"]["properties"]["scaleSettings"]["maxNodeCount"] == 4
    assert list(kept["identity"]["userAssignedIdentities"]) == [f"{IDENTITY}/jobs"]
    changes = "account old → plain, credentials account_key → identity"
    assert f"~ datastore plain_raw: {changes}" in output
    entered = plane.manager.find("datastores/plain_raw")["properties"]
    assert entered["credentials"] == {"credentialsType": "None"}


def test_a_new_path_of_a_data_asset_is_a_new_version(made, done, cloud):
    cloud(data_assets={"shuttles": {"datastore": "plain_work", "path": "plain"}})
    message = "datastores/plain_raw/paths/plain → datastores/plain_work/paths/plain"
    assert f"+ data asset shuttles:2: {message}" in done()
    versions = {each["name"]: each for each in made.manager.list("data/shuttles/versions")}
    assert versions["1"]["properties"]["dataUri"].endswith("datastores/plain_raw/paths/plain")
    assert versions["2"]["properties"]["dataUri"].endswith("datastores/plain_work/paths/plain")


def test_immutable_settings_are_refused_and_the_rest_is_applied(made, run, cloud):
    cloud(
        clusters={"cpu-cluster": {"size": "Standard_D2_v3", "max_nodes": 4}},
        datastores=STORES | {"plain_new": "new"},
    )
    error = error_of(run())
    assert "size Standard_D4s_v5 → Standard_D2_v3, which Azure ML does not change" in error
    assert "az ml compute delete --name cpu-cluster" in error
    assert puts(made) == ["PUT quartet-workspace/datastores/plain_new"]


def test_interrupted_provisioning_is_completed_by_a_rerun(plane, run, done):
    broken = Answer.error(500, "InternalServerError", "try again", **{"Retry-After": "0"})
    plane.faults.append(Fault(broken, method="PUT", path="datastores/plain_raw"))
    error = error_of(run())  # the asset in that datastore is not reported: it waits for it
    assert "(InternalServerError) try again; this is an error of Azure: rerun later" in error
    assert plane.manager.find("datastores/plain_work")
    assert plane.manager.find("data/shuttles/versions/1") is None
    plane.faults.clear()
    since = len(plane.requests)
    done()
    missing = ["datastores/plain_raw", "data/shuttles/versions/1"]
    assert puts(plane, since) == [f"PUT quartet-workspace/{path}" for path in missing]


def test_a_cluster_whose_creation_failed_is_created_again(made, done):
    made.manager.find("computes/cpu-cluster")["properties"]["provisioningState"] = "Failed"
    assert "~ cluster cpu-cluster: its creation had failed; " in done("--dry-run")


def without_size(plane):
    del plane.manager.admission.sizes["Standard_NC4as_T4_v3"]


def no_quota(plane):
    plane.manager.admission.sizes["Standard_D4s_v5"] = Size("standardDSv5Family", 4, quota=0)


def throttled(plane):
    busy = Answer.error(429, "TooManyRequests", "slow down", **{"Retry-After": "0"})
    plane.faults.append(Fault(busy, method="PUT"))


def another_kind(plane):
    plane.manager.add("computes/cpu-cluster", {"computeType": "ComputeInstance", "properties": {}})


@pytest.mark.parametrize(
    ("obstacle", "message"),
    [
        (
            without_size,
            "The requested VM size Standard_NC4as_T4_v3 is not available in the region",
        ),
        (
            no_quota,
            "cluster 'cpu-cluster': your quota of standardDSv5Family cores is 0; request more",
        ),
        (throttled, "Azure limits the rate of requests; wait 0 seconds and rerun"),
        (
            lambda plane: plane.manager.admission.lost_identities.add("jobs"),
            "there is no identity 'jobs' for its clusters; create it with infra/ or az identity",
        ),
        (another_kind, "compute 'cpu-cluster' is of another kind (computeinstance); name another"),
    ],
)
def test_obstacles_are_reported_in_one_line(plane, run, obstacle, message):
    obstacle(plane)
    result = run()
    assert result.exit_code == 1
    errors = error_lines(result)
    assert message in errors[0]
    if obstacle is not throttled:
        assert plane.manager.find("datastores/plain_raw"), "the rest was not created"


def test_a_missing_permission_is_reported_with_the_required_role(plane, run):
    plane.manager.denied.add("computes/write")
    errors = error_lines(run())
    assert len(errors) == 2
    assert all("permission denied ((AuthorizationFailed) " in error for error in errors)
    assert all("ask for the role AzureML Compute Operator" in error for error in errors)


def test_a_workspace_of_another_region_is_refused(plane, run, cloud):
    cloud(region="northeurope")
    message = "is in westeurope, but cloud.yml has northeurope: set region: westeurope"
    assert message in error_of(run())
    assert puts(plane) == []


def test_a_missing_storage_account_is_reported(run, project):
    file = project / "conf/azureml/globals.yml"
    names = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(names | {"storage_account": "your-data-account"}))
    message = "conf/azureml/globals.yml does not name your storage account yet"
    assert message in error_of(run("--dry-run"))


def test_retired_machines_are_reported_before_anything_is_created(plane, run, project):
    entry = {"name": "these nodes", "tiers": ["low_priority"], "sizes": "Standard_DS2_v2"}
    entry |= {"date": datetime.date(1990, 1, 1), "advice": "use others", "source": "a page"}
    file = project / "conf/azureml/platform.yml"
    file.write_text(yaml.safe_dump({"platform": {"retirements": [entry]}}))
    result = run("--dry-run")
    assert result.stderr.splitlines() == [
        f"Warning: {user}: these nodes were retired on 1990-01-01; use others (a page)"
        for user in (
            "cluster 'gpu-cluster' uses low_priority",
            "deployment 'price_model' uses Standard_DS2_v2",
        )
    ]
    assert puts(plane) == []


def test_the_image_of_endpoints_is_registered_where_models_are_deployed(plane, project, run, cloud):
    image = Image.from_project(project, "serving")
    plane.resources.delete(f"{WORKSPACE_ID}/environments/{image.name}/versions/{image.version}")
    added = f"+ environment {image.reference}: of Dockerfile.serving and requirements.lock"
    assert added in run("--dry-run").stdout
    cloud(deployments={})
    assert image.reference not in run("--dry-run").stdout
