"""`kedro cloud watch` must process each file once, and report results and errors."""

import io
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.numpy import save_file

from control_plane.documents import WORKSPACE_ID, completed
from control_plane.runs import Moment
from kedro_cloud.cli.watch import watch
from kedro_cloud.core.cloud_settings import cloud_settings
from kedro_cloud.trigger import display
from kedro_cloud.trigger.files import WatchedFile
from kedro_cloud.trigger.locations import ArrivedFile
from kedro_cloud.trigger.settings import FileTrigger
from projects import furnish, make_project
from published import call as call_in
from published import error_of
from quartet.style.check import check_video
from quartet.style.network import StyleNetwork
from quartet.style.probe import plan_video
from style.videos import KEYS, write_video
from submitted import read_submitted
from support import ROOT, bootstrap, make_workspace, run_kedro

bootstrap()
ENDPOINT = f"{WORKSPACE_ID}/batchEndpoints/style-transfer"
COMPONENT = f"{WORKSPACE_ID}/components/style-transfer/versions/1"


@pytest.fixture
def project(tmp_path):
    """Copy the configuration, without the catalogs of other pipelines."""
    others = shutil.ignore_patterns("faq_*", "mnist_*", "sensor_*", "anomaly_*", "*_data")
    shutil.copytree(ROOT / "conf", tmp_path / "project/conf", ignore=others)
    return tmp_path / "project"


@pytest.fixture
def work(commands, monkeypatch):
    """Start shell commands in place of `kedro run`."""
    started = "kedro_cloud.trigger.commands.kedro_run_command"
    monkeypatch.setattr(started, lambda trigger, params, file, work: commands.command(file, work))
    return commands


@pytest.fixture
def call(project, monkeypatch):
    monkeypatch.setattr("kedro_cloud.trigger.watch._TICK_SECONDS", 0.01)

    return partial(call_in, project, watch, "--every", "0.1")


def test_each_file_is_processed_once(call, folder, work):
    folder.put("a.mp4")
    first = call(str(folder.folder), "--once")
    assert first.exit_code == 0, first.output
    lines = first.stdout.splitlines()
    assert lines[0] == f"watching {folder.folder}"
    assert lines[1] == "a.mp4  running"
    assert lines[2].startswith("a.mp4  done  ")
    assert lines[3:] == ["1 done"]
    second = call(str(folder.folder), "--once")
    assert second.stdout.splitlines()[1:] == ["1 done"]
    assert work.recorded("started") == {"a.mp4": 1}


def test_poison_sets_the_exit_code_until_it_is_processed_again(call, folder, work):
    folder.put("bad.mp4")
    result = call(str(folder.folder), "--once")
    assert result.exit_code == 1
    assert "bad.mp4  failed  attempt 2, " in result.stdout
    *_, count, poison = result.stdout.splitlines()
    assert count == "1 poison"
    assert poison.startswith("  bad.mp4  poison  attempt 3, ")
    assert "bad.mp4: no video (log: " in poison
    assert call(str(folder.folder), "--once").exit_code == 1
    assert work.recorded("started") == {"bad.mp4": 3}
    again = call(str(folder.folder), "--once", "--again", "bad.mp4", "--again", "other.mp4")
    assert again.stdout.splitlines()[:2] == [
        "bad.mp4: marker removed; the file is processed again",
        "other.mp4: no marker",
    ]
    assert work.recorded("started") == {"bad.mp4": 6}


def test_a_dry_run_starts_nothing_and_writes_no_marker(call, folder, work):
    for name in ("a.mp4", "it's.mp4"):
        folder.put(name)
    result = call(str(folder.folder), "--dry-run")
    assert result.stdout.splitlines() == [
        "2 files, of which 1 would be started",
        "  a.mp4  would be started",
        "  it's.mp4  refused  its name has an apostrophe; rename it",
    ]
    assert result.exit_code == 0
    assert not work.recorded("started")
    assert not (folder.folder / ".started").exists()


def test_the_default_location_is_the_container_of_the_trigger(call, container, work):
    container.put("in/a.mp4")
    result = call("--once")
    assert result.stdout.splitlines()[0] == "watching abfs://videos"
    assert container.marker("in/a.mp4")["state"] == "done"
    assert call("abfs://videos/out", "--once").stdout.splitlines()[-1] == "no files"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such file or directory; check the path"),
        (["abfs://else"], "has no container 'else'; create it: az storage container create"),
        (["s3://videos"], "expected a folder, or abfs://CONTAINER/FOLDER"),
        (["--params", "video=a.mp4"], "--params: 'video' differs from file to file"),
        (["--params", "report_folder=a"], "--params: 'report_folder' differs from file to file"),
        (["--results", "abfs://videos"], "use another --results"),
        (["--start", "endpoint", "--results", "a"], "--results needs --start local"),
        (["--start", "rehearsal"], "a rehearsal cannot read it; watch a folder"),
        (["--start", "rehearsal", "--max-concurrent-runs", "2"], "run one after the other"),
        (["--start", "endpoint"], "workspace settings are missing"),
        (["-e", "base"], "environment 'base' has no cloud.yml"),
    ],
)
def test_an_error_is_reported_in_one_line(call, container, work, monkeypatch, arguments, message):
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    assert message in error_of(call("--once", *arguments))


def test_a_folder_is_not_watched_for_a_cluster(call, folder):
    message = error_of(call(str(folder.folder), "--start", "endpoint"))
    assert "a cluster cannot read it" in message


@pytest.fixture
def plane(plane, container, monkeypatch):
    """Return a workspace with the published pipeline, whose jobs end at once."""
    put = plane.resources.put
    declared = {"video": {"type": "string"}, "style": {"type": "string"}}
    spec = {"properties": {"componentSpec": {"inputs": declared}}}
    chosen = {"deploymentConfiguration": {"componentId": {"assetId": f"azureml:{COMPONENT}"}}}
    put(COMPONENT, spec)
    put(ENDPOINT, completed(ENDPOINT, {"properties": {"defaults": {"deploymentName": "v1"}}}))
    put(f"{ENDPOINT}/deployments/v1", {"properties": chosen})

    def put_ended(path, body):
        if "/jobs/" in path:
            bad = "bad" in str(body["properties"].get("inputs"))
            job = path.rpartition("/")[2]
            plane.runs.moments[job] = (Moment("Failed" if bad else "Completed"),)
        return put(path, body)

    monkeypatch.setattr(plane.resources, "put", put_ended)
    return plane


def jobs(plane):
    """Return the inputs of the started jobs."""
    found = plane.resources.members(f"{WORKSPACE_ID}/jobs")
    return sorted(
        tuple(given["value"] for given in job["properties"]["inputs"].values()) for job in found
    )


def test_the_endpoint_starts_a_job_for_each_video(call, container, plane):
    container.put("a.mp4")
    container.put("sub/bad.mp4")
    result = call("--once", "--start", "endpoint", "--params", "style=wave")
    assert result.exit_code == 1, result.output
    good, bad = ("abfs://videos/a.mp4", "wave"), ("abfs://videos/sub/bad.mp4", "wave")
    assert jobs(plane) == [good, bad, bad, bad]
    marker = container.marker("a.mp4")
    assert marker["state"] == "done"
    assert f"job {marker['job']}" in result.stdout
    assert container.marker("sub/bad.mp4")["reason"].endswith("ended as Failed")
    assert "1 done, 1 poison" in call("--once", "--start", "endpoint").stdout.splitlines()
    assert len(jobs(plane)) == 4


def test_a_job_whose_response_was_lost_is_found_again(call, container, plane, monkeypatch):
    container.put("a.mp4")
    with monkeypatch.context() as patch:
        patch.setattr("azure.ai.ml.entities.BatchJob._from_rest_object", raise_connection_error)
        assert call("--once", "--start", "endpoint").exit_code == 1
    assert (container.marker("a.mp4")["job"], len(jobs(plane))) == (None, 1)
    assert call("--once", "--start", "endpoint").exit_code == 0
    assert (container.marker("a.mp4")["state"], len(jobs(plane))) == ("done", 1)
    again = call("--once", "--start", "endpoint", "--again", "a.mp4")
    assert again.stdout.splitlines()[0] == "a.mp4: marker removed; the file is processed again"
    assert (container.marker("a.mp4")["state"], len(jobs(plane))) == ("done", 2)


def raise_connection_error(*_):
    raise OSError("the connection was closed")


def test_a_missing_endpoint_counts_no_attempt_of_a_video(call, container, plane):
    plane.resources.delete(ENDPOINT)
    container.put("a.mp4")
    error_of(call("--once", "--start", "endpoint"))
    marker = container.marker("a.mp4")
    assert (marker["state"], marker["attempts"]) == ("stopped", 0)


def test_an_input_unknown_to_the_endpoint_is_an_error(call, container, plane):
    message = error_of(call("--start", "endpoint", "--params", "smoothing=0.5"))
    assert "'style-transfer' has no input 'smoothing'; expected one of video, style" in message


def make_file(name, state, attempt=0, seconds=None, message=""):
    found = WatchedFile(ArrivedFile(name, name, "1", 7, 0))
    found.report(state, message, attempt, seconds)
    return found


def test_the_table_lists_running_files_first_and_escapes_control_characters():
    rows = [make_file(f"{number}.mp4", "done", 1, 2.0) for number in range(30)]
    rows.append(make_file("\x1b[2J.mp4", "refused", message="its name has a control character"))
    rows.append(make_file("a.mp4", "running", 1, 3.25, "40 %"))
    output = io.StringIO()
    Console(file=output, width=100, force_terminal=True, color_system=None).print(
        display.make_table(rows)
    )
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    assert lines[1].split() == ["a.mp4", "running", "1", "3.2", "s", "40", "%"]
    assert lines[2].startswith(r"\x1b[2J.mp4")
    assert lines[3].startswith("29.mp4")
    assert lines[-1] == "30 done, 1 refused, 1 running"
    assert len(lines) == 22


def test_a_job_is_submitted_for_each_file_as_kedro_azureml_run_does(
    plane, container, tmp_path, monkeypatch
):
    monkeypatch.setattr("kedro_cloud.trigger.watch._TICK_SECONDS", 0.01)
    project = make_project(tmp_path / "project")
    for folder in ("src", "data"):  # fewer files to upload
        shutil.rmtree(project / folder)
        (project / folder).mkdir()
    furnish(plane)
    container.put("monday/a, film.mp4")
    arguments = ("--once", "--every", "0.1", "--start", "job", "--params", "seed=7")
    result = call_in(project, watch, *arguments)
    assert result.exit_code == 0, result.output
    marker = container.marker("monday/a, film.mp4")
    (document,) = plane.resources.members(f"{WORKSPACE_ID}/jobs")
    assert (marker["state"], document["name"]) == ("done", marker["job"])
    job = read_submitted(plane, document)
    assert {step.name for step in job.steps} > {"plan_transfer", "stylize_segments"}
    given = '{"style": "starry_night", "seed": 7, "video": "abfs://videos/monday/a, film.mp4"}'
    assert all(f"--params='{given}'" in step.command for step in job.steps)


@pytest.mark.parametrize("results", ["stylized", "abfs://work/stylized"])
def test_results_are_written_to_the_folder_of_the_command_line(project, results):
    trigger = FileTrigger(project, "azureml", cloud_settings(project, "azureml"), results)
    file = ArrivedFile("monday/a.mp4", "abfs://videos/monday/a.mp4", "1", 7, 0.0)
    given = trigger.local_parameters(file, project / "work")
    root = results if "://" in results else f"{Path.cwd()}/{results}"
    assert given["stylized_folder"] == f"{root}/monday"
    assert f"{root}" in trigger.open_location(None).outputs


def test_a_line_is_written_for_each_change_of_state():
    output = io.StringIO()
    write = display.make_line_writer(output)
    done = make_file("old.mp4", "done", 1)
    write([done, make_file("a.mp4", "waiting")])
    write([done, make_file("a.mp4", "running", 1, 0.1, "4 %")])
    write([done, make_file("a.mp4", "running", 1, 0.3, "8 %")])
    write([done, make_file("a.mp4", "failed", 1, 1.91, "no\x1b[2J")])
    write([done, make_file("a.mp4", "running", 2, 0.1)])
    assert output.getvalue().splitlines() == [
        "a.mp4  running  4 %",
        r"a.mp4  failed  1.9 s  no\x1b[2J",
        "a.mp4  running  attempt 2",
    ]


def test_a_clip_in_a_container_is_stylized_by_the_real_pipeline(container, tmp_path):
    """Run two at once in a new project, so that both create its tracking database."""
    project = make_workspace(tmp_path / "project")
    trigger = project / "conf/azureml/cloud.yml"
    trigger.write_text(trigger.read_text().replace("attempts: 3 ", "attempts: 1 "))
    torch.manual_seed(0)
    weights = {name: value.numpy() for name, value in StyleNetwork(4).state_dict().items()}
    save_file(weights, project / "data/06_models/style/plain.safetensors")
    clip = write_video(tmp_path / "a film.mp4", 12, options=KEYS, sounds=["aac"])
    container.put("new, ones/a film.mp4", clip.read_bytes())
    container.put("bad.mp4", b"no video " * 99)
    quick = "style=plain,stylizing.workers=1,style_transfer.comparison_pairs=2"
    arguments = ("--once", "--every", "0.5", "--max-concurrent-runs", "2", "--params", quick)
    result = run_kedro(project, "cloud", "watch", *arguments)
    assert result.returncode == 1, result.stdout + result.stderr
    stylized = project / "data/07_model_output/style/stylized/new, ones/a film_plain.mp4"
    check_video(stylized, plan_video(clip, 64))
    assert str(stylized) in result.stdout
    assert container.marker("new, ones/a film.mp4")["state"] == "done"
    assert "cannot be read as a video" in container.marker("bad.mp4")["reason"]
    metrics = project / "data/08_reporting/style_transfer/new, ones/a film.mp4/metrics.json"
    assert metrics.exists()
