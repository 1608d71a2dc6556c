"""Nodes of `anomaly_training`: select windows from SQL, train, merge and report models."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
from kedro.io.core import DatasetError
from numpy.typing import NDArray

from kedro_cloud.core import ranks
from quartet import sensors
from quartet.sensors.settings import SensorSvm, TrainingWindows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.registered_model import Champion
    from quartet.datasets.sensor_store.tables import SensorTables
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    Champion = Figure = SensorTables = Any

Arrays = dict[str, NDArray[Any]]

logger = logging.getLogger(__name__)


def select_windows(
    sensor_windows: SensorTables,
    sensor_labels: pd.DataFrame,
    training_windows: TrainingWindows,
    sensor_svm: SensorSvm,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Select the windows to train on, without labelled anomalies, and describe their period.

    Only closed windows are read, those up to the watermark. A context is the time before a window:
    windows of sensors with one are normalised by the windows in it, and marked as `relative`. If
    `sensor_svm.context_hours` is not set, only devices with a sensor of unstable values get one.

    Returns:
        `normal_windows`, and `training_period`: their first and last end, length and numbers.

    Raises:
        ValueError: There are no windows, all of them overlap labels, or a named sensor has none.
    """
    cursor = sensor_windows.cursor("ingestion")
    if cursor is None or cursor.watermark is None:
        reason = sensor_windows.explain_missing_windows()
        raise ValueError(f"{sensor_windows.name} has no closed windows: {reason}")
    windows = sensor_windows.read_windows(until=cursor.watermark)
    seconds = sensor_windows.window_seconds()
    context = sensor_svm.context_for(seconds or 0)
    # Contexts are chosen by windows that are not normalised yet, so the selection is repeated.
    normal = sensors.selection.select_normal_windows(windows, training_windows)
    labelled = sensors.labels.mark_windows(normal, sensor_labels, seconds)
    windows = sensors.selection.choose_context(
        windows, normal[~labelled], context, every=sensor_svm.context_hours is not None
    )
    normal = sensors.selection.select_normal_windows(windows, training_windows)
    labelled = sensors.labels.mark_windows(normal, sensor_labels, seconds)
    if labelled.all():
        raise ValueError(
            f"sensor_labels: all {len(normal):,} windows of the training time overlap a label; "
            "label only the times of anomalies, or choose a longer time by training_windows"
        )
    normal = normal[~labelled].reset_index(drop=True)
    period = _describe_period(normal, seconds, labelled=int(labelled.sum()))
    relative = period["sensors_with_context"]
    logger.info(
        "training windows: %s of %s sensors, %s s long%s",
        f"{len(normal):,}",
        f"{period['sensors']:,}",
        f"{seconds:,}",
        f"; those of {relative:,} sensors are normalised{context.describe()}" if relative else "",
    )
    return normal, period


def _describe_period(
    windows: pd.DataFrame, window_seconds: int | None, labelled: int
) -> dict[str, Any]:
    """Return the dataset `training_period`; `labelled` windows overlap a label and are left out."""
    relative = windows[windows["relative"]]
    return {
        "first_window_end": str(windows["window_end"].min()),
        "last_window_end": str(windows["window_end"].max()),
        "window_seconds": window_seconds,
        "windows": len(windows),
        "windows_of_known_anomalies": labelled,
        "sensors": len(windows[["device", "sensor"]].drop_duplicates()),
        "sensors_with_context": len(relative[["device", "sensor"]].drop_duplicates()),
    }


def train_models(
    normal_windows: pd.DataFrame, training_period: dict[str, Any], sensor_svm: SensorSvm
) -> tuple[Arrays, pd.DataFrame]:
    """Train a model for each sensor, and fit the thresholds of devices.

    Sensors without a model are listed with the reason.

    With several MPI ranks each trains the sensors of its shard; the first one returns all.
    """
    pairs = sorted(set(zip(normal_windows["device"], normal_windows["sensor"], strict=True)))
    shard = sensors.training.fit_model_set(
        normal_windows,
        sensor_svm,
        training_period["window_seconds"],
        sensors=ranks.shard(pairs),
    )
    parts = ranks.gather((shard.model_set.to_arrays(), shard.untrained, shard.device_scores))
    if parts is None:
        return shard.model_set.to_arrays(), shard.untrained
    model_sets = [sensors.model_set.SensorModels.from_arrays(arrays) for arrays, *_ in parts]
    untrained = pd.concat([table for _, table, _ in parts], ignore_index=True)
    device_scores = pd.concat([table for *_, table in parts], ignore_index=True)
    merged = sensors.devices.fit_thresholds(
        sensors.model_set.SensorModels.merge(model_sets), device_scores, sensor_svm.nu
    )
    return merged.to_arrays(), untrained.sort_values(["device", "sensor"], ignore_index=True)


def merge_models(
    trained_models: Arrays, sensor_champion: Champion | None, training_windows: TrainingWindows
) -> Arrays:
    """Merge models of chosen sensors with the registered models of the others.

    Raises:
        ValueError: The registered models are of other sensors only, so of another data set.
    """
    trained = sensors.model_set.SensorModels.from_arrays(trained_models)
    if training_windows.sensors and sensor_champion is not None:
        trained = sensors.model_set.SensorModels.merge([sensor_champion.raw_model, trained])
    elif sensor_champion is not None:
        _check_same_sensors(trained.pairs, sensor_champion)
    return trained.to_arrays()


def _check_same_sensors(trained: Collection[tuple[str, str]], champion: Champion) -> None:
    """Check that trained and registered models, if there are any, have a sensor in common."""
    try:
        registered = champion.raw_model.pairs
    except DatasetError:
        return  # a version of other code, which the new one replaces
    if trained and registered and set(trained).isdisjoint(registered):
        raise ValueError(
            f"registered version {champion.version} has models of {len(registered):,} other "
            f"sensors, such as {'/'.join(registered[0])}, and of none of these {len(trained):,}; "
            "name each data set in all of its runs, with --params dataset_name=NAME, or delete "
            "this version"
        )


def report_models(
    merged_models: Arrays, untrained_sensors: pd.DataFrame, sensor_svm: SensorSvm
) -> tuple[dict[str, float], pd.DataFrame, Figure]:
    """Return metrics and a table of the models, and plot their false-alarm rates and sizes.

    Raises:
        ValueError: No sensor has a model.
    """
    model_set = sensors.model_set.SensorModels.from_arrays(merged_models)
    if not len(model_set):
        reasons = untrained_sensors["reason"].value_counts()
        raise ValueError(
            f"none of the {len(untrained_sensors)} sensors has a model; most frequent reason: "
            f"{reasons.index[0]}"
        )
    metrics = {
        "models": len(model_set),
        "sensors_without_model": len(untrained_sensors),
        "nu": sensor_svm.nu,
        "false_alarm_rate": float(
            np.average(model_set.false_alarm_rate, weights=model_set.windows)
        ),
        "support_vectors": int(model_set.sizes.sum()),
        "training_windows": int(model_set.windows.sum()),
        "sensors_with_season": int((model_set.seasons != "none").sum()),
    }
    logger.info(
        "models: %s of %s sensors subtract the profile of a day, %s that of a week",
        f"{int((model_set.seasons == 'day').sum()):,}",
        f"{len(model_set):,}",
        f"{int((model_set.seasons == 'week').sum()):,}",
    )
    figure = sensors.figures.plot_false_alarms(
        model_set.false_alarm_rate, sensor_svm.nu, model_set.sizes
    )
    return metrics, model_set.summary(), figure
