"""Name the MLflow experiment of a run after its scenario."""

from __future__ import annotations

from collections.abc import Mapping

from quartet.compat import requested_pipelines


def name_experiment(scenarios: Mapping[str, str], project: str) -> str:
    """Return `PROJECT-SCENARIO`, or `PROJECT` for a run of several scenarios or of none."""
    found = {scenarios.get(pipeline) for pipeline in requested_pipelines()}
    (scenario,) = found if len(found) == 1 else (None,)
    return f"{project}-{scenario}" if scenario else project
