"""A rehearsal must be as unforgiving as a cluster, or what it lets pass fails there."""

import json
import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fake_jobs import QUICK, job, log, states
from kedro_cloud.jobs.job import Source, Step
from kedro_cloud.rehearsal import folders, rehearse


def test_what_a_step_writes_the_next_one_reads(place, code):
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
    # Blob storage knows no empty folders, so none comes along.
    assert log(place, "last") == "7\nsub\n"
    assert report.steps[1].output_bytes == 2
    assert [record.name for record in report.critical_path] == ["first", "last"]


def test_a_step_sees_nothing_of_the_caller_but_what_a_cluster_sets(place, code, monkeypatch):
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
    shells_own = {"PWD", "SHLVL", "_", "OLDPWD"}
    told = {name for name in found if name.startswith(("AZUREML_", "MLFLOW_"))}
    assert found.keys() - known - shells_own - told - own.keys() == {
        "AZURE_STORAGE_CONNECTION_STRING"
    }


def test_the_snapshots_own_code_runs_and_each_step_has_it_fresh(place, code):
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


def test_no_more_run_together_than_wanted(place, code, outside):
    alone = f"mkdir {outside}/busy && sleep 0.3 && rmdir {outside}/busy"
    steps = [Step(name, alone) for name in "abc"]
    assert rehearse(job(*steps), code, place, processes=1).succeeded


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        ("echo 8 > a.txt", "a.txt was changed"),
        ("rm a.txt", "a.txt is gone"),
        ("touch b.txt", "b.txt is new"),
        ("chmod u+w . a.txt 2>/dev/null; rm -f a.txt; mkdir c", "a.txt is gone, c is new"),
    ],
)
def test_an_input_cannot_be_written(place, code, tmp_path, harm, what):
    report = rehearse(
        job(
            Step("maker", "echo 7 > ${{outputs.o}}/a.txt", outputs=("o",)),
            Step("vandal", "cd ${{inputs.i}}; " + harm, {"i": Source("maker", "o")}, ("o",)),
        ),
        code,
        place,
        **QUICK,
    )
    (failed,) = report.failed
    assert failed.name == "vandal"
    (tmp_path / "locked").mkdir(mode=0o555)
    is_free_to_write = os.access(tmp_path / "locked", os.W_OK)  # as root is
    noticed = f"it changed its input 'i', which is read-only on a cluster: {what}"
    refused = "it ended with exit code 1"
    assert failed.fault == (noticed if is_free_to_write or "chmod" in harm else refused)


def test_what_one_step_adds_to_its_input_no_other_sees(place, code):
    report = rehearse(
        job(
            Step("maker", "touch ${{outputs.o}}/a.txt", outputs=("o",)),
            Step("vandal", "touch ${{inputs.i}}/b.txt", {"i": Source("maker", "o")}),
            Step("honest", "sleep 0.5; ls ${{inputs.i}}", {"i": Source("maker", "o")}),
        ),
        code,
        place,
        **QUICK,
    )
    assert states(report) == {"maker": "finished", "vandal": "failed", "honest": "finished"}
    assert log(place, "honest") == "a.txt\n"


@pytest.mark.parametrize(("instances", "processes"), [(1, 1), (3, 1), (2, 2)])
def test_a_gang_has_its_ranks_and_each_machine_its_own_code(place, code, instances, processes):
    tell = (
        "touch here-$OMPI_COMM_WORLD_RANK;"
        " echo $OMPI_COMM_WORLD_SIZE $PWD $PYTHONPATH > ${{outputs.o}}/$OMPI_COMM_WORLD_RANK"
    )
    gang = Step(
        "gang",
        tell,
        outputs=("o",),
        mpi=True,
        instances=instances,
        processes_per_instance=processes,
    )
    report = rehearse(job(gang), code, place, **QUICK)
    assert report.succeeded, log(place, "gang")
    folder = report.steps[0].folder
    told = {int(path.name): path.read_text().split() for path in (folder / "outputs/o").iterdir()}
    assert told.keys() == set(range(instances * processes))
    assert {size for size, _, _ in told.values()} == {str(instances * processes)}
    machines = {where for _, where, _ in told.values()}
    assert len(machines) == instances
    assert all(path == f"{where}/src" for _, where, path in told.values())
    for rank, (_, where, _) in told.items():
        assert (Path(where) / f"here-{rank}").exists()
        assert len(list(Path(where).glob("here-*"))) == processes


def test_each_step_has_a_run_below_that_of_the_job(place, code):
    report = rehearse(job(Step("good", "true"), Step("bad", "false")), code, place, **QUICK)
    client = MlflowClient(place.tracking)
    runs = {record.name: client.get_run(record.run_id) for record in report.steps}
    assert client.get_run(report.run_id).info.status == "FAILED"
    assert {name: run.info.status for name, run in runs.items()} == {
        "good": "FINISHED",
        "bad": "FAILED",
    }
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {report.run_id}


def test_what_a_step_tells_of_its_start_and_its_memory_is_in_the_report(place, code, tmp_path):
    """It holds the memory until that has been noticed."""
    noticed = tmp_path / "noticed"

    def show(records):
        if any((record.peak_mib or 0) > 200 for record in records):
            noticed.touch()

    told = {"startup_s": 1.5, "startup_mib": 200, "work_s": 2, "peak_mib": None}
    tell = f"echo '{json.dumps(told)}' > $KEDRO_CLOUD_STEP_REPORT; "
    wait = f"while not os.path.exists('{noticed}'): time.sleep(0.05)"
    hold = f'python -c "import os, time\nheld = bytearray(200 * 2**20)\n{wait}"'
    (record,) = rehearse(job(Step("s", tell + hold)), code, place, **QUICK, show=show).steps
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
