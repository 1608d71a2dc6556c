"""Test that the pipelines match the catalog and run on the samples."""

from __future__ import annotations

from pathlib import Path

from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession

from support import ROOT, bootstrap


def test_each_dataset_of_a_pipeline_is_in_the_catalog() -> None:
    """Check this because a dataset without an entry is lost when the run ends."""
    bootstrap()
    with KedroSession.create(ROOT) as session:
        catalog = session.load_context().catalog
    named = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    assert named
    assert sorted(name for name in named if name not in catalog) == []


def test_all_pipelines_run_on_the_samples(trained_workspace: Path) -> None:
    """Check that each pipeline writes its metrics."""
    reports = trained_workspace / "data/08_reporting"
    assert list(reports.glob("*/metrics.json"))
