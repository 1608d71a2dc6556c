"""Azure must accept every resource of infra/: published types, value sets, lengths and names."""

import pytest

from azure_types import AzureTypes
from bicep import Resource, Template, parameters
from deployed import ENVIRONMENTS, INFRA, of_type
from support import real_data

NAMES = {"storageAccount": "quartetdata", "sqlServer": "quartet-sql"}
"""What users write in place of the placeholders of globals.yml."""
UNPUBLISHED = {"properties.sku.name: expected one of Standard, found 'StandardV2'"}
"""Microsoft's quickstart template microsoft.streamanalytics/streamanalytics-create uses it."""
PREVIEWS = {
    "Microsoft.Insights/diagnosticSettings": "category groups are in previews only",
    "Microsoft.MachineLearningServices/workspaces": "allowRoleAssignmentOnRG is in previews only",
    "Microsoft.Sql/servers": "no stable version is among the types at hand",
    "Microsoft.StreamAnalytics/streamingjobs": "no stable version is among the types at hand",
}
"""Why a resource type, and the types below it, has no stable version."""


@pytest.fixture(scope="module")
def types():
    return AzureTypes(real_data("../azure_types"))


def expand(environment, **changes):
    file, overrides = ENVIRONMENTS[environment]
    given = {**parameters(INFRA / f"{file}.bicepparam"), **overrides, **NAMES, **changes}
    return Template(INFRA / "main.bicep", given).resources()


def faults(types, found):
    return [
        fault
        for each in found
        for fault in types.faults(each)
        if not any(fault.endswith(known) for known in UNPUBLISHED)
    ]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_azure_accepts_each_resource_of_each_parameter_file(types, environment):
    assert faults(types, expand(environment)) == []


@pytest.mark.parametrize("name", ["abc", "a-b", "quartet-name"])
def test_azure_accepts_the_shortest_and_the_longest_name(types, name):
    assert faults(types, expand("all", name=name)) == []


def test_a_deleted_key_vault_can_be_recovered(types):
    found = expand("prod", recoverKeyVault=True)
    (vault,) = of_type(found, "vaults")
    assert vault.body["properties"]["createMode"] == "recover"
    assert faults(types, [vault]) == []


def test_each_type_has_its_newest_stable_version(types):
    found = {each.type: each.version for each in expand("all") + expand("private")}
    for kind, version in found.items():
        stable = [each for each in types.versions(kind) if "preview" not in each]
        if "preview" in version:
            assert [reason for start, reason in PREVIEWS.items() if kind.startswith(start)], kind
        else:
            assert version == max(stable), kind


def workspace(version="2026-05-15-preview", **properties):
    body = {"name": "quartet", "location": "westeurope", "properties": properties}
    return Resource("Microsoft.MachineLearningServices/workspaces", version, "quartet", body)


def storage(name="quartetdata", **properties):
    body = {"name": name, "location": "westeurope", "kind": "StorageV2", "sku": {"name": "Any"}}
    body["properties"] = properties
    return Resource("Microsoft.Storage/storageAccounts", "2023-05-01", name, body)


@pytest.mark.parametrize(
    ("resource", "fault"),
    [
        (
            workspace("2026-05-01", allowRoleAssignmentOnRG=False),
            "properties.allowRoleAssignmentOnRG: unknown property",
        ),
        (workspace(systemDatastoresAuthMode="identity"), "expected one of AccessKey, Identity"),
        (workspace(workspaceId="1"), "properties.workspaceId: read-only"),
        (workspace(allowRoleAssignmentOnRG="false"), "expected true or false, found 'false'"),
        (workspace("2026-06-01"), "workspaces@2026-06-01 is not a published type"),
        (storage("quartet-data"), "name: 'quartet-data' does not match"),
        (storage("ab"), "name: length 2, expected 3 to 24"),
        (storage(), "sku.name: expected one of Standard_LRS"),
        (storage(networkAcls={}), "properties.networkAcls.defaultAction: required, but missing"),
    ],
)
def test_what_azure_rejects_is_found(types, resource, fault):
    assert any(fault in each for each in types.faults(resource))
