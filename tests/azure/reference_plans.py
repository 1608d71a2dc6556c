"""What the reference architectures run, as scenarios; docs/explanation/planning.md shows the rows.

Figures of theirs: a trial of 1000 trees takes 177 s on a machine, 96 trials, 16 machines; 15
sensors with a step each, every hour, two machines that stay; a video of 823 frames on 4 machines
with a GPU and one for FFmpeg, 65.8, 119.4 and 85.6 s of work, 637 s in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from quartet.azure.planning.assumptions import Planning, assumptions
from quartet.azure.planning.comparing import Nodes, Row, compare, crossing_interval
from quartet.azure.planning.simulation import simulate
from quartet.azure.planning.tables import money, roughly
from quartet.azure.planning.work import Arrivals, Delays, Machines, Scenario, StepWork
from support import ROOT

SEED = 42
DAY = 86_400.0
MEASURED_VIDEO_S = 637.0
PREPROCESS_S, RESTYLE_S, POSTPROCESS_S = 65.8, 119.4, 85.6
CPU_HOURLY, GPU_HOURLY = 0.192, 3.06
"""Standard_D4s_v5 and Standard_NC6s_v3 in East US, of conf/azureml/prices.yml."""


@cache
def planning(project: Path = ROOT) -> Planning:
    return assumptions(project, "azureml")[0]


def delays() -> Delays:
    return planning().delays(0.0)


def tuning(seconds: float = 177.0) -> Scenario:
    """96 trials, each a job of its own as HyperDrive has them."""
    trial = StepWork("trial", "cpu", seconds=seconds, spread=planning().spread.seconds)
    machines = Machines("cpu", hourly=CPU_HOURLY)
    return Scenario((machines,), (trial,), Arrivals(burst=96), delays())


def tuning_rows() -> list[Row]:
    return compare(tuning(), "cpu", [Nodes(0, 16)], 100, SEED)


def search_s(row: Row) -> float:
    """When the last trial is done, in the mean: what who searches waits for."""
    last = [max(each.times_s) for each in row.outcome.replications]
    return sum(last) / len(last)


def hourly(interval_s: float = 3600.0) -> Scenario:
    """15 sensors, each a step, as in the reference."""
    steps = tuple(StepWork(f"sensor_{number}", "cpu", seconds=2.0) for number in range(15))
    machines = Machines("cpu", hourly=CPU_HOURLY, idle_seconds=300)
    return Scenario((machines,), steps, Arrivals("every", interval_s, horizon_s=DAY), delays())


def scoring() -> Scenario:
    """Quartet's: three steps, the middle one on all machines there are."""
    steps = (
        StepWork("claim_new_windows", "cpu", seconds=1.0, startup_s=4.0),
        StepWork(
            "score_windows",
            "cpu",
            ("claim_new_windows",),
            seconds=2.0,
            startup_s=4.0,
            pieces=15,
            nodes=None,
        ),
        StepWork("publish_scores", "cpu", ("score_windows",), seconds=2.0, startup_s=4.0),
    )
    return replace(hourly(), steps=steps)


def hourly_rows() -> list[Row]:
    return compare(hourly(), "cpu", [Nodes(0, 2), Nodes(2, 2)], 10, SEED)


def scoring_rows() -> list[Row]:
    return compare(scoring(), "cpu", [Nodes(0, 2), Nodes(1, 1)], 10, SEED)


def scoring_crossing() -> float | None:
    """Seconds between runs at which one machine that stays costs as much as two that come."""
    _, two_that_come, one_that_stays = (row.scenario for row in scoring_rows())
    return crossing_interval(two_that_come, one_that_stays, SEED)


def video(standing: bool = True, overhead: bool = True, nodes: int = 4) -> Scenario:
    """The reference's: FFmpeg on a machine of its own, the network on 4 with a GPU each."""
    steps = (
        StepWork("preprocess", "ffmpeg", seconds=PREPROCESS_S),
        StepWork(
            "restyle",
            "gpu",
            ("preprocess",),
            seconds=RESTYLE_S * 4,
            pieces=824,
            nodes=nodes,
            keeps=True,
        ),
        StepWork("postprocess", "ffmpeg", ("restyle",), seconds=POSTPROCESS_S),
    )
    least = (1, nodes) if standing else (0, 0)
    machines = (
        Machines("ffmpeg", least[0], 1, hourly=CPU_HOURLY),
        Machines("gpu", least[1], nodes, hourly=GPU_HOURLY),
    )
    on_top = delays() if overhead else Delays(delays().scale_up, delays().image_pull)
    return Scenario(machines, steps, delays=on_top)


def table() -> Iterator[str]:
    """The rows of the page."""
    for row in tuning_rows():
        yield f"| {row.nodes} | {roughly(search_s(row))} | {money(row.cost)} |"
    for row in (*hourly_rows(), *scoring_rows()):
        yield (
            f"| {row.nodes} | {roughly(row.time_p50_s)} | {roughly(row.time_p95_s)} | "
            f"{money(row.cost)} |"
        )
    for scenario in (video(), video(standing=False)):
        outcome = simulate(scenario, 400, SEED)
        p50, p95 = np.percentile(outcome.times(), [50, 95])
        hourly = sum(each.min_nodes * each.hourly for each in scenario.machines)
        cost = money(24 * hourly) + " a day" if hourly else money(outcome.costs().mean())
        yield f"| {p50:.0f} s | {p95:.0f} s | {cost} |"
