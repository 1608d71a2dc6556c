"""Whoever loses a run to a kill starts it again, and has what an undisturbed run gives."""

import pytest

from e2e.kill_runs import campaign


@pytest.mark.integration
@pytest.mark.parametrize(("pipeline", "kills"), [("faq_ingestion", 2), ("sensor_ingestion", 1)])
def test_a_killed_run_is_made_good_by_the_next(tmp_path, pipeline, kills):
    for kill in campaign(tmp_path, kills, seed=1, pipelines=[pipeline]):
        assert not kill.faults, str(kill)
