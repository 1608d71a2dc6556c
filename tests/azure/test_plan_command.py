"""`kedro cloud plan` must tell a price before it is paid, and one clear line if it cannot."""

import json
import shutil
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from azure.projects import make_project
from quartet.azure.plan_command import plan
from quartet.azure.planning import planned
from quartet.azure.rehearsal import State, StepRecord
from quartet.azure.rehearsal.records import Journal, fingerprint
from quartet.azure.translation import translate
from support import ROOT

REHEARSED = {
    "prepare_pairs": (9.8, 3.6),
    "rank_by_baselines": (6.4, 3.3),
    "tune_ranker": (18.8, 8.8),
    "judge_ranker": (13.2, 4.1),
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
    monkeypatch.setattr(planned, "translate", lambda _, *rest: jobs(metadata, *rest))
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
            State.FINISHED,
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


def test_a_plan_tells_time_cost_and_what_breaks(run, rehearsed, tmp_path):
    result = run("-p", "faq_tuning", "--nodes", "0:2", "--replications", "20")
    assert list(table(result)) == ["0:1", "0:2"]
    out = result.stdout
    assert "faq_tuning: 4 steps; one job" in out
    assert "rehearsed: prepare_pairs 9.8 s" in out
    assert "tune_ranker: 30 trials, 20 s for one rank; all nodes, 2 ranks each" in out
    assert "EXAMPLE PRICE: replace it in conf/azureml/prices.yml" in out
    assert "cheapest: 0:1" in out
    assert out.splitlines()[-1].startswith("breaks first: ")
    assert "told otherwise since the rehearsal" not in out


def test_the_same_seed_gives_the_same_plan(run, rehearsed):
    arguments = ("-p", "faq_tuning", "--nodes", "0:2", "--replications", "10")
    assert run(*arguments).stdout == run(*arguments).stdout
    assert run(*arguments).stdout != run(*arguments, "--seed", "7").stdout


def test_time_grows_with_pieces_and_falls_with_machines(run, rehearsed):
    arguments = ("-p", "faq_tuning", "--nodes", "0:4", "--pieces", "tune_ranker=30000")
    result = run(*arguments, "--replications", "10")
    assert "30,000 trials, 5.56 h for one rank" in result.stdout
    cells = table(result)
    assert cells["0:1"][0].endswith(" h")
    assert cells["0:4"][0].endswith(" min")
    within = run(*arguments, "--replications", "10", "--within", "2h").stdout
    assert "cheapest within 2 h: 0:2" in within
    hopeless = run(*arguments, "--replications", "10", "--within", "5min").stdout
    assert "cheapest within 5 min: none; the quickest, 0:4, takes" in hopeless


def test_said_seconds_stand_in_for_a_rehearsal(run):
    said = [f"--seconds={name}=10" for name in REHEARSED]
    result = run("-p", "faq_tuning", "--nodes", "0:1", "--replications", "5", *said)
    assert list(table(result)) == ["0:1"]
    assert "said: prepare_pairs 10 s" in result.stdout


def test_machines_that_stay_are_compared_with_those_that_come(run, rehearsed):
    arguments = ("-p", "faq_tuning", "--nodes", "0:2", "--nodes", "1:1", "--every", "1h")
    result = run(*arguments, "--replications", "3", "--within", "1h", "--gang", "tune_ranker=1")
    assert "a job every 60 min" in result.stdout
    assert float(table(result)["1:1"][2]) == pytest.approx(24 * 0.23, abs=0.1)
    assert "nodes that stay, 1:1 against 0:1: never cheaper" in result.stdout


def test_low_priority_is_cheaper_and_may_be_taken_away(run, rehearsed):
    arguments = ("-p", "faq_tuning", "--nodes", "0:1", "--replications", "20")
    dedicated = run(*arguments)
    low = run(*arguments, "--tier", "low_priority", "--evictions", "2")
    assert float(table(low)["0:1"][2]) < 0.4 * float(table(dedicated)["0:1"][2])
    assert "taken away" in low.stdout
    assert float(table(low)["0:1"][-1]) > 0.1
    assert "low-priority cores" in low.stdout


def test_ten_thousand_videos_a_day_break_the_quota_first(run):
    said = [
        f"--seconds={name}={seconds}"
        for name, seconds in (("plan_transfer", 2), ("restyle_pieces", 240), ("publish_video", 10))
    ]
    result = run(
        *("-p", "style_transfer", "--nodes", "0:300", "--per-day", "10000", "--days", "0.05"),
        *("--replications", "1"),
        *("--gang", "restyle_pieces=1", "--pieces", "restyle_pieces=13", "--limits", *said),
    )
    assert result.exit_code == 0, result.output
    first = next(line for line in result.stdout.splitlines() if line.startswith("breaks first"))
    assert "quota of dedicated cores" in first
    assert "how-to-manage-quotas" in first
    assert "runs that a workspace holds: 14,600,000 of 10,000,000" in result.stdout
    assert "cannot keep up" in result.stdout


def test_ten_million_sensors_break_event_hubs_first(run):
    said = [
        f"--seconds={name}=5" for name in ("claim_new_windows", "score_windows", "publish_scores")
    ]
    result = run(
        *("-p", "anomaly_scoring", "--nodes", "0:2", "--every", "1h", "--replications", "2"),
        *("--sensors", "10000000", "--quota", "64", "--limits", *said),
    )
    assert result.exit_code == 0, result.output
    first = next(line for line in result.stdout.splitlines() if line.startswith("breaks first"))
    assert "1,000,000 of 40,000 events/s, reached at 400,000 sensors" in first
    broken = [line for line in result.stdout.splitlines() if " times  " in line]
    assert [
        line.split("  ")[-1].split(":")[0] for line in broken if float(line.split()[0]) > 1
    ] == [
        "events into an Event Hubs namespace",
        "bytes into an Event Hubs namespace",
        "memory of a machine",
    ]


def test_the_picture_is_written(run, rehearsed, tmp_path):
    picture = tmp_path / "plan.png"
    result = run("-p", "faq_tuning", "--nodes", "0:2", "--replications", "5", "--out", str(picture))
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert result.stdout.splitlines()[-1] == f"picture: {picture}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-p", "faq_tunign"), "no pipeline 'faq_tunign'; did you mean 'faq_tuning'?"),
        (("-p", "faq_tuning", "--nodes", "16:0"), "'16:0' goes backwards"),
        (("-p", "faq_tuning", "--nodes", "0:0"), "a cluster of no node runs nothing"),
        (("-p", "faq_tuning", "--nodes", "many"), "'many' is no range of nodes; say 0:16"),
        (("-p", "faq_tuning", "--within", "soon"), "'soon' is no time; say 90s, 20min, 2h or 1d"),
        (("-p", "faq_tuning", "--every", "0min"), "'0min' is no time"),
        (("-p", "faq_tuning", "--per-day", "-3"), "-3.0 is not in the range x>0"),
        (("-p", "faq_tuning", "--every", "1h", "--per-day", "9"), "say one of them"),
        (("-p", "faq_tuning", "--seconds", "tune_ranker"), "say STEP=NUMBER, with seconds"),
        (("-p", "faq_tuning", "--pieces", "tune_ranker=0"), "with a whole number from 1 on"),
        (("-p", "faq_tuning", "--seconds", "tune=3"), "no such step; there are prepare_pairs"),
        (("-p", "faq_tuning", "--gang", "judge_ranker=2"), "no such step that machines share"),
        (("-p", "faq_tuning", "--nodes", "0:2", "--gang", "tune_ranker=4"), "wants 4 nodes at"),
        (("-p", "faq_tuning", "--size", "Standard_D4_v5"), "did you mean Standard_D4s_v5?"),
        (("-p", "faq_tuning", "--size", "Standard_NC6s_v3"), "(there is one for eastus)"),
        (("-p", "faq_tuning", "--out", "plan.pdf"), "end its name with .png"),
        (("-p", "faq_tuning", "--out", "nowhere/plan.png"), "there is no folder nowhere"),
        (("-p", "faq_tuning", "-e", "base"), "has no planning.yml"),
    ],
)
def test_what_cannot_be_planned_is_told_in_one_line(run, rehearsed, arguments, said):
    assert said in error(run(*arguments))


def test_without_a_rehearsal_the_command_for_one_is_told(run):
    told = error(run("-p", "faq_tuning", "--nodes", "0:1"))
    assert "there is no rehearsal of 'faq_tuning' to take seconds from" in told
    assert (
        "run `kedro cloud rehearse -p faq_tuning`, or say them: --seconds prepare_pairs=…" in told
    )


def test_a_step_that_failed_in_the_rehearsal_is_named(run, rehearsed):
    content = json.loads(rehearsed.read_text())
    content["steps"]["judge_ranker"]["state"] = "failed"
    rehearsed.write_text(json.dumps(content))
    told = error(run("-p", "faq_tuning", "--nodes", "0:1"))
    assert told.endswith("or say them: --seconds judge_ranker=…")


def test_a_rehearsal_of_other_parameters_is_told(run, rehearsed):
    content = json.loads(rehearsed.read_text())
    content["steps"]["tune_ranker"]["fingerprint"] = "of step_nodes 3"
    rehearsed.write_text(json.dumps(content))
    result = run("-p", "faq_tuning", "--nodes", "0:1", "--replications", "2")
    assert "told otherwise since the rehearsal: tune_ranker;" in result.stdout


def test_a_cluster_without_a_size_is_named(run, rehearsed, project):
    def without(content):
        del content["cloud"]["clusters"]["cpu-cluster"]

    edit(project / "conf/azureml/cloud.yml", without)
    told = error(run("-p", "faq_tuning"))
    assert "cluster 'cpu-cluster', which azureml.yml names, is not among" in told


def test_a_file_that_cannot_be_understood_names_the_setting(run, rehearsed, project):
    def backwards(content):
        content["planning"]["scale_up"]["seconds"] = {"uniform": [480, 180]}
        content["planning"]["evictions"]["per_hour"] = -0.5
        content["planning"]["typo"] = 1

    edit(project / "conf/azureml/planning.yml", backwards)
    told = error(run("-p", "faq_tuning"))
    assert "planning.scale_up.seconds: uniform [480.0, 180.0]: its numbers go from low" in told
    assert "planning.evictions.per_hour: Input should be greater than or equal to 0" in told
    assert "(given: -0.5)" in told
    assert "planning.typo: is no setting (given: 1)" in told


def test_a_verified_price_is_told_with_date_and_source(run, rehearsed, project):
    edit(project / "conf/azureml/cloud.yml", lambda said: said["cloud"].update(region="eastus"))
    result = run("-p", "faq_tuning", "--nodes", "0:1", "--replications", "2")
    assert "0.192 USD an hour in eastus (2026-11-21, SkyPilot's catalogue" in result.stdout
    assert "EXAMPLE" not in result.stdout


def test_every_price_and_limit_has_a_source():
    for name in ("prices", "planning"):
        text = (ROOT / f"conf/azureml/{name}.yml").read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        rows = content["prices"] if name == "prices" else content["planning"]["limits"].values()
        assert all(row["source"] for row in rows)
        if name == "prices":
            assert all(row.get("example") for row in rows if "example" in row["source"])
