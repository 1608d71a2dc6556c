"""`kedro cloud provision` must make what cloud.yml says, once, and never harm what is there."""

import pytest
import yaml

from control_plane import Answer, Fault
from control_plane.admission import Size
from control_plane.documents import GROUP_ID, WORKSPACE_ID, cluster
from kedro_cloud.cli.provision import provision
from projects import add_image, make_project
from published import call, puts, told
from support import ROOT, bootstrap

bootstrap()

IDENTITY = f"{GROUP_ID}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
SUBNET = f"{GROUP_ID}/providers/Microsoft.Network/virtualNetworks/net/subnets/machines"
SMALL = {
    "region": "westeurope",
    "identity": "jobs",
    "clusters": {
        "cpu-cluster": {"size": "Standard_D4s_v5", "max_nodes": 4},
        "gpu-cluster": {"size": "Standard_NC4as_T4_v3", "max_nodes": 2, "tier": "low_priority"},
    },
    "datastores": {"quartet_raw": "raw", "quartet_work": "work"},
    "data_assets": {"faq": {"datastore": "quartet_raw", "path": "faq"}},
}
ALL = (
    "computes/cpu-cluster",
    "computes/gpu-cluster",
    "datastores/quartet_raw",
    "datastores/quartet_work",
    "data/faq/versions/1",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("provisioned") / "quartet")
    file = folder / "conf/azureml/globals.yml"
    file.write_text(file.read_text().replace("your-data-account", "mydata"))
    return folder


@pytest.fixture
def plane(plane):
    """A workspace with the image."""
    add_image(plane)
    return plane


@pytest.fixture
def say(project):
    """Writes cloud.yml, with a change to it, and runs the command."""
    original = (ROOT / "conf/azureml/cloud.yml").read_text()
    whole = yaml.safe_load(original)["cloud"]
    kept = {key: whole[key] for key in ("trigger", "deployments")}

    def run(*arguments, **changes):
        started = kept["trigger"]["endpoint"]
        endpoints = {started: whole["endpoints"][started]}
        cloud = {**kept, **SMALL, "endpoints": endpoints, **changes}
        (project / "conf/azureml/cloud.yml").write_text(yaml.safe_dump({"cloud": cloud}))
        return call(project, provision, *arguments)

    return run


def clusters(**changes):
    """Those of SMALL with a change to the first."""
    return {**SMALL["clusters"], "cpu-cluster": {**SMALL["clusters"]["cpu-cluster"], **changes}}


def test_all_is_made_once_without_a_key(plane, say):
    result = say("--yes")
    assert result.exit_code == 0, result.output
    assert puts(plane) == [f"PUT quartet-workspace/{path}" for path in ALL]
    made = plane.manager.find("computes/gpu-cluster")
    assert list(made["identity"]["userAssignedIdentities"]) == [f"{IDENTITY}/jobs"]
    assert made["properties"]["disableLocalAuth"] is True
    assert made["properties"]["properties"]["vmPriority"] == "LowPriority"
    store = plane.manager.find("datastores/quartet_raw")["properties"]
    assert (store["accountName"], store["containerName"]) == ("mydata", "raw")
    assert store["credentials"] == {"credentialsType": "None"}
    since = len(plane.requests)
    again = say("--yes")
    assert again.exit_code == 0
    assert "is as cloud.yml says: nothing to change" in again.stdout
    assert puts(plane, since) == []


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [(["--dry-run"], "this was a dry run", 0), ([], "say --yes", 1)],
)
def test_what_would_be_made_is_shown_and_nothing_changed(plane, say, arguments, said, code):
    result = say(*arguments)
    assert result.exit_code == code
    assert "+ cluster cpu-cluster: Standard_D4s_v5, 0 to 4 nodes" in result.stdout
    assert "= datastore workspaceblobstore: not in cloud.yml, left alone" in result.stdout
    assert said in result.output
    assert puts(plane) == []


def test_a_change_is_shown_from_what_to_what_and_keeps_the_network(plane, say):
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
    result = say("--yes", data_assets={}, datastores={})
    assert result.exit_code == 0, result.output
    said = "max_nodes 2 → 4, idle_seconds 120 → 300, identity a → jobs"
    assert f"~ cluster cpu-cluster: {said}" in result.stdout
    kept = plane.manager.find("computes/cpu-cluster")
    assert kept["properties"]["properties"]["subnet"]["id"] == SUBNET
    assert kept["properties"]["properties"]["scaleSettings"]["maxNodeCount"] == 4
    assert list(kept["identity"]["userAssignedIdentities"]) == [f"{IDENTITY}/jobs"]


def test_a_datastore_that_was_entered_by_key_is_entered_by_identity(plane, say):
    plane.manager.add(
        "datastores/quartet_raw",
        {
            "datastoreType": "AzureBlob",
            "accountName": "old",
            "containerName": "raw",
            "credentials": {"credentialsType": "AccountKey"},
        },
    )
    result = say("--yes")
    said = "~ datastore quartet_raw: account old → mydata, credentials account_key → identity"
    assert said in result.stdout
    store = plane.manager.find("datastores/quartet_raw")["properties"]
    assert store["credentials"] == {"credentialsType": "None"}


def test_data_that_lies_elsewhere_now_is_a_new_version(plane, say):
    assert say("--yes").exit_code == 0
    result = say("--yes", data_assets={"faq": {"datastore": "quartet_work", "path": "faq"}})
    said = "datastores/quartet_raw/paths/faq → datastores/quartet_work/paths/faq"
    assert f"+ data asset faq:2: {said}" in result.stdout
    versions = {each["name"]: each for each in plane.manager.list("data/faq/versions")}
    assert versions["1"]["properties"]["dataUri"].endswith("datastores/quartet_raw/paths/faq")
    assert versions["2"]["properties"]["dataUri"].endswith("datastores/quartet_work/paths/faq")


def test_what_azure_does_not_change_is_left_and_the_rest_is_done(plane, say):
    assert say("--yes").exit_code == 0
    since = len(plane.requests)
    other = clusters(size="Standard_D2_v3")
    result = say("--yes", clusters=other, datastores={**SMALL["datastores"], "quartet_new": "new"})
    assert result.exit_code == 1
    (error,) = told(result)
    assert "size Standard_D4s_v5 → Standard_D2_v3, which Azure ML does not change" in error
    assert "az ml compute delete --name cpu-cluster" in error
    assert puts(plane, since) == ["PUT quartet-workspace/datastores/quartet_new"]


def test_what_was_interrupted_goes_on(plane, say):
    broken = Answer.error(500, "InternalServerError", "try again", **{"Retry-After": "0"})
    plane.faults.append(Fault(broken, method="PUT", path="datastores/quartet_raw"))
    result = say("--yes")
    (error,) = told(result)  # the asset in that datastore is not told of: it waits for it
    assert "(InternalServerError) try again; that is Azure's own: run the same command" in error
    assert plane.manager.find("datastores/quartet_work")
    assert plane.manager.find("data/faq/versions/1") is None
    plane.faults.clear()
    since = len(plane.requests)
    assert say("--yes").exit_code == 0
    missing = ["datastores/quartet_raw", "data/faq/versions/1"]
    assert puts(plane, since) == [f"PUT quartet-workspace/{path}" for path in missing]


def test_a_cluster_whose_creation_failed_is_made_again(plane, say):
    assert say("--yes").exit_code == 0
    plane.manager.find("computes/cpu-cluster")["properties"]["provisioningState"] = "Failed"
    result = say("--dry-run")
    assert "~ cluster cpu-cluster: its creation had failed; " in result.stdout


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
    ("amiss", "said"),
    [
        (
            without_size,
            "cluster 'gpu-cluster': region westeurope has no machine of size "
            "Standard_NC4as_T4_v3; it has Standard_NC6s_v3; give it another size in cloud.yml",
        ),
        (
            no_quota,
            "cluster 'cpu-cluster' would have no machine: your quota of standardDSv5Family cores "
            "is 0; ask for more",
        ),
        (throttled, "Azure is asked too often just now; wait 0 seconds and run the same command"),
        (
            lambda plane: plane.manager.denied.add("computes/write"),
            "you may not do that ((AuthorizationFailed) ",
        ),
        (
            lambda plane: plane.manager.admission.lost_identities.add("jobs"),
            "there is no identity 'jobs' for its clusters; make it with infra/, or by az identity",
        ),
        (another_kind, "compute 'cpu-cluster' is of another kind (computeinstance); name another"),
    ],
)
def test_what_stands_against_it_is_told_in_one_line(plane, say, amiss, said):
    amiss(plane)
    result = say("--yes")
    assert result.exit_code == 1
    errors = told(result)
    assert said in errors[0]
    if amiss is not throttled:
        assert plane.manager.find("datastores/quartet_raw"), "the rest was not made"


def test_whoever_may_make_no_clusters_is_told_the_role_that_may(plane, say):
    plane.manager.denied.add("computes/write")
    errors = told(say("--yes"))
    assert len(errors) == len(SMALL["clusters"])
    assert all("ask for the role AzureML Compute Operator" in error for error in errors)


def test_calls_that_are_throttled_at_first_are_made_again(plane, say):
    busy = Answer.error(429, "TooManyRequests", "slow down", **{"Retry-After": "0"})
    plane.faults.append(Fault(busy, times=3))
    result = say("--yes")
    assert result.exit_code == 0, result.output
    assert all(plane.manager.find(path) for path in ALL)


def test_a_workspace_of_another_region_is_refused(plane, say):
    result = say("--yes", region="northeurope")
    (error,) = told(result)
    assert "is in westeurope, and cloud.yml says northeurope: write region: westeurope" in error
    assert puts(plane) == []


def test_an_account_that_nobody_has_named_is_asked_for(plane, tmp_path, project):
    say_nothing = make_project(tmp_path / "quartet")
    (error,) = told(call(say_nothing, provision, "--dry-run"))
    assert "conf/azureml/globals.yml does not name your storage account yet" in error
