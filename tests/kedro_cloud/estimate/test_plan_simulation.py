"""The simulation must agree with theory, or the bill will not be what was planned."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedro_cloud.estimate.plans import (
    NodeRange,
    Workload,
    estimate,
    find_break_even_s,
    solve_break_even_s,
)
from kedro_cloud.estimate.simulation import (
    Overheads,
    PricedCluster,
    StepWork,
    find_critical_path,
    mean,
    simulate,
)

NONE = Overheads()


def fixed(seconds):
    return (seconds, seconds, seconds)


def staying(nodes):
    return PricedCluster("c", min_nodes=nodes, max_nodes=nodes)


def drawn(seed):
    chance = random.Random(seed)
    return lambda bounds: chance.triangular(bounds[0], bounds[2], bounds[1])


@pytest.mark.parametrize(("service_s", "growth_s"), [(9, 0.0), (12, 2.0)])
def test_jobs_at_equal_intervals_wait_for_those_before_them(service_s, growth_s):
    """D/D/1: each job waits for what the jobs before it take longer than the interval."""
    arrivals = [10.0 * job for job in range(20)]
    steps = [StepWork("work", "c", seconds=service_s)]
    found = simulate(steps, [staying(1)], NONE, arrivals=arrivals).makespans_s
    assert found == pytest.approx([service_s + growth_s * job for job in range(20)])


@settings(max_examples=40)
@given(st.lists(st.floats(0.01, 1000), min_size=1, max_size=60), st.integers(1, 12))
def test_independent_steps_are_scheduled_within_grahams_bound(seconds, nodes):
    steps = [StepWork(f"trial_{i}", "c", seconds=s) for i, s in enumerate(seconds)]
    result = simulate(steps, [staying(nodes)], NONE)
    share = math.fsum(seconds) / nodes
    (makespan,) = result.makespans_s
    assert makespan >= max(share, *seconds) * (1 - 1e-9)
    assert makespan <= (share + (1 - 1 / nodes) * max(seconds)) * (1 + 1e-9)  # Graham 1966
    for moment in [run.start_s for run in result.runs]:
        assert sum(run.start_s <= moment < run.end_s for run in result.runs) <= nodes


@pytest.mark.parametrize(("trials", "nodes", "rounds"), [(96, 16, 6), (97, 16, 7), (3, 8, 1)])
def test_equal_trials_need_as_many_rounds_as_there_are(trials, nodes, rounds):
    steps = [StepWork(f"trial_{i}", "c", seconds=10.0) for i in range(trials)]
    assert simulate(steps, [staying(nodes)], NONE).makespans_s == pytest.approx((10.0 * rounds,))


def test_ranks_share_the_work_of_a_step():
    step = StepWork("tune", "c", seconds=240.0, startup_s=5.0, is_shared=True, ranks=2)
    assert simulate([step], [staying(4)], NONE).makespans_s == pytest.approx((5.0 + 30.0,))


def test_a_node_is_paid_from_its_arrival_until_its_idle_time_is_over():
    cluster = PricedCluster("c", max_nodes=3, idle_s=300.0)
    overheads = Overheads(fixed(240.0), fixed(50.0), fixed(20.0))
    step = StepWork("tune", "c", seconds=300.0, startup_s=7.0, is_shared=True)
    result = simulate([step], [cluster], overheads)
    assert result.makespans_s == pytest.approx((240 + 50 + 20 + 7 + 100,))
    assert result.paid_s["c"] == pytest.approx([50 + 20 + 7 + 100 + 300] * 3)
    assert result.busy_s("c") == pytest.approx(3 * 177)


def test_the_node_that_was_busy_last_is_used_so_that_the_other_can_leave():
    steps = [
        StepWork("short", "c", seconds=10.0),
        StepWork("long", "c", seconds=50.0),
        StepWork("last", "c", needs=("short", "long"), seconds=50.0),
    ]
    result = simulate(steps, [PricedCluster("c", max_nodes=2, idle_s=100.0)], NONE)
    assert sorted(result.paid_s["c"]) == pytest.approx([10 + 100, 50 + 50 + 100])


@pytest.mark.parametrize(("interval_s", "second_wait_s"), [(500, 0.0), (700, 200.0)])
def test_a_job_finds_a_node_only_while_it_is_idle(interval_s, second_wait_s):
    cluster = PricedCluster("c", idle_s=250.0)
    steps = [StepWork("score", "c", seconds=100.0)]
    result = simulate(steps, [cluster], Overheads(fixed(200.0)), arrivals=(0.0, interval_s))
    assert result.makespans_s == pytest.approx((300.0, 100.0 + second_wait_s))
    # The node that left in between is paid for its idle time, but not for the gap.
    paid = interval_s + 100 + 250 - 200 if not second_wait_s else 2 * 350
    assert sum(result.paid_s["c"]) == pytest.approx(paid)


def test_nodes_wait_for_the_last_of_their_gang():
    cluster = PricedCluster("c", max_nodes=8, idle_s=60.0)
    step = StepWork("tune", "c", seconds=8.0, is_shared=True)
    for seed in range(20):
        result = simulate([step], [cluster], Overheads((0.0, 2500.0, 5000.0)), drawn(seed))
        (run,) = result.runs
        assert run.nodes == len(result.paid_s["c"]) == 8  # none left and had to come again
        # The last to arrive is paid for the work and its idle time, the others wait for it.
        assert min(result.paid_s["c"]) == pytest.approx(1 + 60)
        assert max(result.paid_s["c"]) > 500


def test_a_gang_is_not_overtaken_by_a_later_step():
    steps = [
        StepWork("small", "c", seconds=30.0),
        StepWork("first", "c", seconds=10.0),
        StepWork("gang", "c", seconds=40.0, is_shared=True),
        StepWork("late", "c", needs=("first",), seconds=30.0),
    ]
    # small 0-30, first 0-10, gang 30-40 although three nodes were free at 10, late 40-70
    assert simulate(steps, [staying(4)], NONE).makespans_s == pytest.approx((70.0,))


def test_steps_wait_for_what_they_need_along_the_critical_path():
    steps = [
        StepWork("a", "cpu", seconds=10.0),
        StepWork("b", "gpu", needs=("a",), seconds=80.0, is_shared=True),
        StepWork("c", "cpu", needs=("a",), seconds=5.0),
        StepWork("d", "cpu", needs=("b", "c"), seconds=1.0),
    ]
    clusters = [PricedCluster("cpu", 1, 1), PricedCluster("gpu", 0, 4)]
    result = simulate(steps, clusters, Overheads(fixed(200.0), fixed(60.0), fixed(5.0)))
    a, b, d = 10 + 5, 200 + 60 + 5 + 20, 5 + 1
    assert result.makespans_s == pytest.approx((a + b + d,))
    path = find_critical_path(result.runs)
    assert [run.step.name for run in path] == ["a", "b", "d"]
    assert [run.end_s - run.ready_s for run in path] == pytest.approx([a, b, d])


@settings(max_examples=40)
@given(
    minimum=st.integers(0, 2),
    more=st.integers(1, 4),
    interval_s=st.floats(50, 2000),
    seed=st.integers(0, 10**6),
)
def test_all_steps_run_and_all_nodes_are_paid(minimum, more, interval_s, seed):
    cluster = PricedCluster("c", minimum, minimum + more)
    steps = [
        StepWork("a", "c", seconds=300.0, is_shared=True),
        StepWork("b", "c", needs=("a",), seconds=60.0),
        StepWork("c", "c", needs=("a",), seconds=90.0),
    ]
    overheads = Overheads((0.0, 100.0, 400.0), (10.0, 30.0, 50.0), fixed(10.0), (0.8, 1.0, 1.2))
    arrivals = [interval_s * job for job in range(6)]
    result = simulate(steps, [cluster], overheads, drawn(seed), arrivals)
    assert len(result.runs) == 3 * len(arrivals)
    for moment in [run.start_s for run in result.runs]:
        at_once = sum(run.nodes for run in result.runs if run.start_s <= moment < run.end_s)
        assert at_once <= cluster.max_nodes
    end = max(run.end_s for run in result.runs)
    assert result.busy_s("c") <= sum(result.paid_s["c"]) * (1 + 1e-9)
    assert sum(result.paid_s["c"]) <= cluster.max_nodes * (end + cluster.idle_s)
    assert all(makespan >= 20 + 0.8 * (50 + 90) for makespan in result.makespans_s)


@given(st.lists(st.floats(1, 1e5), min_size=1, max_size=12), st.integers(1, 12))
def test_at_the_break_even_both_cost_the_same(paid_s, nodes):
    interval = solve_break_even_s(paid_s, nodes)
    if len(paid_s) <= nodes:
        assert interval is None
        return
    assert math.fsum(min(each, interval) for each in paid_s) == pytest.approx(nodes * interval)
    for often, is_cheaper in ((0.9 * interval, False), (1.1 * interval, True)):
        scaling = math.fsum(min(each, often) for each in paid_s)
        assert (scaling < nodes * often * (1 - 1e-9)) == is_cheaper


@pytest.mark.parametrize("idle_s", [120.0, 600.0])
def test_the_break_even_agrees_with_a_simulated_day(idle_s):
    overheads = Overheads(fixed(200.0), fixed(60.0), fixed(40.0))
    step = StepWork("score", "c", seconds=200.0, is_shared=True)
    clusters = (PricedCluster("c", idle_s=idle_s, hourly=1.0),)
    paid = simulate([step], [PricedCluster("c", 0, 2, idle_s)], overheads).paid_s["c"]
    interval = solve_break_even_s(paid, 1)
    assert interval == pytest.approx(2 * (60 + 40 + 100 + idle_s))
    for factor, is_cheaper in ((0.98, False), (1.1, True)):
        daily = Workload((step,), clusters, overheads, factor * interval)
        scaling, stay = (estimate(daily, NodeRange(*n), 1).cost for n in ((0, 2), (1, 1)))
        assert (scaling < stay) == is_cheaper
        assert stay == pytest.approx(24.0)


def test_a_break_even_at_which_jobs_would_overlap_is_none():
    steps = (
        StepWork("a", "c", seconds=900.0),
        StepWork("b", "c", needs=("a",), seconds=160.0, is_shared=True),
    )
    workload = Workload(steps, (PricedCluster("c", idle_s=60.0),), NONE)
    scaling, one, three = (estimate(workload, NodeRange(*n), 1) for n in ((0, 4), (1, 1), (3, 3)))
    assert find_break_even_s(one, scaling, 1) == pytest.approx(1000 + 3 * 100)
    assert find_break_even_s(three, scaling, 1) is None  # 150 s, but a job takes 953 s


def test_jobs_that_come_faster_than_they_end_are_reported():
    workload = Workload((StepWork("style", "c", seconds=450.0),), (staying(1),), NONE, 100.0)
    sizes = [estimate(workload, NodeRange(0, nodes), 1) for nodes in (4, 5)]
    assert [each.is_saturated for each in sizes] == [True, False]


def test_the_same_seed_gives_the_same_estimate():
    overheads = Overheads((180.0, 300.0, 480.0))
    workload = Workload((StepWork("a", "c", seconds=9.0),), (PricedCluster("c"),), overheads)
    first, again, other = (estimate(workload, NodeRange(0, 1), seed) for seed in (1, 1, 2))
    assert first == again
    assert first.p50_s != other.p50_s
    assert first.p50_s == pytest.approx(mean(overheads.scale_up_s) + 9, rel=0.05)


def test_sizes_double_up_to_the_maximum():
    assert [str(size) for size in NodeRange(0, 12).sizes()] == ["0:1", "0:2", "0:4", "0:8", "0:12"]
    assert [str(size) for size in NodeRange(4, 4).sizes()] == ["4:4"]
