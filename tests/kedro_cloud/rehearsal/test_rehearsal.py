"""A rehearsal must fail where a cluster would."""

import json
import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fake_jobs import QUICK, job, log, states
from kedro_cloud.jobs.job import Source, Step
from kedro_cloud.rehearsal import folders, rehearse


def test_outputs_of_a_step_are_inputs_of_the_next(place, code):
    report = rehearse(
        job(
            Step(
                "last", "cat ${{inputs.i}}/sub/a.txt; ls ${{inputs.i}}", {"i": Source("first", "o")}
            ),
            Step("first", "cd ${{outputs.o}}; mkdir sub empty; echo 7 > sub/a.txt", outputs=("o",)),
        ),
        code,
        place,
        **QUICK,
    )
    assert report.succeeded
    # Blob storage has no empty folders, so they are not passed on.
    assert log(place, "last") == "7\nsub\n"
    assert report.steps[1].output_bytes == 2
    assert [record.name for record in report.critical_path] == ["first", "last"]


def test_a_step_has_only_the_variables_of_a_cluster(place, code, monkeypatch):
    for name in ("AZURE_CLIENT_SECRET", "QUARTET_SECRET", "MLFLOW_TRACKING_TOKEN", "PYTHONPATH"):
        monkeypatch.setenv(name, "the caller's")
    settings = {"AZURE_STORAGE_CONNECTION_STRING": "azurite"}
    own = {"KEDRO_AZURE_RUNNER_CONFIG": "", "MINE": "2"}
    report = rehearse(
        job(Step("s", "env", environment_variables=own)), code, place, environment=settings
    )
    found = dict(line.split("=", 1) for line in log(place, "s").splitlines())
    assert "the caller's" not in found.values()
    (child,) = report.steps
    assert found["AZURE_STORAGE_CONNECTION_STRING"] == "azurite"
    assert (found["KEDRO_AZURE_RUNNER_CONFIG"], found["MINE"]) == ("", "2")
    assert found["AZUREML_ROOT_RUN_ID"] == report.run_id
    assert found["AZUREML_RUN_ID"] == found["MLFLOW_RUN_ID"] == child.run_id
    assert found["AZUREML_EXPERIMENT_NAME"] == found["MLFLOW_EXPERIMENT_NAME"] == "tests"
    assert found["MLFLOW_TRACKING_URI"] == place.tracking
    assert not Path(found["HOME"]).samefile(Path.home())
    assert not Path(found["TMPDIR"]).exists()
    known = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH", "KEDRO_CLOUD_STEP_REPORT"}
    of_shell = {"PWD", "SHLVL", "_", "OLDPWD"}
    tracking = {name for name in found if name.startswith(("AZUREML_", "MLFLOW_"))}
    assert found.keys() - known - of_shell - tracking - own.keys() == {
        "AZURE_STORAGE_CONNECTION_STRING"
    }


def test_each_step_runs_a_new_copy_of_the_snapshot(place, code):
    look = "python -m which; ls; touch src/made.py"
    report = rehearse(job(Step("a", look), Step("b", look)), code, place, processes=1)
    assert report.succeeded
    assert log(place, "a") == log(place, "b") == "snapshot\nsrc\n"
    assert [path.name for path in (code / "src").iterdir()] == ["which.py"]


def test_independent_steps_run_together(place, code, outside):
    def meet(mine, other):
        wait = (
            f"for i in $(seq 600); do [ -e {outside}/{other} ] && exit 0; sleep 0.1; done; exit 1"
        )
        return Step(mine, f"touch {outside}/{mine}; {wait}")

    assert rehearse(job(meet("a", "b"), meet("b", "a")), code, place, **QUICK).succeeded


def test_the_number_of_processes_is_limited(place, code, outside):
    alone = f"mkdir {outside}/busy && sleep 0.3 && rmdir {outside}/busy"
    steps = [Step(name, alone) for name in "abc"]
    assert rehearse(job(*steps), code, place, processes=1).succeeded


@pytest.mark.parametrize(
    ("command", "change"),
    [
        ("echo 8 > a.txt", "a.txt was changed"),
        ("rm a.txt", "a.txt was deleted"),
        ("touch b.txt", "b.txt was created"),
        ("chmod u+w . a.txt 2>/dev/null; rm -f a.txt; mkdir c", "a.txt was deleted, c was created"),
    ],
)
def test_an_input_cannot_be_written(place, code, tmp_path, command, change):
    report = rehearse(
        job(
            Step("maker", "echo 7 > ${{outputs.o}}/a.txt", outputs=("o",)),
            Step("writer", "cd ${{inputs.i}}; " + command, {"i": Source("maker", "o")}, ("o",)),
        ),
        code,
        place,
        **QUICK,
    )
    (failed,) = report.failed
    assert failed.name == "writer"
    (tmp_path / "locked").mkdir(mode=0o555)
    is_writable = os.access(tmp_path / "locked", os.W_OK)  # for root
    changed = f"it changed its input 'i', which is read-only on a cluster: {change}"
    exited = "it ended with exit code 1"
    assert failed.fault == (changed if is_writable or "chmod" in command else exited)


def test_a_change_to_an_input_is_invisible_to_other_steps(place, code):
    report = rehearse(
        job(
            Step("maker", "touch ${{outputs.o}}/a.txt", outputs=("o",)),
            Step("writer", "touch ${{inputs.i}}/b.txt", {"i": Source("maker", "o")}),
            Step("reader", "sleep 0.5; ls ${{inputs.i}}", {"i": Source("maker", "o")}),
        ),
        code,
        place,
        **QUICK,
    )
    assert states(report) == {"maker": "finished", "writer": "failed", "reader": "finished"}
    assert log(place, "reader") == "a.txt\n"


@pytest.mark.parametrize(("instances", "processes"), [(1, 1), (3, 1), (2, 2)])
def test_a_distributed_step_has_all_ranks_and_a_copy_of_the_code_per_machine(
    place, code, instances, processes
):
    command = (
        "touch here-$OMPI_COMM_WORLD_RANK;"
        " echo $OMPI_COMM_WORLD_SIZE $PWD $PYTHONPATH > ${{outputs.o}}/$OMPI_COMM_WORLD_RANK"
    )
    step = Step(
        "search",
        command,
        outputs=("o",),
        mpi=True,
        instances=instances,
        processes_per_instance=processes,
    )
    report = rehearse(job(step), code, place, **QUICK)
    assert report.succeeded, log(place, "search")
    folder = report.steps[0].folder
    lines = {int(path.name): path.read_text().split() for path in (folder / "outputs/o").iterdir()}
    assert lines.keys() == set(range(instances * processes))
    assert {size for size, _, _ in lines.values()} == {str(instances * processes)}
    machines = {where for _, where, _ in lines.values()}
    assert len(machines) == instances
    assert all(path == f"{where}/src" for _, where, path in lines.values())
    for rank, (_, where, _) in lines.items():
        assert (Path(where) / f"here-{rank}").exists()
        assert len(list(Path(where).glob("here-*"))) == processes


def test_each_step_has_a_child_run_of_the_job(place, code):
    report = rehearse(job(Step("good", "true"), Step("bad", "false")), code, place, **QUICK)
    client = MlflowClient(place.tracking)
    runs = {record.name: client.get_run(record.run_id) for record in report.steps}
    assert client.get_run(report.run_id).info.status == "FAILED"
    assert {name: run.info.status for name, run in runs.items()} == {
        "good": "FINISHED",
        "bad": "FAILED",
    }
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {report.run_id}


def test_the_report_has_start_up_and_memory_of_a_step(place, code, tmp_path):
    """The step holds its memory until the rehearsal has measured it."""
    measured = tmp_path / "measured"

    def show(records):
        if any((record.peak_mib or 0) > 200 for record in records):
            measured.touch()

    report = {"startup_s": 1.5, "startup_mib": 200, "work_s": 2, "peak_mib": 0}
    write = f"echo '{json.dumps(report)}' > $KEDRO_CLOUD_STEP_REPORT; "
    wait = f"while not os.path.exists('{measured}'): time.sleep(0.05)"
    hold = f'python -c "import os, time\nheld = bytearray(200 * 2**20)\n{wait}"'
    (record,) = rehearse(job(Step("s", write + hold)), code, place, **QUICK, show=show).steps
    assert (record.startup_s, record.startup_mib) == (1.5, 200)
    assert 200 < record.peak_mib < 300


def test_folders_are_copied_where_they_cannot_be_linked(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    (tmp_path / "made").mkdir()
    (tmp_path / "made/a.txt").write_text("7")
    monkeypatch.setattr(folders.os, "link", refuse)
    folders.mount(tmp_path / "made", tmp_path / "shown")
    assert (tmp_path / "shown/a.txt").read_text() == "7"
    assert (tmp_path / "made/a.txt").stat().st_ino != (tmp_path / "shown/a.txt").stat().st_ino
