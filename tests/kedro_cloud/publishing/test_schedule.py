"""A schedule must start what is meant when it is meant, once, and be told apart from others'."""

import pytest

from control_plane.documents import WORKSPACE_ID
from kedro_cloud.cli.schedule import schedule
from kedro_cloud.publishing.cron import checked_cron, checked_time_zone
from projects import furnish, make_project
from published import call, puts, told
from support import bootstrap

bootstrap()

SCHEDULE = "schedules/anomaly-scoring"
HOURLY = ("create", "-p", "anomaly_scoring", "--cron", "0 * * * *")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("scheduled") / "quartet")


@pytest.fixture(scope="module")
def plane(lasting_plane):
    return lasting_plane


@pytest.fixture
def say(plane, project, compile_once, monkeypatch):
    """Runs the command in a workspace without schedules."""
    for found in plane.manager.list("schedules"):
        plane.resources.delete(found["id"])
    furnish(plane)
    for key, value in plane.environment.items():
        monkeypatch.setenv(key, value)
    return lambda *arguments: call(project, schedule, *arguments)


def definition(plane):
    """The job that the schedule starts."""
    return plane.manager.find(SCHEDULE)["properties"]["action"]["jobDefinition"]


def test_a_schedule_is_made_once_and_starts_the_pipelines_steps(plane, say):
    result = say(*HOURLY)
    assert result.exit_code == 0, result.output
    made = plane.manager.find(SCHEDULE)["properties"]
    assert made["trigger"]["expression"] == "0 * * * *"
    assert made["trigger"]["timeZone"] == "UTC"
    assert "score_windows" in definition(plane)["jobs"]
    assert definition(plane)["experimentName"] == "quartet"
    since = len(plane.requests)
    again = say(*HOURLY)
    assert "nothing to change" in again.stdout
    assert puts(plane, since) == []


def test_a_dry_run_makes_none(plane, say):
    since = len(plane.requests)
    result = say(*HOURLY, "--dry-run")
    assert "+ schedule anomaly-scoring: anomaly_scoring at '0 * * * *' UTC" in result.stdout
    assert puts(plane, since) == []


def test_a_pause_keeps_the_job_and_outlives_a_change(plane, say):
    assert say(*HOURLY).exit_code == 0
    before = definition(plane)
    assert say("pause", "anomaly-scoring").exit_code == 0
    assert plane.manager.find(SCHEDULE)["properties"]["isEnabled"] is False
    assert definition(plane) == before
    assert "is paused already" in say("pause", "anomaly-scoring").stdout
    changed = say("create", "-p", "anomaly_scoring", "--cron", "30 6 * * 1-5")
    assert "~ schedule anomaly-scoring: cron 0 * * * * → 30 6 * * 1-5" in changed.stdout
    assert "it is paused; let it go on: kedro cloud schedule resume" in changed.stdout
    assert plane.manager.find(SCHEDULE)["properties"]["isEnabled"] is False
    assert say("resume", "anomaly-scoring").exit_code == 0
    assert plane.manager.find(SCHEDULE)["properties"]["isEnabled"] is True
    assert definition(plane) == before


def test_of_two_schedules_of_a_pipeline_one_stays_paused(plane, say):
    assert say(*HOURLY).exit_code == 0
    assert say("pause", "anomaly-scoring").exit_code == 0
    assert say(*HOURLY, "--name", "second").exit_code == 0
    (error,) = told(say("resume", "anomaly-scoring"))
    assert "'anomaly_scoring' is scheduled already, as 'second'" in error
    assert plane.manager.find(SCHEDULE)["properties"]["isEnabled"] is False


def test_removed_is_removed_and_said_so_the_second_time(plane, say):
    assert say(*HOURLY).exit_code == 0
    assert say("remove", "anomaly-scoring", "--dry-run").exit_code == 0
    assert plane.manager.find(SCHEDULE)
    assert say("remove", "anomaly-scoring").exit_code == 0
    assert plane.manager.find(SCHEDULE) is None
    again = say("remove", "anomaly-scoring")
    assert again.exit_code == 0
    assert "nothing to remove" in again.stdout


def test_the_list_tells_what_is_paused_and_what_will_fail(plane, say):
    assert say(*HOURLY).exit_code == 0
    assert say("pause", "anomaly-scoring").exit_code == 0
    plane.resources.delete(f"{WORKSPACE_ID}/computes/cpu-cluster")
    heading, line = say("list").stdout.splitlines()
    assert heading.split() == ["NAME", "PIPELINE", "CRON", "TIME", "ZONE", "STATE"]
    assert line.startswith("anomaly-scoring  anomaly_scoring  0 * * * *  UTC")
    assert "paused; its jobs will fail: no cluster cpu-cluster (kedro cloud provision)" in line


def foreign(plane):
    found = dict(plane.manager.find(SCHEDULE))
    properties = {key: value for key, value in found["properties"].items() if key != "tags"}
    plane.resources.put(found["id"], {"properties": properties})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("create", "-p", "style_transfer", "--cron", "0 * * * *", "--name", "anomaly-scoring"),
            "schedule 'anomaly-scoring' is there and starts pipeline 'anomaly_scoring'; say "
            "another --name",
        ),
        (
            ("create", "-p", "anomaly_scoring", "--cron", "0 * * * *", "--name", "second"),
            "pipeline 'anomaly_scoring' is scheduled already, as 'anomaly-scoring', and the jobs "
            "of two schedules would overlap",
        ),
        (("pause", "scoring"), "there is no schedule 'scoring'; there are: anomaly-scoring"),
        (
            ("create", "-p", "anomaly_scorin", "--cron", "0 * * * *"),
            "there is no pipeline 'anomaly_scorin'; did you mean 'anomaly_scoring'?",
        ),
        (("create", "-p", "anomaly_scoring", "--cron", "0 *"), "has 2 fields and not five"),
    ],
)
def test_what_is_amiss_is_told_in_one_line(plane, say, arguments, said):
    assert say(*HOURLY).exit_code == 0
    since = len(plane.requests)
    result = say(*arguments)
    assert result.exit_code == 1
    (error,) = told(result)
    assert said in error
    assert puts(plane, since) == []


@pytest.mark.parametrize("verb", ["pause", "remove"])
def test_what_somebody_else_made_is_not_touched(plane, say, verb):
    assert say(*HOURLY).exit_code == 0
    foreign(plane)
    since = len(plane.requests)
    (error,) = told(say(verb, "anomaly-scoring"))
    assert "was not made by this command" in error
    assert puts(plane, since) == []


def test_a_deleted_cluster_is_told_before_anything_is_uploaded(plane, say):
    plane.resources.delete(f"{WORKSPACE_ID}/computes/cpu-cluster")
    since = len(plane.requests)
    (error,) = told(say(*HOURLY))
    assert "has no cluster 'cpu-cluster'" in error
    assert "kedro cloud provision" in error
    assert puts(plane, since) == []


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("0 * * * *", "0 * * * *"),
        ("  */15  6-18 * * mon-fri ", "*/15 6-18 * * mon-fri"),
        ("5,35 0 * * SUN,3", "5,35 0 * * SUN,3"),
        ("10/20 * * * *", "10/20 * * * *"),
    ],
)
def test_what_azure_ml_takes_is_taken(expression, same):
    assert checked_cron(expression) == same


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 0 1 * *", "Azure ML ignores days, and would start the job on all of them"),
        ("0 0 * 6 *", "Azure ML ignores months"),
        ("60 * * * *", "'60' is no number of minutes from 0 to 59"),
        ("0 24 * * *", "'24' is no number of hours from 0 to 23"),
        ("0 0 * * 7", "'7' is no number of days of the week from 0 to 6"),
        ("0 18-6 * * *", "'18-6' is no number of hours"),
        ("*/0 * * * *", "'\\*/0' is no number of minutes"),
        ("@hourly", "has 1 fields and not five"),
        ("0 0 0 * * *", "has 6 fields and not five"),
        ("* * * * *", "starts jobs 1 minutes apart"),
        ("0,55 * * * *", "starts jobs 5 minutes apart"),
        ("0 0; id * * *", "has 6 fields"),
    ],
)
def test_what_azure_ml_would_not_do_is_refused_by_its_field(expression, said):
    with pytest.raises(ValueError, match=said):
        checked_cron(expression)


def test_minutes_that_are_close_only_over_the_hour_are_no_fault_of_a_daily_job():
    assert checked_cron("0,55 3 * * *") == "0,55 3 * * *"


def test_a_time_zone_has_the_name_that_azure_ml_knows():
    assert checked_time_zone("w. europe standard time") == "W. Europe Standard Time"
    with pytest.raises(ValueError, match=r"did you mean 'W\. Europe Standard Time'"):
        checked_time_zone("W Europe Standard Time")
    with pytest.raises(ValueError, match="it takes the names that Windows has"):
        checked_time_zone("Europe/Berlin")
