"""Nodes of `anomaly_scoring`: claim new windows, score, publish and report, move the cursor."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from kedro_cloud.core import ranks
from kedro_cloud.core.run_command import run_command
from quartet import sensors
from quartet.sensors.settings import BaselineComparison, Baselines, DeviceAlarms, WindowScoring

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as InteractiveFigure

    from quartet.datasets.registered_model import Champion
    from quartet.datasets.sensor_store.jobs import CursorMove, ScoredWindows
    from quartet.datasets.sensor_store.tables import Cursor, SensorTables
    from quartet.sensors.drift import Span
    from quartet.sensors.evaluation import EventScores
    from quartet.sensors.model_set import SensorModels
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    Champion = Figure = SensorModels = Cursor = ScoredWindows = SensorTables = Any
    Span = CursorMove = EventScores = InteractiveFigure = Any

_KEYS = ["device", "sensor", "window_end"]
_BLOCK_WINDOWS = 200_000
"""Approximate number of windows in memory when drift is measured with a context."""
_BASELINE_WINDOWS = 3_000
"""Maximum number of windows per sensor that baselines are trained on; the latest of training."""
_MAX_NAMED_SENSORS = 1_000
"""Maximum number of sensors that a query names; with more, it would return all sensors."""

Facts = dict[str, Any]


def claim_windows(
    sensor_windows: SensorTables, sensor_models: Champion | None, window_scoring: WindowScoring
) -> tuple[pd.DataFrame, Facts]:
    """Claim scoring, and return the windows that were written or closed since the last run.

    Until the cursor is moved no other run may score. The very first run starts, for each sensor,
    where the training of its model ended.

    Raises:
        ValueError: No models are registered, their windows have another length, they are of other
            sensors, nothing was ingested, or another run has the claim.
    """
    model_set = _load_model_set(sensor_models)
    until = sensor_windows.cursor("ingestion")
    if until is None:
        reason = sensor_windows.explain_missing_windows()
        raise ValueError(f"{sensor_windows.name} has no windows: {reason}")
    seconds = sensor_windows.window_seconds()
    if seconds != model_set.window_seconds:
        raise ValueError(
            f"{sensor_windows.name} contains {seconds} s windows, but the registered models were "
            f"trained on {model_set.window_seconds} s windows; run "
            f"`{run_command('anomaly_training')}`, or choose their data set with --params "
            "dataset_name=NAME"
        )
    if model_set.pairs and sensor_windows.sensors().isdisjoint(model_set.pairs):
        raise ValueError(
            f"{sensor_windows.name} has none of the {len(model_set):,} sensors of the registered "
            f"models, such as {'/'.join(model_set.pairs[0])}; name each data set in all of its "
            f"runs, with --params dataset_name=NAME, and run `{run_command('anomaly_training')}`"
        )
    token = sensor_windows.claim("scoring", window_scoring.claim_minutes, window_scoring.take_over)
    before = sensor_windows.cursor("scoring")
    windows = sensor_windows.new_windows(before, until)
    if before is None:
        windows = sensors.selection.exclude_training_windows(model_set, windows)
    windows = _normalise(sensor_windows, windows, model_set)
    claim = {"token": token, "before": _cursor_to_json(before), "until": _cursor_to_json(until)}
    return windows, claim | {"window_seconds": seconds}


def _normalise(
    sensor_windows: SensorTables, windows: pd.DataFrame, model_set: SensorModels
) -> pd.DataFrame:
    """Normalise windows by those before them if their models have a context.

    Windows without enough history, such as the first of a sensor, are left out.
    """
    relative = model_set.is_relative(windows)
    if not relative.any():
        return windows
    absolute, windows = windows[~relative], windows[relative]
    context = model_set.context
    since = windows["window_end"].min() - context.reach - pd.Timedelta(seconds=1)
    with_history = sensor_windows.read_windows(
        since=since,
        until=windows["window_end"].max(),
        pairs=windows[["device", "sensor"]].drop_duplicates().itertuples(index=False, name=None),
    )
    normalised = context.apply(with_history).merge(windows[_KEYS], on=_KEYS)
    return pd.concat([absolute, normalised], ignore_index=True)


def score_windows(
    new_windows: pd.DataFrame, sensor_models: Champion | None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Score the windows; list sensors without a model and models without windows; return the speed.

    With several MPI ranks each scores the sensors of its shard; the first one returns all.
    """
    model_set = _load_model_set(sensor_models)
    start = time.perf_counter()
    shard = sensors.scoring.predict(model_set, new_windows, ranks.rank(), ranks.size())
    parts = ranks.gather(shard) or [shard]
    seconds = time.perf_counter() - start
    scores = pd.concat(parts, ignore_index=True).merge(new_windows, on=_KEYS, validate="1:1")
    scores = scores.sort_values(_KEYS, ignore_index=True)
    speed = {"seconds": seconds, "windows_per_s": len(scores) / seconds}
    return scores, sensors.scoring.find_unmatched(model_set, new_windows), speed


def publish_predictions(
    window_scores: pd.DataFrame, scoring_claim: Facts, sensor_windows: SensorTables
) -> tuple[pd.DataFrame, Facts]:
    """Return the predictions to store, and their number."""
    sensor_windows.confirm("scoring", scoring_claim["token"])
    columns = [*_KEYS, "score", "threshold", "anomaly", "model_version", "revision"]
    return window_scores[columns], {"windows": len(window_scores)}


def raise_device_alarms(
    window_scores: pd.DataFrame,
    sensor_models: Champion | None,
    sensor_windows: SensorTables,
    device_alarms: DeviceAlarms,
    scoring_claim: Facts,
) -> pd.DataFrame:
    """Combine the scores of each device's sensors, and return the windows in which it has an alarm.

    Alarms of earlier runs decide on thresholds, and whether an event continues. Windows of earlier
    runs count among the required ones.
    """
    model_set = _load_model_set(sensor_models)
    scored = sensors.devices.score_devices(model_set, window_scores)
    within = device_alarms.within_windows * pd.Timedelta(seconds=model_set.window_seconds)
    earlier = scored.iloc[:0]
    if len(scored) and scoring_claim["before"] and device_alarms.required_windows > 1:
        revision = scoring_claim["until"]["revision"]
        earlier = _score_earlier(sensor_windows, model_set, scored, within, revision)
    reach = sensors.devices.compute_reach(model_set) + within
    history = sensor_windows.device_alarms(
        since=None if scored.empty else scored["window_end"].min() - reach
    )
    return sensors.devices.raise_alarms(model_set, scored, history, device_alarms, earlier)


def _score_earlier(
    sensor_windows: SensorTables,
    model_set: SensorModels,
    scored: pd.DataFrame,
    within: pd.Timedelta,
    revision: int,
) -> pd.DataFrame:
    """Score the windows of devices shortly before theirs in this run, which other runs scored.

    Windows written after a revision are left out, as a later run scores them.
    """
    seconds = pd.Timedelta(seconds=model_set.window_seconds)
    follows = scored.groupby("device")["window_end"].diff() == seconds  # a window of this run
    starts = scored.loc[~follows, "window_end"].drop_duplicates().sort_values()
    devices = set(scored["device"])
    pairs = [pair for pair in model_set.pairs if pair[0] in devices]
    parts = []
    # Starts whose times before overlap are one span, of which windows are read once.
    for _, span in starts.groupby((starts.diff() > within + model_set.context.reach).cumsum()):
        windows = sensor_windows.read_windows(
            since=span.min() - within, until=span.max() - seconds, pairs=pairs
        )
        windows = sensors.selection.exclude_training_windows(model_set, windows)
        windows = _normalise(sensor_windows, windows[windows["revision"] <= revision], model_set)
        parts.append(sensors.scoring.predict(model_set, windows))
    return sensors.devices.score_devices(model_set, pd.concat(parts))


def publish_anomalies(
    window_scores: pd.DataFrame, device_alarms: pd.DataFrame, scoring_claim: Facts
) -> tuple[ScoredWindows, Facts]:
    """Return the scored windows with anomalies and alarms of devices, and the number of both."""
    from quartet.datasets.sensor_store.jobs import ScoredWindows

    anomalies = window_scores[window_scores["anomaly"]]
    scored = ScoredWindows(window_scores[_KEYS], anomalies, scoring_claim["token"], device_alarms)
    return scored, {"anomalies": len(anomalies), "device_alarms": len(device_alarms)}


def measure_drift(
    sensor_windows: SensorTables,
    sensor_models: Champion | None,
    scoring_claim: Facts,
    window_scoring: WindowScoring,
) -> tuple[pd.DataFrame, Figure, InteractiveFigure]:
    """Measure the drift of each sensor's features since training, and plot it.

    Compares the windows of the last `drift_hours`, whichever run has scored them.
    """
    model_set = _load_model_set(sensor_models)
    # The epoch stands for a watermark before the first closed window.
    until = _cursor_from_json(scoring_claim["until"]).watermark or pd.Timestamp(0)
    span = sensors.drift.Span(until - pd.Timedelta(hours=window_scoring.drift_hours), until)
    blocks = _read_blocks(sensor_windows, model_set, span)
    table = sensors.drift.measure_drift(model_set, blocks, span)
    indices = sensors.figures.pivot_drift(table)
    interactive = sensors.interactive_figures.plot_drift(indices)
    return table, sensors.figures.plot_drift(indices), interactive


def _read_blocks(
    sensor_windows: SensorTables, model_set: SensorModels, span: Span
) -> Iterator[pd.DataFrame]:
    """Yield the windows of a span, normalised as the models need them, in blocks."""
    if not model_set.context.hours:
        yield from sensor_windows.window_blocks(span.since, span.until)
        return
    since = span.since - model_set.context.reach - pd.Timedelta(seconds=1)
    windows_per_sensor = (span.until - since).total_seconds() / model_set.window_seconds
    block_sensors = min(max(1, int(_BLOCK_WINDOWS / windows_per_sensor)), _MAX_NAMED_SENSORS)
    with tqdm(
        total=len(model_set), desc="measuring drift", unit="sensor", disable=None, delay=2
    ) as bar:
        for first in range(0, len(model_set), block_sensors):
            pairs = model_set.pairs[first : first + block_sensors]
            windows = sensor_windows.read_windows(since=since, until=span.until, pairs=pairs)
            windows = model_set.normalise(windows)
            yield windows[windows["window_end"] > span.since]
            bar.update(len(pairs))


def compare_detectors(
    window_scores: pd.DataFrame,
    device_alarms: pd.DataFrame,
    sensor_models: Champion | None,
    sensor_windows: SensorTables,
    sensor_labels: pd.DataFrame,
    scoring_claim: Facts,
    baseline_comparison: BaselineComparison,
) -> tuple[pd.DataFrame, Figure]:
    """Compare the alarms of sensors and devices with those of baselines, if events are labelled.

    Baselines are trained on the same normal windows as the models, with the same nu, and evaluated
    on the same new windows. Of large fleets some sensors are compared.
    """
    model_set = _load_model_set(sensor_models)
    seconds = scoring_claim["window_seconds"]
    pairs = sensors.baselines.sample_sensors(
        window_scores, sensor_labels, baseline_comparison.sensors
    )
    scored = _select_sensors(window_scores, pairs)
    table = sensors.baselines.make_score_table({})
    if not sensors.labels.match_labels(scored, sensor_labels, seconds).covered.any():
        return table, sensors.figures.plot_comparison(table)
    normal = _read_normal_windows(sensor_windows, model_set, pairs, sensor_labels)
    trained = normal.groupby(["device", "sensor"]).size()
    scored = _select_sensors(scored, trained.index[trained >= sensors.robust.MIN_WINDOWS])
    device_windows = scored[["device", "window_end"]].drop_duplicates()
    in_event = sensors.devices.mark_events(device_windows, device_alarms)
    alarms = scored["anomaly"].to_numpy(bool)
    of_sensors = sensors.evaluation.event_scores(scored, alarms, sensor_labels, seconds)
    of_devices = _evaluate_device_events(device_windows, in_event, sensor_labels, seconds)
    if of_sensors.events:
        ours = {("one_class_svm", "sensors"): of_sensors, ("device_alarms", "devices"): of_devices}
        settings = Baselines(
            seed=baseline_comparison.seed,
            features=model_set.features,
            nu=float(np.median(model_set.nu)),
            blocks=baseline_comparison.blocks,
            trees=baseline_comparison.trees,
        )
        others = sensors.baselines.compare(normal, scored, sensor_labels, seconds, settings)
        table = pd.concat([sensors.baselines.make_score_table(ours), others], ignore_index=True)
    return table, sensors.figures.plot_comparison(table)


def _select_sensors(windows: pd.DataFrame, pairs: Any) -> pd.DataFrame:
    keys = pd.MultiIndex.from_frame(windows[["device", "sensor"]].astype(str))
    return windows[keys.isin(pairs)].reset_index(drop=True)


def _read_normal_windows(
    sensor_windows: SensorTables,
    model_set: SensorModels,
    pairs: list[tuple[str, str]],
    labels: pd.DataFrame,
) -> pd.DataFrame:
    """Return the latest windows of training of some sensors, as their models need them."""
    reach = model_set.context.reach
    reach += pd.Timedelta(seconds=_BASELINE_WINDOWS * model_set.window_seconds)
    tables = []
    for pair in pairs:  # some may have been trained long before others
        until = pd.Timestamp(model_set.trained_until[model_set.find(*pair)], unit="us")
        tables.append(sensor_windows.read_windows(since=until - reach, until=until, pairs=[pair]))
    windows = model_set.normalise(pd.concat(tables, ignore_index=True))
    is_normal = ~sensors.labels.mark_windows(windows, labels, model_set.window_seconds)
    return windows[is_normal].reset_index(drop=True)


def report_alarms(
    window_scores: pd.DataFrame,
    unscored_sensors: pd.DataFrame,
    sensor_drift: pd.DataFrame,
    scoring_speed: Mapping[str, float],
    sensor_labels: pd.DataFrame,
    scoring_claim: Facts,
    device_alarms: pd.DataFrame,
    method_scores: pd.DataFrame,
) -> tuple[dict[str, float], pd.DataFrame]:
    """Return metrics of the run, and the alarm rate of each device and sensor.

    If anomalies are labelled, the metrics include precision and recall of windows and events, of
    sensors and of devices, and the F1 of events of each baseline.
    """
    without_model = unscored_sensors[unscored_sensors["reason"] == "no model"]
    drifted = sensor_drift[sensor_drift["drifted"].astype(bool)]
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
        "sensors_drifted": len(drifted[["device", "sensor"]].drop_duplicates()),
        "sensors_drift_unknown": len(unknown[["device", "sensor"]].drop_duplicates()),
    }
    device_windows = window_scores[["device", "window_end"]].drop_duplicates()
    events_of_devices = device_alarms[["device", "event_start"]].drop_duplicates()
    metrics |= {
        "device_alarms": len(device_alarms),
        "device_alarm_rate": len(device_alarms) / max(len(device_windows), 1),
        "device_events": len(events_of_devices),
    }
    alarms = window_scores["anomaly"].to_numpy(bool)
    in_event = sensors.devices.mark_events(device_windows, device_alarms)
    quality = _evaluate(window_scores, alarms, sensor_labels, scoring_claim["window_seconds"])
    if quality:
        events = _evaluate_device_events(
            device_windows, in_event, sensor_labels, scoring_claim["window_seconds"]
        )
        quality |= {
            "device_event_precision": events.precision,
            "device_event_recall": events.recall,
            "device_event_f1": events.f1,
            "device_false_alarm_rate": events.false_alarm_rate,
        }
        baselines = method_scores[method_scores["method"].isin(sensors.baselines.BASELINES)]
        quality |= {
            f"{method}_event_f1": float(f1)
            for method, f1 in zip(baselines["method"], baselines["f1"], strict=True)
        }
    return metrics | quality, sensors.evaluation.alarm_rates(window_scores, alarms)


def _evaluate(
    windows: pd.DataFrame, alarms: NDArray[np.bool_], labels: pd.DataFrame, window_seconds: int
) -> dict[str, float]:
    """Return precision, recall and F1 of windows and events; empty without labelled events."""
    events = sensors.evaluation.event_scores(windows, alarms, labels, window_seconds)
    if not events.events:
        return {}
    anomalous = sensors.labels.mark_windows(windows, labels, window_seconds)
    points = sensors.evaluation.point_scores(alarms, anomalous)
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


def _evaluate_device_events(
    windows: pd.DataFrame, alarms: NDArray[np.bool_], labels: pd.DataFrame, window_seconds: int
) -> EventScores:
    """Return the scores of events of devices, whichever of their sensors they have."""
    joint = sensors.baselines.join_labels(labels)
    return sensors.evaluation.event_scores(windows.assign(sensor=""), alarms, joint, window_seconds)


def draw_alarms(
    window_scores: pd.DataFrame, sensor_labels: pd.DataFrame, window_scoring: WindowScoring
) -> tuple[Figure, Figure, InteractiveFigure]:
    """Plot the alarms of the fleet over time, and the sensors with the highest alarm rates."""
    rates = window_scores.groupby(["device", "sensor"])["anomaly"].mean()
    rates = rates[rates > 0].sort_values(ascending=False, kind="stable")
    worst = list(rates.index[: window_scoring.worst])
    fleet = sensors.figures.compute_fleet_shares(window_scores)
    return (
        sensors.figures.plot_fleet_heat_map(fleet),
        sensors.figures.plot_timelines(window_scores, worst, sensor_labels),
        sensors.interactive_figures.plot_fleet_heat_map(fleet),
    )


def move_cursor(
    scoring_claim: Facts,
    predictions_published: Facts,
    anomalies_published: Facts,
    anomaly_scoring_metrics: Mapping[str, float],
) -> CursorMove:
    """Return the move of the scoring cursor, once all results are published.

    Raises:
        ValueError: The published results are not those that were scored.
    """
    from quartet.datasets.sensor_store.jobs import CursorMove

    counts = (predictions_published["windows"], anomalies_published["anomalies"])
    expected = (anomaly_scoring_metrics["windows_scored"], anomaly_scoring_metrics["anomalies"])
    if counts != expected:
        raise ValueError(
            f"{counts[0]:,} windows and {counts[1]:,} anomalies were published, but "
            f"{expected[0]:,} and {expected[1]:,} were scored, so the steps are of different runs; "
            "run anomaly_scoring again"
        )
    before = scoring_claim["before"]
    return CursorMove(
        scoring_claim["token"],
        None if before is None else _cursor_from_json(before),
        _cursor_from_json(scoring_claim["until"]),
    )


def _load_model_set(champion: Champion | None) -> Any:
    if champion is None:
        raise ValueError(
            "no version of sensor_models is registered; run "
            f"`{run_command('anomaly_training')}` first"
        )
    return champion.raw_model


def _cursor_to_json(cursor: Cursor | None) -> Facts | None:
    if cursor is None:
        return None
    watermark = None if cursor.watermark is None else cursor.watermark.isoformat()
    return {"revision": cursor.revision, "watermark": watermark}


def _cursor_from_json(fields: Facts) -> Cursor:
    from quartet.datasets.sensor_store.tables import Cursor

    watermark = None if fields["watermark"] is None else pd.Timestamp(fields["watermark"])
    return Cursor(fields["revision"], watermark)
