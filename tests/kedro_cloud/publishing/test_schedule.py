"""A schedule must start the right job at the right times, once, and only its owner changes it."""

import pytest

from control_plane.documents import WORKSPACE_ID
from kedro_cloud.cli.schedule import schedule
from kedro_cloud.publishing.cron import normalize_cron, normalize_time_zone
from plain import PACKAGE, PIPELINE, STEPS, furnish_plain
from published import error_of, puts

SCHEDULE = f"schedules/{PIPELINE}"
HOURLY = ("create", "-p", PIPELINE, "--cron", "0 * * * *")
COMMAND = (schedule,)
pytestmark = pytest.mark.usefixtures("plain_pipelines")


@pytest.fixture
def plane(plane):
    """A workspace with a cluster and an image."""
    furnish_plain(plane)
    return plane


@pytest.fixture
def made(plane, succeed):
    """A workspace with a schedule; earlier requests are cleared."""
    succeed(*HOURLY)
    plane.requests.clear()
    return plane


def state(plane):
    """Return whether the schedule is enabled, and its job."""
    properties = plane.manager.find(SCHEDULE)["properties"]
    return properties["isEnabled"], properties["action"]["jobDefinition"]


def test_a_schedule_is_created_once_and_starts_the_steps_of_the_pipeline(plane, succeed):
    assert f"+ schedule {PIPELINE}: {PIPELINE} at '0 * * * *' UTC" in succeed(*HOURLY, "--dry-run")
    assert puts(plane) == []
    succeed(*HOURLY)
    made = plane.manager.find(SCHEDULE)["properties"]
    assert made["trigger"]["expression"] == "0 * * * *"
    assert made["trigger"]["timeZone"] == "UTC"
    _, job = state(plane)
    assert job["jobs"].keys() == set(STEPS)
    assert job["experimentName"] == PACKAGE
    since = len(plane.requests)
    assert "nothing to change" in succeed(*HOURLY)
    assert puts(plane, since) == []


def test_a_paused_schedule_keeps_its_job_and_stays_paused_when_it_changes(made, succeed, run):
    _, before = state(made)
    succeed("pause", PIPELINE)
    assert state(made) == (False, before)
    assert "is paused already" in succeed("pause", PIPELINE)
    changed = succeed("create", "-p", PIPELINE, "--cron", "30 6 * * 1-5")
    assert f"~ schedule {PIPELINE}: cron 0 * * * * → 30 6 * * 1-5" in changed
    assert "the schedule is paused; resume it: kedro cloud schedule resume" in changed
    assert state(made) == (False, before)
    succeed(*HOURLY, "--name", "second")
    message = f"'{PIPELINE}' is scheduled already, as 'second'"
    assert message in error_of(run("resume", PIPELINE))
    assert state(made) == (False, before)
    succeed("remove", "second")
    succeed("resume", PIPELINE)
    assert state(made) == (True, before)


def test_removing_a_schedule_twice_reports_that_it_is_gone(made, succeed):
    succeed("remove", PIPELINE, "--dry-run")
    assert made.manager.find(SCHEDULE)
    succeed("remove", PIPELINE)
    assert made.manager.find(SCHEDULE) is None
    assert "nothing to remove" in succeed("remove", PIPELINE)


def test_the_list_shows_paused_schedules_and_missing_clusters(made, succeed, run):
    succeed("pause", PIPELINE)
    made.resources.delete(f"{WORKSPACE_ID}/computes/cpu-cluster")
    heading, line = succeed("list").splitlines()
    assert heading.split() == ["NAME", "PIPELINE", "CRON", "TIME", "ZONE", "STATE"]
    assert line.startswith(f"{PIPELINE}  {PIPELINE}  0 * * * *  UTC")
    assert "paused; its jobs will fail: no cluster cpu-cluster (kedro cloud provision)" in line
    made.requests.clear()
    error = error_of(run("create", "-p", PIPELINE, "--cron", "0 1 * * *"))
    assert "has no cluster 'cpu-cluster'" in error
    assert "kedro cloud provision" in error
    assert puts(made) == []


def test_an_invalid_schedule_is_reported_in_one_line_and_changes_nothing(made, run):
    other = ("create", "-p", "__default__", "--cron", "0 * * * *", "--name", PIPELINE)
    for arguments, message in (
        (other, f"'{PIPELINE}' exists and starts pipeline '{PIPELINE}'; use another --name"),
        (
            (*HOURLY, "--name", "second"),
            f"pipeline '{PIPELINE}' is scheduled already, as '{PIPELINE}', and jobs of two "
            "schedules would overlap",
        ),
        (("pause", "scoring"), f"schedule 'scoring' does not exist; expected one of {PIPELINE}"),
        (
            ("create", "-p", "shuttle", "--cron", "0 * * * *"),
            "pipeline 'shuttle' does not exist; did you mean 'shuttles'?",
        ),
        (("create", "-p", PIPELINE, "--cron", "0 *"), "has 2 fields; expected five"),
    ):
        assert message in error_of(run(*arguments))
    found = dict(made.manager.find(SCHEDULE))  # and now as if made by somebody else
    found["properties"] = {key: it for key, it in found["properties"].items() if key != "tags"}
    made.resources.put(found["id"], {"properties": found["properties"]})
    for verb in ("pause", "remove"):
        assert "was not created by kedro cloud" in error_of(run(verb, PIPELINE))
    assert puts(made) == []


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("0 * * * *", "0 * * * *"),
        ("  */15  6-18 * * mon-fri ", "*/15 6-18 * * mon-fri"),
        ("5,35 0 * * SUN,3", "5,35 0 * * SUN,3"),
        ("10/20 * * * *", "10/20 * * * *"),
        ("0,55 3 * * *", "0,55 3 * * *"),  # far apart, as the job is daily
    ],
)
def test_valid_cron_expressions_are_accepted(expression, same):
    assert normalize_cron(expression) == same


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 0 1 * *", "Azure ML ignores days, and would start the job on all of them"),
        ("0 0 * 6 *", "Azure ML ignores months"),
        ("60 * * * *", "'60': expected minutes from 0 to 59"),
        ("0 24 * * *", "'24': expected hours from 0 to 23"),
        ("0 0 * * 7", "'7': expected days of the week from 0 to 6"),
        ("0 18-6 * * *", "'18-6': expected hours"),
        ("*/0 * * * *", "'\\*/0': expected minutes"),
        ("@hourly", "has 1 fields; expected five"),
        ("* * * * *", "starts jobs 1 minutes apart"),
        ("0,55 * * * *", "starts jobs 5 minutes apart"),
    ],
)
def test_invalid_cron_expressions_are_rejected_with_the_field(expression, message):
    with pytest.raises(ValueError, match=message):
        normalize_cron(expression)


def test_a_time_zone_is_a_name_of_azure_ml():
    assert normalize_time_zone("w. europe standard time") == "W. Europe Standard Time"
    with pytest.raises(ValueError, match=r"did you mean 'W\. Europe Standard Time'"):
        normalize_time_zone("W Europe Standard Time")
    with pytest.raises(ValueError, match="expected a Windows name"):
        normalize_time_zone("Europe/Berlin")
