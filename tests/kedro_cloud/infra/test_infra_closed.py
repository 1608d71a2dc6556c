"""What infra/ deploys must let in identities only, hold no secret, and tell what happens to it."""

import pytest

from bicep import Resource
from deployed import CLOSED, ENVIRONMENTS, INFRA, of_type, open_doors, resources, secrets


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nobody_without_an_identity_gets_in(environment):
    assert open_doors(resources(environment)) == []


@pytest.mark.parametrize("kind", CLOSED)
def test_an_open_door_is_found(kind):
    assert len(open_doors([Resource(kind, "", "x", {"properties": {}})])) == len(CLOSED[kind])


TEXTS = sorted(path for path in INFRA.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(INFRA)))
def test_no_file_holds_a_secret_or_asks_for_one(path):
    assert secrets(path.read_text()) == []


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


def has_door(resource):
    return "publicNetworkAccess" in resource.body.get("properties", {})


def test_in_a_private_network_nothing_has_a_public_door():
    found = resources("private")
    doors = [each.body["properties"]["publicNetworkAccess"] for each in found if has_door(each)]
    assert len(doors) == 7
    assert set(doors) == {"Disabled"}
    reached = {
        link["properties"]["privateLinkServiceId"]
        for each in of_type(found, "privateEndpoints")
        for link in each.body["properties"]["privateLinkServiceConnections"]
    }
    assert reached == {each["id"] for each in found if has_door(each)}
    assert of_type(found, "firewallRules") == []


def test_in_a_private_network_names_lead_to_the_endpoints():
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
def test_what_happens_is_written_down(environment):
    found = resources(environment)
    (logs,) = of_type(found, "Microsoft.OperationalInsights/workspaces")
    told = of_type(found, "diagnosticSettings")
    assert {each.body["properties"]["workspaceId"] for each in told} == {logs["id"]}
    watched = {each.scope.type for each in told}
    silent = {
        "Microsoft.Storage/storageAccounts",  # its blobs tell
        "Microsoft.Sql/servers",  # its database does
        "Microsoft.Insights/components",
        "Microsoft.Insights/workbooks",
        "Microsoft.OperationalInsights/workspaces",
        "Microsoft.ManagedIdentity/userAssignedIdentities",
    }
    networks = {each.type for each in found if each.type.startswith("Microsoft.Network/")}
    tops = {each.type for each in found if each.type.count("/") == 1}
    rules = {each for each in tops if each.startswith("Microsoft.Authorization/")}
    assert tops - silent - networks - rules - {"Microsoft.Insights/diagnosticSettings"} <= watched
