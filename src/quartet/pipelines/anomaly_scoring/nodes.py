"""Nodes of `anomaly_scoring`: what is new, its scores, what they say, and the cursor."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from kedro_cloud.core import ranks
from quartet import sensors
from quartet.sensors.settings import WindowScoring

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.registered_model import Champion
    from quartet.datasets.sensor_store.jobs import CursorMove, ScoredWindows
    from quartet.datasets.sensor_store.tables import Cursor, SensorTables
    from quartet.sensors.context import Context
    from quartet.sensors.drift import Span
    from quartet.sensors.model_set import SensorModels
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    Champion = Context = Figure = SensorModels = Cursor = ScoredWindows = SensorTables = Any
    Span = CursorMove = Any

_KEYS = ["device", "sensor", "window_end"]
_AT_ONCE = 200_000
"""Windows in memory at a time, about, where drift is measured against a context."""
_NAMED_AT_ONCE = 1_000
"""Sensors that a database is asked for by name; of more it would send all."""

Facts = dict[str, Any]


def claim_windows(
    sensor_windows: SensorTables, sensor_models: Champion | None, window_scoring: WindowScoring
) -> tuple[pd.DataFrame, Facts]:
    """Windows that were written or closed since the last run, and the claim on them.

    From here until the cursor is moved no other run may score. The first run of
    all starts, for each sensor, where the training of its model ended.

    Raises:
        ValueError: No models are registered, or for windows of another length, nothing was
            ingested, or another run is at it.
    """
    model_set = _model_set(sensor_models)
    until = sensor_windows.cursor("ingestion")
    if until is None:
        raise ValueError(
            f"{sensor_windows.name} holds no windows: run `kedro run --pipelines sensor_ingestion` "
            "first"
        )
    seconds = sensor_windows.window_seconds()
    if seconds != model_set.window_seconds:
        raise ValueError(
            f"{sensor_windows.name} contains {seconds} s windows, but the registered models were "
            f"trained on {model_set.window_seconds} s windows; run `kedro run --pipelines "
            "anomaly_training`, or choose their database with --params sensor_database=URL"
        )
    token = sensor_windows.claim("scoring", window_scoring.claim_minutes, window_scoring.take_over)
    before = sensor_windows.cursor("scoring")
    windows = sensor_windows.new_windows(before, until)
    if before is None:
        windows = sensors.selection.after_training(model_set, windows)
    windows = _in_context(sensor_windows, windows, model_set.context, until)
    claim = {"token": token, "before": _cursor_to_json(before), "until": _cursor_to_json(until)}
    return windows, claim | {"window_seconds": seconds}


def _in_context(
    sensor_windows: SensorTables, windows: pd.DataFrame, context: Context, until: Cursor
) -> pd.DataFrame:
    """The same windows, told against those before them where the models want that.

    Those with too little before them, as the first of a sensor, are left out.
    """
    if not context.hours or windows.empty:
        return windows
    since = windows["window_end"].min() - context.reach - pd.Timedelta(seconds=1)
    around = sensor_windows.read_windows(
        since=since,
        until=until.watermark,
        pairs=windows[["device", "sensor"]].drop_duplicates().itertuples(index=False, name=None),
    )
    return context.apply(around).merge(windows[_KEYS], on=_KEYS)


def score_windows(
    new_windows: pd.DataFrame, sensor_models: Champion | None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Predictions of the windows; sensors without a model and models without windows; the speed.

    With several MPI ranks each scores the sensors of its shard; the first has all.
    """
    model_set = _model_set(sensor_models)
    start = time.perf_counter()
    mine = sensors.scoring.predict(model_set, new_windows, ranks.rank(), ranks.size())
    parts = ranks.gather(mine) or [mine]
    seconds = time.perf_counter() - start
    scores = pd.concat(parts, ignore_index=True).merge(new_windows, on=_KEYS, validate="1:1")
    scores = scores.sort_values(_KEYS, ignore_index=True)
    speed = {"seconds": seconds, "windows_per_s": len(scores) / seconds}
    return scores, sensors.scoring.unmatched(model_set, new_windows), speed


def publish_predictions(
    window_scores: pd.DataFrame, scoring_claim: Facts, sensor_windows: SensorTables
) -> tuple[pd.DataFrame, Facts]:
    """The predictions to keep, and how many there are."""
    sensor_windows.confirm("scoring", scoring_claim["token"])
    kept = [*_KEYS, "score", "threshold", "anomaly", "model_version", "revision"]
    return window_scores[kept], {"windows": len(window_scores)}


def publish_anomalies(
    window_scores: pd.DataFrame, scoring_claim: Facts
) -> tuple[ScoredWindows, Facts]:
    """The windows that were scored and the anomalies among them, and how many there are."""
    from quartet.datasets.sensor_store.jobs import ScoredWindows

    anomalies = window_scores[window_scores["anomaly"]]
    scored = ScoredWindows(window_scores[_KEYS], anomalies, scoring_claim["token"])
    return scored, {"anomalies": len(anomalies)}


def measure_drift(
    sensor_windows: SensorTables,
    sensor_models: Champion | None,
    scoring_claim: Facts,
    window_scoring: WindowScoring,
) -> tuple[pd.DataFrame, Figure]:
    """How far the inputs of each sensor have moved from those of its training.

    They are those of the last hours up to what this run scores, whichever run has scored them.
    """
    model_set = _model_set(sensor_models)
    until = _cursor(scoring_claim["until"]).watermark or pd.Timestamp(0)  # none is closed yet
    span = sensors.drift.Span(until - pd.Timedelta(hours=window_scoring.drift_hours), until)
    table = sensors.drift.drift(model_set, _blocks(sensor_windows, model_set, span), span)
    return table, sensors.figures.drift(table)


def _blocks(
    sensor_windows: SensorTables, model_set: SensorModels, span: Span
) -> Iterator[pd.DataFrame]:
    """The windows of a time as the models want them, not too many at once."""
    if not model_set.context.hours:
        yield from sensor_windows.window_blocks(span.since, span.until)
        return
    since = span.since - model_set.context.reach - pd.Timedelta(seconds=1)
    most = max(1, _AT_ONCE * model_set.window_seconds // int((span.until - since).total_seconds()))
    most = min(most, _NAMED_AT_ONCE)
    with tqdm(
        total=len(model_set), desc="measuring drift", unit="sensor", disable=None, delay=2
    ) as bar:
        for first in range(0, len(model_set), most):
            pairs = model_set.pairs[first : first + most]
            windows = sensor_windows.read_windows(since=since, until=span.until, pairs=pairs)
            told = model_set.context.apply(windows)
            yield told[told["window_end"] > span.since]
            bar.update(len(pairs))


def report_alarms(
    window_scores: pd.DataFrame,
    unscored_sensors: pd.DataFrame,
    sensor_drift: pd.DataFrame,
    scoring_speed: Mapping[str, float],
    sensor_labels: pd.DataFrame,
    scoring_claim: Facts,
) -> tuple[dict[str, float], pd.DataFrame]:
    """Numbers of the run, and the alarm rate of each device and sensor.

    Where anomalies are known, also how well windows and events were found.
    """
    without_model = unscored_sensors[unscored_sensors["reason"] == "no model"]
    moved = sensor_drift[sensor_drift["moved"].astype(bool)]
    unknown = sensor_drift[sensor_drift["stability_index"].isna()]
    metrics = {
        "readings_scored": int(window_scores["readings"].sum()),
        "windows_scored": len(window_scores),
        "sensors_scored": len(window_scores[["device", "sensor"]].drop_duplicates()),
        "anomalies": int(window_scores["anomaly"].sum()),
        "alarm_rate": float(window_scores["anomaly"].mean()) if len(window_scores) else 0.0,
        "windows_per_s": scoring_speed["windows_per_s"],
        "sensors_without_model": len(without_model),
        "models_without_windows": len(unscored_sensors) - len(without_model),
        "sensors_moved": len(moved[["device", "sensor"]].drop_duplicates()),
        "sensors_drift_unknown": len(unknown[["device", "sensor"]].drop_duplicates()),
    }
    alarms = window_scores["anomaly"].to_numpy(bool)
    quality = _quality(window_scores, alarms, sensor_labels, scoring_claim["window_seconds"])
    return metrics | quality, sensors.evaluation.alarm_rates(window_scores, alarms)


def _quality(
    windows: pd.DataFrame, alarms: NDArray[np.bool_], labels: pd.DataFrame, window_seconds: int
) -> dict[str, float]:
    """Precision, recall and F1 over windows and over events, if any is known of these windows."""
    events = sensors.evaluation.event_scores(windows, alarms, labels, window_seconds)
    if not events.events:
        return {}
    known = sensors.labels.mark_windows(windows, labels, window_seconds)
    points = sensors.evaluation.point_scores(alarms, known)
    return {
        "window_precision": points.precision,
        "window_recall": points.recall,
        "window_f1": points.f1,
        "event_precision": events.precision,
        "event_recall": events.recall,
        "event_f1": events.f1,
        "events": events.events,
        "events_found": events.found,
        "false_alarm_rate": events.false_alarm_rate,
    }


def draw_alarms(
    window_scores: pd.DataFrame, sensor_labels: pd.DataFrame, window_scoring: WindowScoring
) -> tuple[Figure, Figure]:
    """Alarms of the fleet over time, and the course of the sensors with most of them."""
    rates = window_scores.groupby(["device", "sensor"])["anomaly"].mean()
    rates = rates[rates > 0].sort_values(ascending=False, kind="stable")
    worst = list(rates.index[: window_scoring.worst])
    return (
        sensors.figures.fleet_heat_map(window_scores),
        sensors.figures.timelines(window_scores, worst, sensor_labels),
    )


def move_cursor(
    scoring_claim: Facts,
    predictions_published: Facts,
    anomalies_published: Facts,
    anomaly_scoring_metrics: Mapping[str, float],
) -> CursorMove:
    """Where scoring stands, now that all it found is written.

    Raises:
        ValueError: What was published is not what was scored.
    """
    from quartet.datasets.sensor_store.jobs import CursorMove

    counts = (predictions_published["windows"], anomalies_published["anomalies"])
    expected = (anomaly_scoring_metrics["windows_scored"], anomaly_scoring_metrics["anomalies"])
    if counts != expected:
        raise ValueError(
            f"{counts[0]:,} windows and {counts[1]:,} anomalies were published, but "
            f"{expected[0]:,} and {expected[1]:,} were scored: these are steps of different runs; "
            "run anomaly_scoring again"
        )
    before = None if scoring_claim["before"] is None else _cursor(scoring_claim["before"])
    return CursorMove(scoring_claim["token"], before, _cursor(scoring_claim["until"]))


def _model_set(champion: Champion | None) -> Any:
    if champion is None:
        raise ValueError(
            "no version of the model of sensor_models is registered: run `kedro run --pipelines "
            "anomaly_training` first"
        )
    return champion.raw_model


def _cursor_to_json(cursor: Cursor | None) -> Facts | None:
    """A cursor as JSON can hold it."""
    if cursor is None:
        return None
    watermark = None if cursor.watermark is None else cursor.watermark.isoformat()
    return {"revision": cursor.revision, "watermark": watermark}


def _cursor(fields: Facts) -> Cursor:
    from quartet.datasets.sensor_store.tables import Cursor

    watermark = None if fields["watermark"] is None else pd.Timestamp(fields["watermark"])
    return Cursor(fields["revision"], watermark)
