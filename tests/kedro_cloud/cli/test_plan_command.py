"""`kedro cloud plan` must show a cost before it is paid, and one clear line if it cannot."""

import json
import shutil
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from kedro_cloud.cli.plan import plan
from kedro_cloud.estimate import plans
from kedro_cloud.jobs.translation import translate
from kedro_cloud.rehearsal import StepRecord, StepState
from kedro_cloud.rehearsal.records import Journal, fingerprint
from projects import make_project
from support import ROOT

REHEARSED = {
    "prepare_pairs": (9.8, 3.6),
    "rank_by_baselines": (6.4, 3.3),
    "tune_ranker": (18.8, 8.8),
    "evaluate_ranker": (13.2, 4.1),
}
"""Seconds and start-up, as docs/how-to/rehearse-on-azure.md shows them."""


@pytest.fixture(scope="module")
def jobs():
    """Jobs by pipeline, each translated once by the real plugin."""
    known = {}

    def translated(metadata, environment, pipeline, params):
        if pipeline not in known:
            known[pipeline] = translate(metadata, environment, pipeline, params)
        return known[pipeline]

    return translated


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("planned") / "quartet")
    shutil.copy(ROOT / "conf/azureml/azureml.yml", folder / "conf/azureml/azureml.yml")
    return folder


@pytest.fixture
def project(template, tmp_path):
    """The project's configuration in a folder of this test's own."""
    shutil.copytree(template / "conf", tmp_path / "conf")
    return tmp_path


@pytest.fixture
def run(template, project, jobs, monkeypatch):
    """The command, in this process."""
    metadata = bootstrap_project(template)
    monkeypatch.setattr(plans, "translate", lambda _, *rest: jobs(metadata, *rest))
    monkeypatch.setattr("os.cpu_count", lambda: 2)

    def invoke(*arguments):
        return CliRunner().invoke(plan, arguments, obj=SimpleNamespace(project_path=project))

    return invoke


@pytest.fixture
def rehearsed(project, jobs, template):
    """A rehearsal of faq_tuning, as the journal has it."""
    job = jobs(bootstrap_project(template), "azureml", "faq_tuning", {})
    folder = project / "rehearsals/runs/faq_tuning"
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


def edit(path, change):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def error(result):
    assert result.exit_code in (1, 2), result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert "Traceback" not in result.output
    return lines[0]


def table(result):
    """Cells by nodes."""
    assert result.exit_code == 0, result.output
    lines = [line.split("  ") for line in result.stdout.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {line[0]: line[1:] for line in cells if line and line[0].replace(":", "").isdigit()}


FAQ = ("-p", "faq_tuning")
SCORING = ("claim_windows", "score_windows", "publish_scores")


def test_a_plan_shows_time_and_cost_of_each_size(run, rehearsed):
    result = run(*FAQ, "--nodes", "0:2")
    assert list(table(result)) == ["0:1", "0:2"]
    out = result.stdout
    assert "faq_tuning: 4 steps; one job" in out
    work = "20 s on one rank (rehearsed); all nodes of cpu-cluster, ranks per node: 2"
    assert f"tune_ranker: {work}" in out
    assert "EXAMPLE PRICE: replace it in prices.yml" in out
    assert "cheapest: 0:1" in out
    assert "critical path on 0:1, waits included: prepare_pairs" in out


def test_time_grows_with_the_work_and_falls_with_nodes(run, rehearsed):
    arguments = (*FAQ, "--nodes", "0:4", "--scale", "tune_ranker=1000")
    result = run(*arguments, "--within", "2h")
    assert "tune_ranker: 5.56 h on one rank (rehearsed × 1000)" in result.stdout
    cells = table(result)
    assert cells["0:1"][0].endswith(" h")
    assert cells["0:4"][0].endswith(" min")
    assert "cheapest within 2 h: 0:2" in result.stdout
    hopeless = run(*arguments, "--within", "5min").stdout
    assert "cheapest within 5 min: none; raise --within or --nodes" in hopeless


def test_given_seconds_replace_a_rehearsal(run):
    result = run(*FAQ, "--nodes", "0:1", *(f"--seconds={name}=10" for name in REHEARSED))
    assert list(table(result)) == ["0:1"]
    assert "prepare_pairs: 10 s on one rank (given)" in result.stdout


def test_nodes_that_stay_are_compared_with_nodes_that_scale(run, rehearsed):
    arguments = ("-p", "anomaly_scoring", "--nodes", "0:2", "--nodes", "1:1", "--every", "1h")
    result = run(*arguments, *(f"--seconds={name}=6" for name in SCORING))
    assert "a job every 60 min" in result.stdout
    assert table(result)["1:1"][2] == "5.52"  # 24 hours at 0.23
    line = result.stdout.splitlines()[-1]
    assert line.startswith("nodes that stay, 1:1 against 0:2: cheaper if a job comes every 29.")


def test_low_priority_has_its_own_price(run, rehearsed):
    dedicated = table(run(*FAQ, "--nodes", "0:1"))
    low = run(*FAQ, "--nodes", "0:1", "--tier", "low_priority")
    assert "low priority, 0.046 USD/h" in low.stdout
    assert float(table(low)["0:1"][2]) == pytest.approx(0.2 * float(dedicated["0:1"][2]), rel=0.05)


def test_jobs_that_come_faster_than_they_end_are_reported(run):
    given = [f"--seconds={name}=90" for name in SCORING]
    result = run("-p", "anomaly_scoring", "--nodes", "0:1", "--every", "1s", *given)
    assert "jobs come faster than they end" in result.stdout
    assert "cheapest: none; raise --nodes" in result.stdout


def test_the_picture_is_written(run, rehearsed, tmp_path):
    picture = tmp_path / "plan.png"
    result = run(*FAQ, "--nodes", "0:2", "--within", "1h", "--out", str(picture))
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert result.stdout.splitlines()[-1] == f"picture: {picture}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", "faq_tunign"), "no pipeline 'faq_tunign'; did you mean 'faq_tuning'?"),
        ((*FAQ, "--nodes", "16:0"), "'16:0': expected MIN:MAX with at least one node"),
        ((*FAQ, "--nodes", "0:0"), "'0:0': expected MIN:MAX with at least one node"),
        ((*FAQ, "--nodes", "many"), "'many': expected MIN:MAX"),
        ((*FAQ, "--within", "soon"), "'soon': expected a time above 0: 90s, 20min, 2h or 1d"),
        ((*FAQ, "--every", "0min"), "'0min': expected a time above 0"),
        ((*FAQ, "--seconds", "tune_ranker"), "'tune_ranker': expected STEP=NUMBER"),
        ((*FAQ, "--scale", "tune_ranker=-2"), "'tune_ranker=-2': expected STEP=NUMBER"),
        ((*FAQ, "--seconds", "tune=3"), "no such step; expected one of prepare_pairs"),
        ((*FAQ, "--scale", "tune=3"), "--scale tune=…: 'faq_tuning' has no such step"),
        ((*FAQ, "--size", "Standard_D4_v5"), "or use one of Standard_D4s_v5 in eastus"),
        ((*FAQ, "--size", "Standard_NC6s_v3"), "Standard_NC6s_v3 in eastus"),
        ((*FAQ, "--out", "plan.pdf"), "expected a name that ends with .png"),
        ((*FAQ, "--out", "nowhere/plan.png"), "in an existing folder"),
        ((*FAQ, "-e", "base"), "has no planning.yml"),
    ],
)
def test_what_cannot_be_planned_is_reported_in_one_line(run, rehearsed, arguments, message):
    assert message in error(run(*arguments))


def test_without_a_rehearsal_the_command_for_one_is_shown(run):
    message = error(run(*FAQ))
    assert "'faq_tuning' has no finished rehearsal to take seconds from" in message
    assert "run `kedro cloud rehearse -p faq_tuning`, or give them: --seconds prepare" in message


def test_a_step_that_failed_in_the_rehearsal_is_named(run, rehearsed):
    content = json.loads(rehearsed.read_text())
    content["steps"]["evaluate_ranker"]["state"] = "failed"
    rehearsed.write_text(json.dumps(content))
    assert error(run(*FAQ)).endswith("or give them: --seconds evaluate_ranker=…")


def test_a_rehearsal_with_other_parameters_is_reported(run, rehearsed):
    content = json.loads(rehearsed.read_text())
    content["steps"]["tune_ranker"]["fingerprint"] = "of step_nodes 3"
    rehearsed.write_text(json.dumps(content))
    lines = run(*FAQ, "--nodes", "0:1").stdout.splitlines()
    (changed,) = (line for line in lines if "rehearsed with other parameters" in line)
    assert changed.startswith("tune_ranker: ")


def test_a_cluster_without_a_size_is_named(run, rehearsed, project):
    edit(
        project / "conf/azureml/cloud.yml",
        lambda content: content["cloud"]["clusters"].pop("cpu-cluster"),
    )
    assert "cluster 'cpu-cluster', which azureml.yml names, is missing" in error(run(*FAQ))


def test_an_invalid_setting_is_named(run, rehearsed, project):
    def change(content):
        content["planning"]["scale_up_s"]["range"] = [480, 300, 180]
        content["planning"]["spread"]["source"] = ""
        content["planning"]["typo"] = 1

    edit(project / "conf/azureml/planning.yml", change)
    message = error(run(*FAQ))
    assert "planning.scale_up_s.range: expected [low, most likely, high], ascending" in message
    assert "planning.spread.source should have at least 1 character" in message
    assert "planning.typo is not a setting (given: 1)" in message


def test_a_verified_price_is_shown_with_its_source(run, rehearsed, project):
    edit(project / "conf/azureml/cloud.yml", lambda said: said["cloud"].update(region="eastus"))
    result = run(*FAQ, "--nodes", "0:1")
    assert "0.192 USD/h in eastus (SkyPilot's catalogue" in result.stdout
    assert "EXAMPLE" not in result.stdout
