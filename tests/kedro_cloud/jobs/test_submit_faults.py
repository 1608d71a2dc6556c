"""What is amiss on the way to Azure ML must be told in one line, and nothing be half submitted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from control_plane import Answer, ControlPlane, Fault, Stage, signin
from kedro_cloud.cli.azureml import azureml
from plain import PIPELINE, edit, furnish_plain
from published import call, error_of
from submitted import code_addresses, job_document, read_submitted

pytestmark = pytest.mark.usefixtures("plain_pipelines")
BLOBS = "*.blob.core.windows.net"
SIGNED_IN = ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET", "TOKEN_CREDENTIALS")
NOWHERE = dict.fromkeys(("subscription_id", "resource_group", "workspace_name"), "not-set")
EXPIRED = (
    f"AADSTS7000222: The provided client secret keys for app '{signin.CLIENT}' are expired. Visit "
    "the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret. Trace ID: 1"
)
UNSIGNED = """<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code>
<Message>Server failed to authenticate the request.</Message></Error>"""


CLUSTERS = {"__default__": {"cluster_name": "cpu-cluster"}}


@dataclass(frozen=True)
class Trouble:
    """What is amiss at Azure, in the project's settings or with who is signed in.

    `said` is a pattern of the line that reports it; None if it passes, and the job is submitted.
    """

    said: str | None
    at_azure: Callable[[ControlPlane], object] = lambda plane: None
    settings: Mapping[str, Any] = field(default_factory=dict)
    signed_in: bool = True


def meets(answer, times=1_000_000, **where):
    return lambda plane: plane.faults.append(Fault(answer, times=times, **where))


def busy(status, code, wait):
    return Answer.error(status, code, "Too many requests.", **{"Retry-After": wait})


def lacks(action):
    return lambda plane: plane.manager.denied.add(action)


def without(collection, name=None):
    def remove(plane):
        for found in plane.manager.list(collection):
            if name in (None, found["name"]):
                plane.resources.delete(found["id"])

    return remove


def fails(plane):
    log, reason = "Step one has begun\n", "Step search ended with exit code 1"
    plane.runs.stages = (Stage("Running", log), Stage("Failed", log, reason))


SETTINGS = r"check the workspace's settings in azureml\.yml"
TROUBLES = {
    "upload dropped once": Trouble(None, meets(None, times=1, host=BLOBS, method="PUT")),
    "throttled": Trouble(
        None, meets(busy(429, "TooManyRequests", "1"), times=3, host="management.azure.com")
    ),
    "throttled for good": Trouble(
        r"workspace 'quartet-workspace': \(ServiceUnavailable\) Too many requests",
        meets(busy(503, "ServiceUnavailable", "0"), host="management.azure.com"),
    ),
    "storage out of reach": Trouble(
        "storage account 'quartetworkspace', to which the code is uploaded, cannot be reached ",
        lambda plane: plane.services.pop(BLOBS),
    ),
    "upload refused": Trouble(
        r"the code could not be uploaded \(Server failed to authenticate the request\.\)",
        meets(
            Answer(403, UNSIGNED.encode(), {"Content-Type": "application/xml"}),
            host=BLOBS,
            method="PUT",
        ),
    ),
    "no role": Trouble(
        r"permission denied .*workspaces/jobs/write.*; ask for the role AzureML Data Scientist",
        lacks("jobs/write"),
    ),
    "no environment": Trouble(
        r"no environment 'plain:1', .*; register it: kedro cloud environment$",
        without("environments"),
    ),
    "no settings": Trouble(
        "workspace settings are missing: subscription_id, resource_group, workspace_name; ",
        settings=NOWHERE,
    ),
    "no credential": Trouble(
        "not signed in to Azure: run `az login`, or set AZURE_TENANT_ID, ",
        signed_in=False,
    ),
    "expired secret": Trouble(
        r"not signed in to Azure \(AADSTS7000222: .* are expired\): ",
        meets(
            Answer.of({"error": "invalid_client", "error_description": EXPIRED}, 401),
            host=signin.HOST,
            path="token$",
        ),
    ),
    "wrong subscription": Trouble(
        rf"subscription '{signin.TENANT}' could not be found.*; {SETTINGS}",
        settings={"subscription_id": signin.TENANT},
    ),
    "wrong group": Trouble(
        rf"resource group 'quartet-gruop' could not be found.*; {SETTINGS}",
        settings={"resource_group": "quartet-gruop"},
    ),
    "wrong workspace": Trouble(
        rf"workspaces/quartet-worksapce' .* was not found.*; {SETTINGS}",
        settings={"workspace_name": "quartet-worksapce"},
    ),
    "no cluster": Trouble(
        "workspace 'quartet-workspace' has no cluster 'cpu-cluster' .*; create it ",
        without("computes", "cpu-cluster"),
    ),
    "no cluster for a tag": Trouble(
        "step 'prepare': .* no cluster 'big-cluster' .*; create it .*, or ",
        settings={"compute": CLUSTERS | {"memory": {"cluster_name": "big-cluster"}}},
    ),
}
FATAL = [name for name, trouble in TROUBLES.items() if trouble.said]
PASSING = [name for name, trouble in TROUBLES.items() if not trouble.said]


@pytest.fixture
def run(plane, project, monkeypatch):
    """Submit the pipeline, in this process."""
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")  # the project's settings are the only ones
    furnish_plain(plane)
    return partial(call, project, azureml, "-e", "azureml", "run", "-p", PIPELINE)


@pytest.fixture
def meet(run, plane, project, monkeypatch):
    """Submit the pipeline in a trouble, by its name."""

    def submit(name):
        trouble = TROUBLES[name]
        trouble.at_azure(plane)
        edit(project / "conf/azureml/azureml.yml", **trouble.settings)
        for variable in () if trouble.signed_in else SIGNED_IN:
            monkeypatch.delenv(f"AZURE_{variable}")
        return run()

    return submit


@pytest.mark.parametrize("name", FATAL)
def test_what_is_amiss_is_told_in_one_line_and_nothing_half_done(plane, meet, name):
    result = meet(name)
    error = error_of(result)
    assert re.search(TROUBLES[name].said, error, re.IGNORECASE), error
    assert signin.SECRET not in result.output
    assert plane.manager.list("jobs") == []
    if name == "upload refused":  # half uploaded code is not taken for whole
        assert [each for each in plane.requests if each.method == "PUT"]
        assert plane.manager.list("codes") == []
    elif name != "no role":  # nobody waits for an upload that is in vain
        assert not [each for each in plane.requests if each.path.endswith("/startPendingUpload")]


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_waited_for(plane, meet, name):
    result = meet(name)
    assert result.exit_code == 0, result.output
    (fault,) = plane.faults
    assert fault.met == fault.times
    assert len(plane.manager.list("jobs")) == 1


def test_parameters_and_variables_reach_every_step_and_code_is_uploaded_once(plane, run):
    first = job_document(plane, run())
    params = {"search": {"trials": 2}, "step_nodes": {"search": 4}}
    plane.requests.clear()
    more = ("--params", json.dumps(params), "--env-var", "KEDRO_CLOUD_TRACEBACK=1")
    result = run(*more, "--wait-for-completion")
    assert result.exit_code == 0, result.output
    document = job_document(plane, result)
    assert not [each for each in plane.requests if each.method == "PUT" and ".blob." in each.host]
    assert code_addresses(plane, document) == code_addresses(plane, first)
    job = read_submitted(plane, document)
    for step in job.steps:
        (given,) = re.findall(r"--params='(.*)'$", step.command)
        assert json.loads(given) == params
        assert step.environment_variables["KEDRO_CLOUD_TRACEBACK"] == "1"
    assert (job["search"].instances, job["prepare"].instances) == (4, 1)
    said = result.stdout
    assert said.index("Step one has begun") < said.index("Done") < said.index("Execution Summary")
    assert said.count("Step one has begun") == 1
    assert said.rstrip().endswith("Pipeline finished successfully")


def test_one_who_waits_is_told_why_a_job_failed(plane, run, caplog):
    fails(plane)
    result = run("--wait-for-completion")
    assert result.exit_code == 1
    assert "Step one has begun" in result.output
    assert caplog.text.count("Step search ended with exit code 1") == 1
    assert "Traceback" not in result.output + caplog.text
