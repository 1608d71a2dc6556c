"""Faults during a submission must be reported in one line, and leave nothing half submitted."""

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
    """A fault of Azure, of the project's settings or of the sign-in.

    `message` is a pattern of the line that reports it; None if the job is submitted after a retry.
    """

    message: str | None
    at_azure: Callable[[ControlPlane], object] = lambda plane: None
    settings: Mapping[str, Any] = field(default_factory=dict)
    signed_in: bool = True


def add_fault(answer, times=1_000_000, **where):
    return lambda plane: plane.faults.append(Fault(answer, times=times, **where))


def busy(status, code, wait):
    return Answer.error(status, code, "Too many requests.", **{"Retry-After": wait})


def deny(action):
    return lambda plane: plane.manager.denied.add(action)


def delete(collection, name=None):
    def remove(plane):
        for found in plane.manager.list(collection):
            if name in (None, found["name"]):
                plane.resources.delete(found["id"])

    return remove


def let_job_fail(plane):
    log, reason = "Step one has begun\n", "Step search ended with exit code 1"
    plane.runs.stages = (Stage("Running", log), Stage("Failed", log, reason))


SETTINGS = r"check the workspace's settings in azureml\.yml"
TROUBLES = {
    "upload dropped once": Trouble(None, add_fault(None, times=1, host=BLOBS, method="PUT")),
    "throttled": Trouble(
        None, add_fault(busy(429, "TooManyRequests", "1"), times=3, host="management.azure.com")
    ),
    "throttled for good": Trouble(
        r"workspace 'quartet-workspace': \(ServiceUnavailable\) Too many requests",
        add_fault(busy(503, "ServiceUnavailable", "0"), host="management.azure.com"),
    ),
    "storage out of reach": Trouble(
        "storage account 'quartetworkspace', to which the code is uploaded, cannot be reached ",
        lambda plane: plane.services.pop(BLOBS),
    ),
    "upload refused": Trouble(
        r"the code could not be uploaded \(Server failed to authenticate the request\.\)",
        add_fault(
            Answer(403, UNSIGNED.encode(), {"Content-Type": "application/xml"}),
            host=BLOBS,
            method="PUT",
        ),
    ),
    "no role": Trouble(
        r"permission denied .*workspaces/jobs/write.*; ask for the role AzureML Data Scientist",
        deny("jobs/write"),
    ),
    "no environment": Trouble(
        r"no Azure ML environment 'plain:1', .*; register it: kedro cloud environment$",
        delete("environments"),
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
        add_fault(
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
        delete("computes", "cpu-cluster"),
    ),
    "no cluster for a tag": Trouble(
        "step 'prepare': .* no cluster 'big-cluster' .*; create it .*, or ",
        settings={"compute": CLUSTERS | {"memory": {"cluster_name": "big-cluster"}}},
    ),
}
FATAL = [name for name, trouble in TROUBLES.items() if trouble.message]
PASSING = [name for name, trouble in TROUBLES.items() if not trouble.message]


@pytest.fixture
def run(plane, project, monkeypatch):
    """Submit the pipeline, in this process."""
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")  # only the project's settings count
    furnish_plain(plane)
    return partial(call, project, azureml, "-e", "azureml", "run", "-p", PIPELINE)


@pytest.fixture
def submit_with(run, plane, project, monkeypatch):
    """Submit the pipeline with a fault, by its name."""

    def submit(name):
        trouble = TROUBLES[name]
        trouble.at_azure(plane)
        edit(project / "conf/azureml/azureml.yml", **trouble.settings)
        for variable in () if trouble.signed_in else SIGNED_IN:
            monkeypatch.delenv(f"AZURE_{variable}")
        return run()

    return submit


@pytest.mark.parametrize("name", FATAL)
def test_a_fault_is_reported_in_one_line_and_no_job_is_submitted(plane, submit_with, name):
    result = submit_with(name)
    error = error_of(result)
    assert re.search(TROUBLES[name].message, error, re.IGNORECASE), error
    assert signin.SECRET not in result.output
    assert plane.manager.list("jobs") == []
    if name == "upload refused":  # partly uploaded code is not registered
        assert [each for each in plane.requests if each.method == "PUT"]
        assert plane.manager.list("codes") == []
    elif name != "no role":  # the fault is found before the upload
        assert not [each for each in plane.requests if each.path.endswith("/startPendingUpload")]


@pytest.mark.parametrize("name", PASSING)
def test_a_transient_fault_is_retried(plane, submit_with, name):
    result = submit_with(name)
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
    output = result.stdout
    lines = ("Step one has begun", "Done", "Execution Summary")
    assert sorted(lines, key=output.index) == list(lines)
    assert output.count("Step one has begun") == 1
    assert output.rstrip().endswith("Pipeline finished successfully")


def test_the_reason_of_a_failed_job_is_reported_with_wait(plane, run, caplog):
    let_job_fail(plane)
    result = run("--wait-for-completion")
    assert result.exit_code == 1
    assert "Step one has begun" in result.output
    assert caplog.text.count("Step search ended with exit code 1") == 1
    assert "Traceback" not in result.output + caplog.text
