"""Principals must have the roles in this list and no others; extend it together with infra/."""

import json
import re

import pytest

from bicep_functions import SUBSCRIPTION
from deployed import ENVIRONMENTS, INFRA, of_type, resources

NAMES = {
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "8a0f0c08-91a1-4084-bc3d-661d67233fed": "Storage Queue Data Message Processor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "a638d3c7-ab3a-418d-83e6-5f17a39d4fde": "Azure Event Hubs Data Receiver",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815": "AzureML Compute Operator",
    "f1a07417-d97a-45cb-824c-7a7467783830": "Managed Identity Operator",
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": "AzureML Data Scientist",
}
"""Names by GUID, from "Azure built-in roles". Owner and Contributor are not among them."""
JOBS, TRIGGER, OPERATORS = "quartet-jobs", "quartet-trigger", "<QUARTET_OPERATORS_ID>"
CAPTURE, WINDOWS, EVENTS = "quartet-abcdefghijklm", "quartet-windows", "quartet-videos"
STARTER = f"Starter of published pipelines ({SUBSCRIPTION}/G/quartet)"
ACCOUNT, CODE = "your-data-account", "quartetcodeabcdefghijklm"
ALLOWED = {
    (JOBS, "Storage Blob Data Reader", "containers", f"{ACCOUNT}/default/raw"),
    (JOBS, "Storage Blob Data Reader", "containers", f"{ACCOUNT}/default/videos"),
    (JOBS, "Storage Blob Data Contributor", "containers", f"{ACCOUNT}/default/work"),
    (JOBS, "Storage Blob Data Contributor", "containers", f"{ACCOUNT}/default/models"),
    (JOBS, "Storage Blob Data Contributor", "containers", f"{ACCOUNT}/default/reports"),
    (JOBS, "Storage Blob Data Contributor", "storageAccounts", CODE),
    (JOBS, "AcrPull", "registries", "quartetabcdefghijklm"),
    (JOBS, "Monitoring Metrics Publisher", "components", "quartet-insights"),
    (TRIGGER, "Storage Queue Data Message Processor", "queues", f"{ACCOUNT}/default/new-videos"),
    (TRIGGER, "Storage Blob Data Contributor", "containers", f"{ACCOUNT}/default/triggers"),
    (TRIGGER, STARTER, "workspaces", "quartet"),
    (EVENTS, "Storage Queue Data Message Sender", "queues", f"{ACCOUNT}/default/new-videos"),
    (EVENTS, "Storage Blob Data Contributor", "containers", f"{ACCOUNT}/default/deadletters"),
    (CAPTURE, "Storage Blob Data Contributor", "containers", f"{ACCOUNT}/default/raw"),
    (WINDOWS, "Azure Event Hubs Data Receiver", "eventhubs", f"{CAPTURE}/telemetry"),
    (WINDOWS, "Storage Blob Data Contributor", "containers", f"{ACCOUNT}/default/quarantine"),
    (OPERATORS, "AzureML Data Scientist", "workspaces", "quartet"),
    (OPERATORS, "AzureML Compute Operator", "workspaces", "quartet"),
    (OPERATORS, "Storage Blob Data Contributor", "storageAccounts", ACCOUNT),
    (OPERATORS, "Storage Blob Data Contributor", "storageAccounts", CODE),
    (OPERATORS, "Managed Identity Operator", "userAssignedIdentities", JOBS),
}


def grants(found):
    """Yield principal, role, and type and name of the scope of each assignment."""
    own = {
        each.body["name"]: each.body["properties"]["roleName"]
        for each in of_type(found, "roleDefinitions")
    }
    for each in of_type(found, "roleAssignments"):
        properties = each.body["properties"]
        role = properties["roleDefinitionId"].rpartition("/")[2]
        name = {**NAMES, **own}.get(role) or next((n for g, n in own.items() if g in role), role)
        principal = re.sub(r"^<Microsoft\.[\w/]+ ([\w-]+)\..*>$", r"\1", properties["principalId"])
        scope = each.scope
        yield (
            principal,
            name,
            scope.type.rpartition("/")[2] if scope else "group",
            scope.name if scope else "",
        )


@pytest.mark.parametrize("environment", ["prod", "all"])
def test_principals_have_the_listed_roles_and_no_others(environment):
    found = set(grants(resources(environment)))
    assert found - ALLOWED == set()
    assert ALLOWED - found == set()


@pytest.mark.parametrize("environment", ["dev", "private"])
def test_omitted_parts_get_no_roles(environment):
    found = {
        tuple(
            part.replace("quartet-dev", "quartet").replace("quartetdev", "quartet") for part in each
        )
        for each in grants(resources(environment))
    }
    omitted = {EVENTS, TRIGGER, WINDOWS}
    assert found <= {each for each in ALLOWED if each[0] not in omitted}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_assignment_has_a_reason(environment):
    assigned = of_type(resources(environment), "roleAssignments")
    reasons = [each.body["properties"].get("description", "") for each in assigned]
    assert [reason for reason in reasons if len(reason.split()) < 5] == []


def test_role_ids_match_their_names():
    ids = json.loads((INFRA / "roles.json").read_text())
    assert set(ids.values()) == set(NAMES)
    words = {
        name: set(NAMES[guid].lower().replace("azureml", "").split()) for name, guid in ids.items()
    }
    for name, guid in ids.items():
        parts = re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", name).lower())
        assert all(any(part in word for word in words[name]) for part in parts), NAMES[guid]


def test_the_triggers_role_changes_only_jobs():
    (role,) = of_type(resources("prod"), "roleDefinitions")
    properties = role.body["properties"]
    (permissions,) = properties["permissions"]
    assert properties["assignableScopes"] == ["/subscriptions/S/resourceGroups/G"]
    assert set(permissions) == {"actions", "notActions"}
    for action in permissions["actions"]:
        assert action.startswith("Microsoft.MachineLearningServices/workspaces/")
        assert "*" not in action
        assert not action.endswith("/delete")
        kind = action.split("/")[2]
        assert not (kind in ("models", "computes", "batchEndpoints") and action.endswith("/write"))
