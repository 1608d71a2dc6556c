"""Log a training's tables of losses or trials to MLflow: as metrics, and trials as child runs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kedro_cloud.core import tracking_database
from quartet.framework.tracking.parameters import flatten_parameters

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Metric

MAX_TRIAL_RUNS = 50
"""Maximum number of child runs per table; of more trials, only the best ones have a run."""
_MAX_METRICS = 200
"""Maximum number of metrics in one request to Azure ML; MLflow accepts 1,000."""


def log_steps(name: str, table: pd.DataFrame, step: str) -> None:
    """Log the numeric columns of a table as metrics `NAME/COLUMN`, one value per step.

    Args:
        name: Name of the dataset.
        table: One row per step.
        step: Column that contains the step, such as `epoch`.
    """
    numbers = table.select_dtypes("number").drop(columns=step)
    _log_metrics(
        _make_metrics({f"{name}/{column}": row[column] for column in numbers}, int(row[step]))
        for row in table.to_dict("records")
    )


def log_trials(name: str, table: pd.DataFrame, metrics: Sequence[str], as_runs: bool) -> None:
    """Log the objective of each trial, and the best one so far, as metrics with the index as step.

    The metrics are `NAME/OBJECTIVE` and `NAME/best_OBJECTIVE`. The columns that are not metrics
    are the parameters of the child runs.

    Args:
        name: Name of the dataset.
        table: One row per trial, with the trial's number as index.
        metrics: Columns with results; the first one is the objective, which is maximised.
        as_runs: Whether to create child runs for the best `MAX_TRIAL_RUNS` trials.
    """
    objective = metrics[0]
    if objective not in table:
        return
    # If no trial has a result, the column has the dtype object.
    table = table[table[objective].notna()].astype({objective: float})
    series = table[[objective]].assign(best=table[objective].cummax())
    _log_metrics(
        _make_metrics({f"{name}/{objective}": value, f"{name}/best_{objective}": best}, int(index))
        for index, value, best in series.itertuples()
    )
    if as_runs:
        best_trials = table.nlargest(MAX_TRIAL_RUNS, objective).sort_index()
        for index, trial in zip(best_trials.index, best_trials.to_dict("records"), strict=True):
            _log_trial(f"{name} {index}", trial, metrics)


def _log_trial(run_name: str, trial: Mapping[Any, Any], metrics: Sequence[str]) -> None:
    import mlflow

    results = {name: trial[name] for name in metrics if _is_finite(trial.get(name))}
    parameters = {name: value for name, value in trial.items() if name not in metrics}
    parent = mlflow.active_run()
    assert parent is not None
    experiment = parent.info.experiment_id
    with (
        tracking_database.tag_process(),
        mlflow.start_run(experiment_id=experiment, run_name=run_name, nested=True),
    ):
        mlflow.log_params(flatten_parameters(parameters))
        mlflow.log_metrics(results)


def _make_metrics(values: Mapping[str, Any], step: int) -> list[Metric]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(name, float(value), now, step) for name, value in values.items() if _is_finite(value)
    ]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _log_metrics(rows: Iterable[list[Metric]]) -> None:
    import mlflow

    run = mlflow.active_run()
    assert run is not None
    metrics = [metric for row in rows for metric in row]
    for start in range(0, len(metrics), _MAX_METRICS):
        mlflow.MlflowClient().log_batch(run.info.run_id, metrics[start : start + _MAX_METRICS])
