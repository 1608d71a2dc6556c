"""What is amiss on the way to Azure ML must be told in one line, and nothing be half submitted."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from control_plane import Answer, ControlPlane, Fault, Stage, running, signin
from projects import furnish, make_project
from submitted import submit

BLOBS = "*.blob.core.windows.net"
NOBODY = dict.fromkeys(
    ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TOKEN_CREDENTIALS")
)
NOWHERE = dict.fromkeys(("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_ML_WORKSPACE"))
EXPIRED = (
    f"AADSTS7000222: The provided client secret keys for app '{signin.CLIENT}' are expired. Visit "
    "the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret. Trace ID: 1"
)
UNSIGNED = """<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code>
<Message>Server failed to authenticate the request.</Message></Error>"""


@dataclass(frozen=True)
class Trouble:
    """What is amiss at Azure or in the client's variables, and the line that tells of it.

    `said` None: it passes, and the job is submitted all the same.
    """

    said: str | None
    at_azure: Callable[[ControlPlane], object] = lambda plane: None
    variables: Mapping[str, str | None] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What the person saw, and what Azure had in the end."""

    result: subprocess.CompletedProcess[str]
    plane: ControlPlane

    @property
    def told(self) -> list[str]:
        """Lines of errors, less the bar that shows how the upload goes."""
        lines = re.split(r"[\r\n]+", self.result.stderr)
        return [line for line in lines if line.startswith("Error: ")]

    @property
    def jobs(self) -> list[str]:
        """Names of the jobs that Azure got."""
        return [job["name"] for job in self.plane.manager.list("jobs")]


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
    log, reason = "Step one has begun\n", "Step tune_ranker ended with exit code 1"
    plane.runs.stages = (Stage("Running", log), Stage("Failed", log, reason))


SETTINGS = r"are the workspace's settings in azureml\.yml right\?"
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
        r"you may not do that .*workspaces/jobs/write.*; ask for the role AzureML Data Scientist",
        lacks("jobs/write"),
    ),
    "no environment": Trouble(
        r"no environment 'quartet-cpu-\w+:\w+', .*; register it: kedro cloud environment$",
        without("environments"),
    ),
    "no settings": Trouble(
        "it is not set where the job goes: subscription_id, resource_group, workspace_name; ",
        variables=NOWHERE,
    ),
    "no credential": Trouble(
        "Azure does not know who you are: run `az login`, or set AZURE_TENANT_ID, ",
        variables=NOBODY,
    ),
    "expired secret": Trouble(
        r"Azure does not know who you are \(AADSTS7000222: .* are expired\): ",
        meets(
            Answer.of({"error": "invalid_client", "error_description": EXPIRED}, 401),
            host=signin.HOST,
            path="token$",
        ),
    ),
    "wrong subscription": Trouble(
        rf"subscription '{signin.TENANT}' could not be found.*; {SETTINGS}",
        variables={"AZURE_SUBSCRIPTION_ID": signin.TENANT},
    ),
    "wrong group": Trouble(
        rf"resource group 'quartet-gruop' could not be found.*; {SETTINGS}",
        variables={"AZURE_RESOURCE_GROUP": "quartet-gruop"},
    ),
    "wrong workspace": Trouble(
        rf"workspaces/quartet-worksapce' .* was not found.*; {SETTINGS}",
        variables={"AZURE_ML_WORKSPACE": "quartet-worksapce"},
    ),
    "no cluster": Trouble(
        "workspace 'quartet-workspace' has no cluster 'cpu-cluster' .*; make one of that name ",
        without("computes", "cpu-cluster"),
    ),
    "no cluster for a tag": Trouble(
        "step 'prepare_pairs': .* no cluster 'big-cluster' .*; make one of that name .*, or ",
        without("computes", "big-cluster"),
    ),
}
FATAL = [name for name, trouble in TROUBLES.items() if trouble.said]
PASSING = [name for name, trouble in TROUBLES.items() if not trouble.said]
KNOWN_BEFORE = [name for name in FATAL if name not in ("upload refused", "no role")]
AFTERWARDS = {"failed step": Trouble(None, fails, arguments=("--wait-for-completion",))}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("faults") / "quartet")


@pytest.fixture(scope="module")
def outcomes(request, project, azurite):
    """Of each trouble that a test of this run is about; two at a time, for two cores."""
    mine = (item for item in request.session.items if item.module is request.module)
    names = dict.fromkeys(item.callspec.params["name"] for item in mine)

    def meet(name):
        trouble = (TROUBLES | AFTERWARDS)[name]
        with running(azurite.connection_string) as plane:
            furnish(plane, project)
            trouble.at_azure(plane)
            arguments = ("-p", "faq_tuning", *trouble.arguments)
            return Outcome(submit(plane, project, *arguments, environment=trouble.variables), plane)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(meet, names), strict=True))


@pytest.fixture
def outcome(outcomes, name):
    return outcomes[name]


@pytest.mark.parametrize("name", FATAL)
def test_what_is_amiss_is_told_in_one_line(outcome, name):
    assert outcome.result.returncode == 1
    assert len(outcome.told) == 1, outcome.result.stderr
    assert re.search(TROUBLES[name].said, outcome.told[0], re.IGNORECASE), outcome.told[0]
    assert "Traceback" not in outcome.result.stderr
    assert signin.SECRET not in outcome.result.stderr + outcome.result.stdout


@pytest.mark.parametrize("name", FATAL)
def test_azure_gets_no_job_and_takes_no_half_uploaded_code_for_whole(outcome, name):
    assert outcome.jobs == []
    uploaded = [each for each in outcome.plane.requests if each.method == "PUT"]
    if name == "upload refused":
        assert uploaded
        assert outcome.plane.manager.list("codes") == []


@pytest.mark.parametrize("name", KNOWN_BEFORE)
def test_nobody_waits_for_an_upload_that_is_in_vain(outcome, name):
    paths = [each.path for each in outcome.plane.requests]
    assert not [path for path in paths if path.endswith("/startPendingUpload")]


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_waited_for(outcome, name):
    assert outcome.result.returncode == 0, outcome.result.stderr
    (fault,) = outcome.plane.faults
    assert fault.met == fault.times
    assert len(outcome.jobs) == 1


@pytest.mark.parametrize("name", ["failed step"])
def test_one_who_waits_is_told_why_a_job_failed(outcome, name):
    assert outcome.result.returncode == 1
    said = outcome.result.stdout + outcome.result.stderr
    assert "Step one has begun" in said
    assert said.count("Step tune_ranker ended with exit code 1") == 1
    assert "Traceback" not in said
