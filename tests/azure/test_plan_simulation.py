"""The simulated cluster must do what theory says, or the bill will not be what was planned."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from azure.queueing import (
    erlang_c,
    mean_restarts,
    mean_time_with_restarts,
    mean_wait,
    share_waiting_longer,
)
from quartet.azure.planning.distributions import Distribution
from quartet.azure.planning.simulation import play, simulate
from quartet.azure.planning.work import (
    Arrivals,
    Delays,
    Machines,
    Scenario,
    StepWork,
    list_schedule,
)

EXPONENTIAL = Distribution("exponential", (1.0,))


def fixed(seconds):
    return Distribution("fixed", (float(seconds),))


ONCE = Arrivals()
NOTHING = Delays()


def one_step(machines, arrivals=ONCE, delays=NOTHING, **work):
    return Scenario((machines,), (StepWork("work", machines.name, **work),), arrivals, delays)


def standing(nodes, **other):
    return Machines("c", min_nodes=nodes, max_nodes=nodes, **other)


def waits(outcome):
    return np.concatenate([each.spent[0].waits_s for each in outcome.replications])


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (3, 0.8), (16, 0.8)])
def test_jobs_wait_as_long_as_erlang_says(servers, load):
    rate = load * servers
    scenario = one_step(
        standing(servers),
        Arrivals("poisson", 1 / rate, horizon_s=6000 / rate),
        seconds=1.0,
        spread=EXPONENTIAL,
    )
    outcome = simulate(scenario, 20, seed=1)
    mean = mean_wait(rate, 1.0, servers)
    longer = mean / erlang_c(rate, 1.0, servers)
    for count, expected in (
        (lambda waited: waited, mean),
        (lambda waited: waited > 0, erlang_c(rate, 1.0, servers)),
        # The mean would be the same in whatever order they are served, this is not.
        (lambda waited: waited > longer, share_waiting_longer(longer, rate, 1.0, servers)),
    ):
        found = [
            np.mean(count(np.array(each.spent[0].waits_s[500:]))) for each in outcome.replications
        ]
        error = np.std(found, ddof=1) / math.sqrt(len(found))
        assert np.mean(found) == pytest.approx(expected, abs=3.5 * error)
        assert error < 0.12 * expected  # else the line above says nothing


@pytest.mark.parametrize(("service", "expected"), [(9, 0.0), (12, 2.0)])
def test_jobs_at_equal_intervals_wait_for_those_before_them(service, expected):
    arrivals = Arrivals("every", 10.0, horizon_s=200.0)
    outcome = simulate(one_step(standing(1), arrivals, seconds=service), 1, seed=1)
    assert waits(outcome) == pytest.approx([expected * number for number in range(20)])
    assert outcome.times() == pytest.approx([service + expected * number for number in range(20)])


@settings(max_examples=60)
@given(
    st.lists(st.floats(0.01, 1000), min_size=1, max_size=60),
    st.integers(1, 12),
)
def test_pieces_are_shared_as_list_scheduling_does(durations, ranks):
    done = list_schedule(durations, ranks)
    mean = math.fsum(durations) / ranks
    assert max(done) >= max(mean, *durations) * (1 - 1e-9)
    assert max(done) <= (mean + (1 - 1 / ranks) * max(durations)) * (1 + 1e-9)  # Graham 1966
    for moment in done:  # never more pieces at once than ranks
        begun = [
            end - duration for duration, end in zip(durations, done, strict=True) if end >= moment
        ]
        assert sum(begin < moment - 1e-6 for begin in begun) <= ranks


@pytest.mark.parametrize(("pieces", "ranks", "rounds"), [(96, 16, 6), (97, 16, 7), (3, 8, 1)])
def test_equal_pieces_need_as_many_rounds_as_there_are(pieces, ranks, rounds):
    scenario = one_step(standing(ranks), seconds=10.0 * pieces, pieces=pieces, nodes=None)
    assert simulate(scenario, 1, seed=1).times() == pytest.approx([10.0 * rounds])


def interrupted(evictions_per_hour, delay_s=0.0, nodes=1, **work):
    delays = Delays(fixed(delay_s), fixed(0), fixed(0), evictions_per_hour)
    machines = Machines("c", max_nodes=nodes, low_priority=True)
    return one_step(machines, delays=delays, nodes=nodes, **work)


@pytest.mark.parametrize("nodes", [1, 4])
def test_a_gang_that_begins_again_takes_as_long_as_theory_says(nodes):
    rate = nodes * 0.5 / 3600
    outcome = simulate(interrupted(0.5, nodes=nodes, seconds=nodes * 3600, pieces=nodes), 3000, 7)
    restarts = [each.spent[0].restarts for each in outcome.replications]
    assert np.mean(restarts) == pytest.approx(
        mean_restarts(rate, 3600), abs=4 * np.std(restarts) / math.sqrt(3000)
    )
    times = outcome.times()
    assert times.mean() == pytest.approx(
        mean_time_with_restarts(rate, 3600, 0.0), abs=4 * times.std() / math.sqrt(3000)
    )


def test_each_restart_waits_for_a_new_machine():
    outcome = simulate(interrupted(0.5, delay_s=600, seconds=3600), 3000, 7)
    expected = 600 + mean_time_with_restarts(0.5 / 3600, 3600, 600.0)
    times = outcome.times()
    assert times.mean() == pytest.approx(expected, abs=4 * times.std() / math.sqrt(3000))


def test_finished_pieces_are_not_done_again():
    again = simulate(interrupted(1.0, seconds=7200, pieces=24), 2000, 7)
    kept = simulate(interrupted(1.0, seconds=7200, pieces=24, keeps=True), 2000, 7)
    expected = 24 * mean_time_with_restarts(1 / 3600, 300, 0.0)
    times = kept.times()
    assert times.mean() == pytest.approx(expected, abs=4 * times.std() / math.sqrt(2000))
    assert again.times().mean() > 2.5 * times.mean()


def test_dedicated_machines_are_not_taken_away():
    delays = Delays(evictions_per_hour=50.0)
    outcome = simulate(one_step(standing(2), delays=delays, seconds=36_000), 5, seed=1)
    assert outcome.mean("evictions") == 0


def test_paid_is_from_a_machines_coming_until_its_idle_time_is_over():
    machines = Machines("c", max_nodes=3, idle_seconds=300, hourly=36.0)
    delays = Delays(fixed(240), fixed(50), fixed(20))
    work = {"seconds": 3 * 100.0, "pieces": 3, "nodes": None, "startup_s": 7.0}
    (replication,) = simulate(one_step(machines, delays=delays, **work), 1, seed=1).replications
    assert replication.times_s == pytest.approx([240 + 50 + 20 + 7 + 100])
    assert replication.spent[0].paid_s == pytest.approx(3 * (50 + 20 + 7 + 100 + 300))
    assert replication.cost == pytest.approx(0.01 * 3 * 477)
    assert replication.end_s == pytest.approx(240 + 477)


@pytest.mark.parametrize(("interval", "second_wait"), [(400, 0.0), (600, 200.0)])
def test_a_job_finds_a_machine_only_while_it_is_idle_and_there(interval, second_wait):
    machines = Machines("c", max_nodes=1, idle_seconds=250)
    arrivals = Arrivals("every", interval, horizon_s=2 * interval)
    scenario = one_step(machines, arrivals, Delays(fixed(200)), seconds=100)
    assert waits(simulate(scenario, 1, seed=1)) == pytest.approx([200.0, second_wait])


def test_machines_wait_for_the_last_of_their_gang():
    """The first would have gone again before the last one came, and the gang waited for ever."""
    machines = Machines("c", max_nodes=8, idle_seconds=60)
    delays = Delays(Distribution("uniform", (0.0, 5000.0)))
    scenario = one_step(machines, delays=delays, seconds=8, pieces=8, nodes=8)
    for replication in simulate(scenario, 20, seed=1).replications:
        assert replication.spent[0].most_on == 8
        assert len(replication.times_s) == 1


def test_a_gang_is_not_passed_by_small_jobs():
    gang = StepWork("gang", "c", seconds=40, pieces=4, nodes=4)
    small = StepWork("small", "c", seconds=30)
    late = StepWork("late", "c", needs=("first",), seconds=30)
    first = StepWork("first", "c", seconds=10)
    scenario = Scenario((standing(4),), (small, first, gang, late))
    (replication,) = simulate(scenario, 1, seed=1).replications
    # 0-30 small, 10 first; the gang comes before `late`, which comes at 10: 30-40, then 40-70
    assert replication.times_s == pytest.approx([70.0])


def test_steps_wait_for_what_they_need_on_clusters_of_their_own():
    steps = (
        StepWork("a", "cpu", seconds=10),
        StepWork("b", "gpu", needs=("a",), seconds=4 * 20, pieces=4, nodes=4),
        StepWork("c", "cpu", needs=("a",), seconds=5),
        StepWork("d", "cpu", needs=("b", "c"), seconds=1),
    )
    cpu, gpu = (
        Machines(name, min_nodes=nodes, max_nodes=nodes) for name, nodes in (("cpu", 1), ("gpu", 4))
    )
    assert simulate(Scenario((cpu, gpu), steps), 1, seed=1).times() == pytest.approx([31.0])


def test_a_gang_larger_than_its_cluster_is_refused():
    with pytest.raises(ValueError, match=r"'work' wants 4 nodes at once, but cluster 'c' has 2"):
        simulate(one_step(standing(2), seconds=1, nodes=4), 1, seed=1)


@settings(max_examples=25)
@given(
    least=st.integers(0, 2),
    more=st.integers(1, 4),
    nodes=st.integers(1, 3),
    burst=st.integers(1, 4),
    evictions=st.just(0.0) | st.floats(1e-3, 4),
    seed=st.integers(0, 10**6),
)
@example(least=2, more=1, nodes=1, burst=1, evictions=4.0, seed=214056)  # ends while a node starts
def test_whatever_happens_all_is_done_and_paid_for(least, more, nodes, burst, evictions, seed):
    machines = Machines("c", least, least + more, low_priority=True, hourly=1.0)
    steps = (
        StepWork("a", "c", seconds=300, pieces=5, nodes=min(nodes, least + more), keeps=True),
        StepWork("b", "c", needs=("a",), seconds=60),
    )
    delays = Delays(Distribution("uniform", (0, 400)), fixed(30), fixed(10), evictions)
    scenario = Scenario((machines,), steps, Arrivals("poisson", 600, burst, 3600), delays)
    replication = play(scenario, np.random.SeedSequence(seed), trace=True)
    spent = replication.spent[0]
    assert len(spent.waits_s) == 2 * len(replication.times_s)
    assert all(seconds > 0 for seconds in replication.times_s)
    assert spent.busy_s <= spent.paid_s * (1 + 1e-9)
    assert spent.paid_s <= machines.max_nodes * replication.end_s * (1 + 1e-9)
    assert spent.most_on <= machines.max_nodes
    area = sum(
        there * (after - before)
        for (before, there, _), (after, _, _) in itertools.pairwise(
            [*spent.trace, (replication.end_s, 0, 0)]
        )
    )
    assert spent.paid_s == pytest.approx(area, abs=1e-6)
    assert all(0 <= busy <= there <= machines.max_nodes for _, there, busy in spent.trace)


def test_the_same_seed_plays_the_same():
    scenario = interrupted(0.3, delay_s=100, seconds=3600, pieces=9)
    assert simulate(scenario, 5, seed=3) == simulate(scenario, 5, seed=3)
    assert simulate(scenario, 5, seed=3) != simulate(scenario, 5, seed=4)


@pytest.mark.parametrize(
    ("told", "mean", "deviation"),
    [
        (90, 90, 0),
        ({"uniform": [60, 180]}, 120, 120 / math.sqrt(12)),
        ({"triangular": [180, 300, 480]}, 320, math.sqrt(3800)),
        ({"exponential": [20]}, 20, 20),
        ({"lognormal": [10, 0.3]}, 10, 3),
    ],
)
def test_delays_are_distributed_as_the_file_says(told, mean, deviation):
    distribution = Distribution.of(told)
    values = distribution.draw(np.random.default_rng(1), 200_000)
    assert distribution.mean == pytest.approx(mean)
    assert values.mean() == pytest.approx(mean, rel=0.01)
    assert values.std() == pytest.approx(deviation, rel=0.02)
    assert values.min() >= 0


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"weibull": [1, 2]}, "no distribution 'weibull'; known: fixed"),
        ({"uniform": [180, 60]}, "its numbers go from low to high"),
        ({"uniform": [60]}, r"takes 2 numbers \(low, high\)"),
        (-5, "numbers are 0 or more"),
        ("soon", "say a number, or for example"),
    ],
)
def test_a_delay_that_cannot_be_is_told(told, said):
    with pytest.raises(ValueError, match=said):
        Distribution.of(told)
