"""Each file starts the right run, and no process of it is left running."""

import json
import os
import signal
import subprocess
import sys
import time
from copy import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from kedro_cloud.cli.rehearse import rehearse
from kedro_cloud.core.cloud_settings import cloud_settings
from kedro_cloud.rehearsal.account import Upload
from kedro_cloud.trigger import protocol
from kedro_cloud.trigger.commands import command_starter, kedro_run_command, rehearse_command
from kedro_cloud.trigger.jobs import start_job
from kedro_cloud.trigger.locations import ArrivedFile
from kedro_cloud.trigger.runs import end_runs
from kedro_cloud.trigger.settings import FileTrigger
from kedro_cloud.trigger.watch import Watcher
from support import ROOT, bootstrap, clean_environment
from watched import ATTEMPTS, NOW, FakeClock, states

bootstrap()
FILE = ArrivedFile("monday/a, film.mp4", "/videos/monday/a, film.mp4", "1", 7, 0.0)
CLAIM = protocol.start_marker(FILE.address, FILE.version, NOW, "here:1:a")


def arrived(name):
    return ArrivedFile(name, f"/videos/{name}", "1", 7, 0.0)


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.01)
    return found


def test_a_successful_command_reports_its_results(commands):
    run = commands.start(arrived("a.mp4"))
    (run.work / "out").write_text('{"places": ["/results/a.mp4", "/results/b.mp4"]}')
    outcome = wait_until(run.outcome)
    assert (outcome.state, outcome.message) == ("done", "/results/a.mp4, /results/b.mp4")
    run.clean_up()
    assert not run.work.exists()


def test_a_failed_command_reports_the_reason_and_keeps_its_log(commands):
    run = commands.start(arrived("bad.mp4"))
    outcome = wait_until(run.outcome)
    assert outcome.state == "failed"
    assert outcome.message == f"bad.mp4: no video (log: {run.work / 'log.txt'})"


def test_a_killed_command_reports_the_signal(commands):
    run = commands.start(arrived("slow.mp4"))
    wait_until(lambda: commands.recorded("started"))
    os.killpg(run.process.pid, signal.SIGKILL)
    assert wait_until(run.outcome).message.startswith("ended by SIGKILL, as Linux does when memory")


def test_the_progress_is_read_from_the_last_progress_bar(commands):
    run = commands.start(arrived("slow.mp4"))
    (run.work / "log.txt").write_text("stylize:  30%|###  |\r\x1b[1mstylize:  41%|#### |")
    assert run.progress() == "41 %"
    run.kill()


def processes_of(commands):
    """Return the command lines of the processes that work on files."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(commands.folder) in line and "-m\0watched" not in line:
            found.append(line)
    return found


@pytest.fixture
def watching(folder, commands):
    """Yield the process of a watcher that works on two files."""
    for name in ("a.mp4", "b slow.mp4", "c slow.mp4"):
        folder.put(name)
    process = subprocess.Popen(
        [sys.executable, "-m", "watched", folder.address, str(commands.folder)],
        env={**clean_environment(), "PYTHONPATH": f"{ROOT / 'tests/kedro_cloud'}:{ROOT / 'src'}"},
    )
    try:
        wait_until(lambda: len(commands.recorded("started")) == 3)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_next_watcher_continues_after_one_was_killed_or_stopped(
    watching, folder, commands, number
):
    watching.send_signal(number)
    assert watching.wait() == (130 if number == signal.SIGINT else -signal.SIGKILL)
    wait_until(lambda: not processes_of(commands))
    (commands.folder / "go").touch()
    watcher = Watcher(folder.location(), commands.starter, ATTEMPTS, 2, every=0)

    def finished():
        watcher.scan()
        watcher.poll()
        return watcher.is_idle

    wait_until(finished)
    names = ("a.mp4", "b slow.mp4", "c slow.mp4")
    assert states(watcher) == dict.fromkeys(names, "done")
    assert commands.recorded("ended") == dict.fromkeys(names, 1)
    marker = folder.marker("b slow.mp4")
    assert marker["attempts"] == 0
    assert marker["interruptions"] == (number == signal.SIGKILL)


@pytest.fixture(scope="module")
def trigger():
    return FileTrigger(ROOT, "azureml", cloud_settings(ROOT, "azureml"))


def test_a_local_run_gets_the_file_and_its_own_folders(trigger, tmp_path):
    command = kedro_run_command(trigger, {"style": "wave", "stylizing": {"workers": 1}}, FILE,
                                tmp_path)  # fmt: skip
    assert command == [
        *(sys.executable, "-m", "kedro", "run", "--config", str(tmp_path / "run.json"))
    ]
    run = json.loads((tmp_path / "run.json").read_text())["run"]
    assert run == {
        "pipelines": "style_transfer",
        "params": {
            "style": "wave",
            "stylizing": {"workers": 1},
            "video": FILE.address,
            "transfer_folder": str(tmp_path),
            "stylized_folder": f"{ROOT}/data/07_model_output/style/stylized/monday",
            "report_folder": f"{ROOT}/data/08_reporting/style_transfer/{FILE.name}",
        },
    }
    assert trigger.work_folder == ROOT / "data/07_model_output/style/watched"
    assert trigger.summary_name == "output.json"
    assert trigger.variables == {"AZURE_STORAGE_ACCOUNT_NAME": "your-data-account"}


def test_a_rehearsal_uploads_the_file_to_its_own_storage_account(trigger, tmp_path):
    (tmp_path / "a=b").mkdir()
    path = tmp_path / "a=b/a, film.mp4"
    path.touch()
    file = ArrivedFile("a=b/a, film.mp4", str(path), "1", 7, 0.0)
    python, _, *arguments = rehearse_command(trigger, {"style": "wave"}, file, tmp_path / "0a1b")
    assert (python, arguments[:3]) == (sys.executable, ["kedro", "cloud", "rehearse"])
    options = rehearse.make_context("rehearse", arguments[3:]).params
    assert (options["env"], options["pipeline"]) == ("azureml", "style_transfer")
    address = "abfs://arrived/0a1b/a, film.mp4"
    assert options["params"] == {"style": "wave", "video": address}
    (upload,) = map(Upload.parse, options["uploads"])
    assert (upload.source, str(upload.target)) == (path, "arrived/0a1b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda local: {"local": None}, "trigger.local is missing"),
        (
            lambda local: {"local": local.model_copy(update={"summary": "misspelt"})},
            "dataset 'misspelt' is missing",
        ),
        (lambda local: {"outputs": ("misspelt",)}, "dataset 'misspelt' is missing"),
    ],
)
def test_an_invalid_setting_is_reported_before_a_run_starts(trigger, changes, message):
    changed = copy(trigger)
    changed.trigger = trigger.trigger.model_copy(update=changes(trigger.local))
    with pytest.raises(ValueError, match=f"^conf/azureml/cloud.yml: .*{message}"):
        command_starter(changed, {})
        changed.open_location(None)


class Service:
    """Replacement of an SDK client, whose jobs have the given statuses one after another."""

    def __init__(self, *statuses):
        self.statuses, self.requests, self.names = list(statuses), 0, set()
        self.jobs = self

    def get(self, name):
        if name not in self.names:
            raise ResourceNotFoundError(f"job {name}")
        self.requests += 1
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return SimpleNamespace(name=name, status=status)

    def submit(self, file, name):
        self.names.add(name)
        return SimpleNamespace(name=name)


def start(service, claim=CLAIM, clock=time, submit=None):
    run = start_job(service, 10, submit or service.submit, FILE, claim)
    run.clock = clock
    return run


@pytest.mark.parametrize(
    ("status", "state", "message"),
    [
        ("Completed", "done", ""),
        ("Failed", "failed", " ended as Failed"),
        ("NotResponding", "failed", " ended as NotResponding"),
        ("Canceled", "stopped", " ended as Canceled"),
    ],
)
def test_a_job_is_queried_at_intervals_until_it_has_ended(status, state, message):
    service, clock = Service("Running", "Running", status), FakeClock()
    run = start(service, clock=clock)
    for _ in range(2):
        assert run.outcome() is run.outcome() is None
        assert run.progress() == f"job {run.job} running"
        clock.sleep(10)
    assert run.outcome() == run.outcome()
    assert (run.outcome().state, run.outcome().message) == (state, f"job {run.job}{message}")
    assert service.requests == 3


def test_a_deleted_job_has_failed():
    service = Service("Running")
    run = start(service)
    service.names.clear()
    outcome = run.outcome()
    assert (outcome.state, outcome.message) == ("failed", f"job {run.job} ended as Deleted")


def test_an_attempt_has_one_job_for_all_watchers():
    service, fails = Service("Running"), lambda file, name: pytest.fail("started again")
    first = start(service)
    assert start(service, submit=fails).job == first.job  # no marker names it
    named = CLAIM.replace(job="batchjob-1")
    assert start(service, named, submit=fails).job == "batchjob-1"
    others = [CLAIM.replace(attempts=1), CLAIM.replace(series="another")]
    assert len({first.job, *(start(service, claim).job for claim in others)}) == 3


def test_a_rejection_by_azure_ml_is_a_failed_attempt():
    def submit(file, name):
        error = HttpResponseError("no")
        error.status_code = 400
        raise error

    outcome = start(Service(), submit=submit).outcome()
    message = "Azure ML rejected the file: Azure: no"
    assert (outcome.state, outcome.message) == ("failed", message)


def test_a_job_continues_when_its_watcher_ends():
    run = start(Service("Running"))
    end_runs([run], FakeClock())
    run.kill()
    assert run.outcome() is None
