"""Resources of infra/ must accept identities only, contain no secret, and log what happens."""

import pytest

from bicep import Resource
from deployed import CLOSED, ENVIRONMENTS, INFRA, insecure_settings, of_type, resources, secrets


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_access_requires_an_identity(environment):
    assert insecure_settings(resources(environment)) == []


@pytest.mark.parametrize("kind", CLOSED)
def test_an_insecure_setting_is_found(kind):
    assert len(insecure_settings([Resource(kind, "", "x", {"properties": {}})])) == len(
        CLOSED[kind]
    )


def test_no_file_contains_or_requests_a_secret():
    for path in INFRA.rglob("*"):
        assert not path.is_file() or secrets(path.read_text()) == [], path


@pytest.mark.parametrize(
    "text",
    [
        "value: account.listKeys().keys[0].value",
        "uri: listCallbackUrl(trigger.id, '2019-05-01').value",
        "x: 'DefaultEndpointsProtocol=https;AccountKey=abc'",
        "x: 'Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey=abc'",
        "administratorLogin: 'admin'",
        "password: 'hunter2'",
        "uri: 'https://x.azure.com/workflows/1?sv=1.0&sig=abc'",
        "x: 'k3JhbmRvbWtleXJhbmRvbWtleXJhbmRvbWtleXJhbmRvbWtleQ=='",
        "allowSharedKeyAccess: true",
        "disableLocalAuth: false",
        "@secure()\nparam x string",
    ],
)
def test_a_secret_is_found(text):
    assert secrets(text) != []


def has_public_access(resource):
    return "publicNetworkAccess" in resource.body.get("properties", {})


def test_a_private_network_has_no_public_access():
    found = resources("private")
    access = [
        each.body["properties"]["publicNetworkAccess"] for each in found if has_public_access(each)
    ]
    assert len(access) == 7
    assert set(access) == {"Disabled"}
    reached = {
        link["properties"]["privateLinkServiceId"]
        for each in of_type(found, "privateEndpoints")
        for link in each.body["properties"]["privateLinkServiceConnections"]
    }
    assert reached == {each["id"] for each in found if has_public_access(each)}
    assert of_type(found, "firewallRules") == []


def test_a_private_network_resolves_names_to_its_endpoints():
    found = resources("private")
    zones = {each["id"] for each in of_type(found, "privateDnsZones")}
    linked = {each.body["parent"]["id"] for each in of_type(found, "virtualNetworkLinks")}
    used = {
        config["properties"]["privateDnsZoneId"]
        for group in of_type(found, "privateDnsZoneGroups")
        for config in group.body["properties"]["privateDnsZoneConfigs"]
    }
    assert used == zones == linked
    (network,) = of_type(found, "virtualNetworks")
    subnets = {each["name"] for each in network.body["properties"]["subnets"]}
    named = {each.body["properties"]["subnet"]["id"] for each in of_type(found, "privateEndpoints")}
    named |= {
        each.body["properties"]["properties"]["subnet"]["id"] for each in of_type(found, "computes")
    }
    assert named == {f"{network['id']}/subnets/{name}" for name in subnets}
    for cluster in of_type(found, "computes"):
        assert cluster.body["properties"]["properties"]["enableNodePublicIp"] is False


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_resources_send_logs(environment):
    found = resources(environment)
    (logs,) = of_type(found, "Microsoft.OperationalInsights/workspaces")
    settings = of_type(found, "diagnosticSettings")
    assert {each.body["properties"]["workspaceId"] for each in settings} == {logs["id"]}
    logged = {each.scope.type for each in settings}
    unlogged = {
        "Microsoft.Storage/storageAccounts",  # its blobs are logged
        "Microsoft.Sql/servers",  # its database is logged
        "Microsoft.Insights/components",
        "Microsoft.Insights/workbooks",
        "Microsoft.OperationalInsights/workspaces",
        "Microsoft.ManagedIdentity/userAssignedIdentities",
    }
    networks = {each.type for each in found if each.type.startswith("Microsoft.Network/")}
    types = {each.type for each in found if each.type.count("/") == 1}
    rules = {each for each in types if each.startswith("Microsoft.Authorization/")}
    assert types - unlogged - networks - rules - {"Microsoft.Insights/diagnosticSettings"} <= logged
