"""A run after a killed run gives the results of an undisturbed run."""

import pytest

from e2e.kill_runs import kill_repeatedly


@pytest.mark.integration
@pytest.mark.parametrize(("pipeline", "kills"), [("faq_ingestion", 2), ("sensor_ingestion", 1)])
def test_the_run_after_a_killed_run_gives_the_same_results(tmp_path, pipeline, kills):
    for kill in kill_repeatedly(tmp_path, kills, seed=1, pipelines=[pipeline]):
        assert not kill.faults, str(kill)
