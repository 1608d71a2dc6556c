"""`kedro cloud plan` must show a cost before it is paid, and one clear line if it cannot."""

import datetime
import json
from functools import partial
from types import SimpleNamespace

import pytest
import yaml

from kedro_cloud.cli.plan import plan
from kedro_cloud.jobs.translation import translate
from kedro_cloud.rehearsal import StepRecord, StepState
from kedro_cloud.rehearsal.records import Journal, fingerprint
from plain import PIPELINE, edit
from published import call, error_of, succeed

REHEARSED = {"prepare": (9.8, 3.6), "search": (18.8, 8.8), "average": (13.2, 4.1)}
"""Seconds and start-up by step."""
GIVEN = tuple(f"--seconds={name}=6" for name in REHEARSED)
pytestmark = pytest.mark.usefixtures("plain_pipelines")


@pytest.fixture
def run(project, monkeypatch):
    """Run the command for the pipeline."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    return partial(call, project, plan, "-p", PIPELINE)


@pytest.fixture
def done(run):
    """Run the command, which must succeed; return what it prints."""
    return lambda *arguments: succeed(*run.args, *arguments)


@pytest.fixture(scope="module")
def job(plain_project, plain_pipelines):
    """Return the job of the pipeline."""
    return translate(SimpleNamespace(project_path=plain_project), "azureml", PIPELINE, {})


@pytest.fixture
def rehearsed(project, job):
    """Write the journal of a finished rehearsal; return its file."""
    folder = project / "rehearsals/runs" / PIPELINE
    folder.mkdir(parents=True)
    records = {
        step.name: StepRecord(
            step.name,
            StepState.FINISHED,
            folder / step.name,
            fingerprint(step),
            seconds=REHEARSED[step.name][0],
            startup_s=REHEARSED[step.name][1],
        )
        for step in job.steps
    }
    Journal("run", records).write(folder / "job.json")
    return folder / "job.json"


def table(output):
    """Return the cells of the table by number of nodes."""
    lines = [line.split("  ") for line in output.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {line[0]: line[1:] for line in cells if line and line[0].replace(":", "").isdigit()}


def test_a_plan_shows_time_and_cost_of_each_size_and_a_picture(done, rehearsed, tmp_path):
    picture = tmp_path / "plan.png"
    out = done("--nodes", "0:2", "--within", "1h", "--out", str(picture))
    assert list(table(out)) == ["0:1", "0:2"]
    assert f"{PIPELINE}: 3 steps; one job" in out
    work = "20 s on one rank (rehearsed); all nodes of cpu-cluster, ranks per node: 1"
    assert f"search: {work}" in out
    assert "EXAMPLE PRICE: replace it in prices.yml" in out
    assert "cheapest within 60 min: 0:1" in out
    assert "critical path on 0:1, waits included: prepare" in out
    assert out.splitlines()[-1] == f"figure: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_time_grows_with_the_work_and_falls_with_nodes(done, rehearsed):
    arguments = ("--nodes", "0:4", "--scale", "search=1000")
    out = done(*arguments, "--within", "4h")
    assert "search: 5.56 h on one rank (rehearsed × 1000)" in out
    cells = table(out)
    assert cells["0:1"][0].endswith(" h")
    assert cells["0:4"][0].endswith(" min")
    assert "cheapest within 4 h: 0:2" in out
    hopeless = done(*arguments, "--within", "5min")
    assert "cheapest within 5 min: none; raise --within or --nodes" in hopeless


def test_nodes_that_stay_are_compared_with_nodes_that_scale(done):
    out = done("--nodes", "0:2", "--nodes", "1:1", "--every", "1h", *GIVEN)
    assert "prepare: 6 s on one rank (given)" in out
    assert "a job every 60 min" in out
    assert table(out)["1:1"][2] == "5.52"  # 24 hours at 0.23
    line = out.splitlines()[-1]
    assert line.startswith("permanent nodes, 1:1 against 0:2: cheaper if a job arrives every ")
    crowded = done("--nodes", "0:1", "--every", "1s", *GIVEN)
    assert "jobs arrive faster than they complete" in crowded
    assert "cheapest: none; raise --nodes" in crowded


@pytest.fixture
def retired_tier(project):
    """Low priority is retired, whatever today's date is; it has a price."""
    entry = {"name": "low priority", "tiers": ["low_priority"], "advice": "use dedicated"}
    entry |= {"date": datetime.date(1990, 1, 1), "source": "a page"}
    file = project / "conf/azureml/platform.yml"
    file.write_text(yaml.safe_dump({"platform": {"retirements": [entry]}}))


@pytest.mark.usefixtures("retired_tier")
def test_a_retired_tier_is_reported_and_has_its_own_price(run, project):
    file = project / "conf/azureml/prices.yml"
    prices = yaml.safe_load(file.read_text())["prices"]
    prices.append(prices[0] | {"tier": "low_priority", "hourly": 0.046})
    file.write_text(yaml.safe_dump({"prices": prices}))
    dedicated = run("--nodes", "0:1", *GIVEN)
    low = run("--nodes", "0:1", *GIVEN, "--tier", "low_priority")
    assert dedicated.stderr == ""
    assert low.stderr == (
        "Warning: cluster 'cpu-cluster' uses low_priority: low priority were retired on "
        "1990-01-01; use dedicated (a page)\n"
    )
    assert "low priority, 0.046 USD/h" in low.stdout
    cost, low_cost = (float(table(each.stdout)["0:1"][2]) for each in (dedicated, low))
    assert low_cost == pytest.approx(0.2 * cost, rel=0.05)


@pytest.mark.usefixtures("retired_tier")
def test_a_retired_tier_without_a_price_is_reported_as_retired(run):
    result = run("--nodes", "0:1", *GIVEN, "--tier", "low_priority")
    assert "no price of Standard_D4s_v5, low_priority, in westeurope" in error_of(result)
    assert "low priority were retired on 1990-01-01" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", "shuttle"), "pipeline 'shuttle' does not exist; did you mean 'shuttles'?"),
        (("--nodes", "16:0"), "'16:0': expected MIN:MAX with at least one node"),
        (("--nodes", "0:0"), "'0:0': expected MIN:MAX with at least one node"),
        (("--nodes", "many"), "'many': expected MIN:MAX"),
        (("--within", "soon"), "'soon': expected a time above 0: 90s, 20min, 2h or 1d"),
        (("--every", "0min"), "'0min': expected a time above 0"),
        (("--seconds", "search"), "'search': expected STEP=NUMBER"),
        (("--scale", "search=-2"), "'search=-2': expected STEP=NUMBER"),
        (("--seconds", "find=3"), "no such step; expected one of prepare"),
        (("--scale", "find=3"), "--scale find=…: 'shuttles' has no such step"),
        (("--size", "Standard_D4_v5"), "or use one of Standard_D4s_v5 in eastus"),
        (("--size", "Standard_NC6s_v3"), "Standard_NC6s_v3 in eastus"),
        (("--out", "plan.pdf"), "expected a name that ends with .png"),
        (("--out", "nowhere/plan.png"), "in an existing folder"),
        (("-e", "base"), "has no planning.yml"),
    ],
)
def test_what_cannot_be_planned_is_reported_in_one_line(run, rehearsed, arguments, message):
    assert message in error_of(run(*arguments))


def test_without_a_rehearsal_the_command_for_one_is_shown(run):
    message = error_of(run())
    assert f"'{PIPELINE}' has no finished rehearsal to take seconds from" in message
    assert f"run `kedro cloud rehearse -p {PIPELINE}`, or give them: --seconds prepare" in message


def test_a_step_that_failed_or_had_other_parameters_is_named(run, done, rehearsed):
    content = json.loads(rehearsed.read_text())
    content["steps"]["search"]["fingerprint"] = "of step_nodes 3"
    rehearsed.write_text(json.dumps(content))
    lines = done("--nodes", "0:1").splitlines()
    (changed,) = (line for line in lines if "rehearsed with other parameters" in line)
    assert changed.startswith("search: ")
    content["steps"]["average"]["state"] = "failed"
    rehearsed.write_text(json.dumps(content))
    assert error_of(run()).endswith("or give them: --seconds average=…")


def test_a_cluster_without_a_size_is_named(run, project):
    edit(project / "conf/azureml/cloud.yml", clusters={})
    message = "cluster 'cpu-cluster', which azureml.yml names, is missing"
    assert message in error_of(run(*GIVEN))


def test_an_invalid_setting_is_named(run, project):
    file = project / "conf/azureml/planning.yml"
    planning = yaml.safe_load(file.read_text())["planning"]
    planning["scale_up_s"]["range"] = [480, 300, 180]
    planning["spread"]["source"] = ""
    file.write_text(yaml.safe_dump({"planning": {**planning, "typo": 1}}))
    message = error_of(run(*GIVEN))
    assert "planning.scale_up_s.range: expected [low, most likely, high], ascending" in message
    assert "planning.spread.source should have at least 1 character" in message
    assert "planning.typo is not a setting (given: 1)" in message


def test_a_verified_price_is_shown_with_its_source(done, project):
    edit(project / "conf/azureml/cloud.yml", region="eastus")
    out = done("--nodes", "0:1", *GIVEN)
    assert "0.192 USD/h in eastus (SkyPilot's catalogue" in out
    assert "EXAMPLE" not in out
