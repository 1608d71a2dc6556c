"""The reference architectures as workloads; docs/explanation/planning.md shows their estimates.

Their figures: a trial of 1000 trees takes 177 s on a node, 96 trials, 16 nodes; 15 sensors with a
step each, every hour, two nodes that stay; a video of 823 frames on 4 nodes with a GPU and one for
FFmpeg, 65.8, 119.4 and 85.6 s of work, 637 s in all.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import cache

from kedro_cloud.estimate.plans import Estimate, NodeRange, Workload, estimate
from kedro_cloud.estimate.prices import load_assumptions
from kedro_cloud.estimate.report import format_money, format_seconds
from kedro_cloud.estimate.simulation import Overheads, PricedCluster, StepWork
from support import ROOT

SEED = 42
MEASURED_VIDEO_S = 637.0
VIDEO_WORK_S = 65.8 + 119.4 + 85.6
CPU_HOURLY, GPU_HOURLY = 0.192, 3.06
"""Standard_D4s_v5 and Standard_NC6s_v3 in East US, of conf/azureml/prices.yml."""


@cache
def overheads() -> Overheads:
    return load_assumptions(ROOT, "azureml")[0]


def sized(workload: Workload, *ranges: tuple[int, int]) -> list[Estimate]:
    return [estimate(workload, NodeRange(*each), SEED) for each in ranges]


@cache
def tuning() -> list[Estimate]:
    """96 trials, each a job of its own as HyperDrive has them."""
    trials = tuple(StepWork(f"trial_{number}", "cpu", seconds=177.0) for number in range(96))
    workload = Workload(trials, (PricedCluster("cpu", hourly=CPU_HOURLY),), overheads())
    return sized(workload, *((0, nodes) for nodes in (1, 2, 4, 8, 16)))


@cache
def mean_s(row: Estimate) -> float:
    return statistics.fmean(each.makespans_s[0] for each in row.workload.simulate(SEED))


def hourly(*steps: StepWork) -> Workload:
    return Workload(steps, (PricedCluster("cpu", hourly=CPU_HOURLY),), overheads(), 3600.0)


@cache
def sensors() -> list[Estimate]:
    """15 sensors, each a step, as in the reference."""
    steps = (StepWork(f"sensor_{number}", "cpu", seconds=2.0) for number in range(15))
    return sized(hourly(*steps), (0, 1), (0, 2), (2, 2))


@cache
def scoring() -> list[Estimate]:
    """Three steps, of which all nodes share the second."""
    claim = StepWork("claim", "cpu", seconds=1.0, startup_s=4.0)
    score = StepWork("score", "cpu", ("claim",), seconds=2.0, startup_s=4.0, is_shared=True)
    publish = StepWork("publish", "cpu", ("score",), seconds=2.0, startup_s=4.0)
    return sized(hourly(claim, score, publish), (0, 1), (0, 2), (1, 1))


def video(nodes: int = 4, stay: bool = True, on_top: Overheads | None = None) -> Estimate:
    """FFmpeg on a node of its own, the network on several with a GPU each."""
    steps = (
        StepWork("preprocess", "ffmpeg", seconds=65.8),
        StepWork("stylize", "gpu", ("preprocess",), seconds=119.4 * 4, is_shared=True),
        StepWork("postprocess", "ffmpeg", ("stylize",), seconds=85.6),
    )
    clusters = (
        PricedCluster("ffmpeg", int(stay), hourly=CPU_HOURLY),
        PricedCluster("gpu", hourly=GPU_HOURLY),
    )
    workload = Workload(steps, clusters, on_top or overheads())
    return estimate(workload, NodeRange(nodes if stay else 0, nodes), SEED)


def table() -> Iterator[str]:
    """Yield the rows of the page."""
    for row in tuning():
        yield f"| {row.nodes} | {format_seconds(mean_s(row))} | {format_money(row.cost)} |"
    for row in (*sensors(), *scoring()):
        times = f"{format_seconds(row.p50_s)} | {format_seconds(row.p95_s)}"
        yield f"| {row.nodes} | {times} | {format_money(row.cost)} |"
    day = format_money(24 * (CPU_HOURLY + 4 * GPU_HOURLY))
    for row, cost in ((video(), f"{day} a day"), (video(stay=False), None)):
        yield f"| {row.p50_s:.0f} s | {row.p95_s:.0f} s | {cost or format_money(row.cost)} |"
