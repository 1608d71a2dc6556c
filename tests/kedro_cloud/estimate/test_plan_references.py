"""The plan must agree with what the reference architectures measured, and with its own page."""

import pytest

import reference_plans
from kedro_cloud.estimate.plans import cheapest, compare_staying
from kedro_cloud.estimate.report import format_seconds
from kedro_cloud.estimate.simulation import Overheads
from reference_plans import MEASURED_VIDEO_S, SEED, VIDEO_WORK_S, mean_s, video
from support import ROOT, bootstrap

bootstrap()
PAGE = ROOT / "docs/explanation/planning.md"


def test_96_tuning_runs_take_40_minutes_on_16_nodes():
    one, *_, sixteen = reference_plans.tuning()
    assert mean_s(sixteen) == pytest.approx(39.7 * 60, rel=0.01)
    assert [row.nodes.maximum for row in reference_plans.tuning() if mean_s(row) <= 3600] == [16]
    assert sixteen.cost < 1.3 * one.cost  # sixteen times the nodes for a sixteenth of the time


def test_the_cheapest_size_that_is_fast_enough_is_chosen():
    rows = reference_plans.tuning()
    chosen = {limit: str(cheapest(rows, limit).nodes) for limit in (None, 5 * 3600, 4800)}
    assert chosen == {None: "0:1", 5 * 3600: "0:2", 4800: "0:8"}
    assert cheapest(rows, 600) is None


def test_hourly_scoring_pays_for_idle_nodes():
    _, two, stay = reference_plans.sensors()
    assert stay.cost == pytest.approx(2 * 24 * reference_plans.CPU_HOURLY)
    assert stay.cost > 2.5 * two.cost
    assert 300 < two.p50_s - stay.p50_s < 600  # what the money saves: the wait for nodes
    assert compare_staying(stay, two, SEED) is None


def test_more_nodes_make_short_scoring_slower():
    one, two, stay = reference_plans.scoring()
    assert one.p50_s < two.p50_s
    assert one.cost < two.cost < stay.cost
    assert compare_staying(stay, two, SEED) == pytest.approx(30 * 60, rel=0.1)
    assert compare_staying(stay, one, SEED) is None


def test_a_video_takes_what_was_measured_on_four_nodes():
    """The step overhead was calibrated on this run: what is tested is that all adds up to it."""
    assert mean_s(video()) == pytest.approx(MEASURED_VIDEO_S, rel=0.02)
    assert 1 - VIDEO_WORK_S / mean_s(video()) == pytest.approx(0.57, abs=0.02)


def test_without_overheads_a_video_takes_its_work_alone():
    assert video(on_top=Overheads()).p95_s == pytest.approx(VIDEO_WORK_S)


def test_more_nodes_hardly_help_where_overhead_dominates():
    four, eight = mean_s(video()), mean_s(video(nodes=8))
    assert 0.85 * four < eight < four


def test_the_page_shows_these_figures():
    text = PAGE.read_text(encoding="utf-8")
    assert [line for line in reference_plans.table() if line not in text] == []
    _, two, stay = reference_plans.scoring()
    assert f"every {format_seconds(compare_staying(stay, two, SEED))}" in text
