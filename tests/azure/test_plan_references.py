"""The plan must come to the advice of the reference architectures, and say where it differs."""

import numpy as np
import pytest
from kedro.framework.startup import bootstrap_project

from azure import reference_plans
from quartet.azure.planning.comparing import Nodes, cheapest, compare, crossing_interval
from quartet.azure.planning.distributions import Distribution
from quartet.azure.planning.simulation import simulate
from quartet.azure.planning.tables import roughly
from quartet.azure.planning.work import Arrivals, Delays, Machines, Scenario, StepWork
from support import ROOT

bootstrap_project(ROOT)
PAGE = ROOT / "docs/explanation/planning.md"


@pytest.fixture(scope="module")
def tuning_rows():
    return reference_plans.tuning_rows()


def test_96_tuning_runs_want_16_machines(tuning_rows):
    quickest = {str(row.nodes): reference_plans.search_s(row) for row in tuning_rows}
    costs = {str(row.nodes): row.cost for row in tuning_rows}
    assert [name for name, seconds in quickest.items() if seconds <= 3600] == ["0:16"]
    assert quickest["0:1"] / quickest["0:16"] > 10
    assert costs["0:16"] < 1.3 * costs["0:1"]  # sixteen machines for a sixteenth of the time


def test_the_cheapest_that_is_quick_enough_is_chosen(tuning_rows):
    chosen = {limit: str(cheapest(tuning_rows, limit).nodes) for limit in (None, 5 * 3600, 4200)}
    assert chosen == {None: "0:1", 5 * 3600: "0:2", 4200: "0:8"}
    assert cheapest(tuning_rows, 600) is None


def test_hourly_scoring_pays_for_idle_machines():
    one, two, standing = reference_plans.hourly_rows()
    assert [str(row.nodes) for row in (one, two, standing)] == ["0:1", "0:2", "2:2"]
    assert standing.cost == pytest.approx(2 * 24 * reference_plans.CPU_HOURLY, rel=0.01)
    assert standing.cost > 2.5 * two.cost
    wait = two.time_p50_s - standing.time_p50_s
    assert 300 < wait < 600  # what the money buys: machines need not come


def test_machines_that_stay_are_never_cheaper_than_as_many_that_come():
    _, two, standing = reference_plans.hourly_rows()
    assert crossing_interval(two.scenario, standing.scenario, 1) is None


@pytest.mark.parametrize("idle_s", [120.0, 600.0])
def test_the_crossing_point_is_where_arithmetic_puts_it(idle_s):
    """Two that come are paid for image, step and idle time, twice; one that stays for it all."""
    fixed = (Distribution("fixed", (seconds,)) for seconds in (200.0, 60.0, 40.0))
    step = StepWork("score", "c", seconds=2 * 100.0, pieces=2, nodes=None)
    come, stays = (
        Scenario((Machines("c", least, most, idle_s, hourly=1.0),), (step,), delays=Delays(*delays))
        for delays in [tuple(fixed)]
        for least, most in ((0, 2), (1, 1))
    )
    expected = 2 * (60 + 40 + 100 + idle_s)
    assert crossing_interval(come, stays, 1) == pytest.approx(expected, rel=0.06)


def test_more_machines_make_the_projects_own_scoring_slower():
    one, two, standing = reference_plans.scoring_rows()
    assert one.time_p50_s < two.time_p50_s
    assert one.cost < two.cost < standing.cost
    assert reference_plans.scoring_crossing() == pytest.approx(30 * 60, rel=0.1)


def test_a_video_takes_what_was_measured_on_four_machines():
    """The step overhead was taken from this very run: what is tested is that all adds up to it."""
    times = simulate(reference_plans.video(), 400, seed=42).times()
    assert times.mean() == pytest.approx(reference_plans.MEASURED_VIDEO_S, rel=0.02)
    work = 65.8 + 119.4 + 85.6
    assert 1 - work / times.mean() == pytest.approx(0.57, abs=0.02)


def test_without_overhead_a_video_takes_its_work_alone():
    times = simulate(reference_plans.video(overhead=False), 3, seed=42).times()
    assert times == pytest.approx(np.full(3, 65.8 + 119.4 + 85.6))


def test_a_fifth_machine_hardly_helps_where_overhead_rules():
    four, eight = (
        simulate(reference_plans.video(nodes=nodes), 100, seed=42).times().mean()
        for nodes in (4, 8)
    )
    assert 0.85 * four < eight < four


def test_jobs_that_come_faster_than_they_are_done_are_told():
    step = StepWork("restyle", "c", seconds=450.0)
    scenario = Scenario((Machines("c"),), (step,), Arrivals("poisson", 100.0, horizon_s=86_400))
    full = {str(row.nodes): bool(row.full) for row in compare(scenario, "c", [Nodes(0, 6)], 3, 1)}
    assert full == {"0:1": True, "0:2": True, "0:3": True, "0:4": True, "0:5": False, "0:6": False}


def test_the_page_shows_these_figures():
    text = PAGE.read_text(encoding="utf-8")
    missing = [line for line in reference_plans.table() if line not in text]
    assert not missing
    interval = reference_plans.scoring_crossing()
    assert interval is not None
    assert f"every {roughly(interval)}" in text
