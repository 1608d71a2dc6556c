"""Nodes of `anomaly_training`: the science of `quartet.sensors.training` over windows from SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
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


def select_windows(
    sensor_windows: SensorTables,
    sensor_labels: pd.DataFrame,
    training_windows: TrainingWindows,
    sensor_svm: SensorSvm,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Closed windows of normal times, without known anomalies, and what they span.

    Where models have a context, windows are told against it, anomalies among it included.

    Raises:
        ValueError: There are none, or labels touch all of them, or a sensor that was named is
            not among them.
    """
    cursor = sensor_windows.cursor("ingestion")
    if cursor is None or cursor.watermark is None:
        raise ValueError(
            f"{sensor_windows.name} holds no closed windows: run "
            "`kedro run --pipelines sensor_ingestion` first"
        )
    windows = sensor_windows.read_windows(until=cursor.watermark)
    windows = sensor_svm.context.apply(windows)
    normal = sensors.selection.normal_windows(windows, training_windows)
    seconds = sensor_windows.window_seconds()
    known = sensors.labels.mark_windows(normal, sensor_labels, seconds)
    if known.all():
        raise ValueError(
            f"no windows to train on: the labels (sensor_labels) touch all {len(normal):,} of the "
            "training time; give them the times of anomalies only, or choose a longer time by "
            "training_windows"
        )
    normal = normal[~known].reset_index(drop=True)
    span = {
        "first_window_end": str(normal["window_end"].min()),
        "last_window_end": str(normal["window_end"].max()),
        "window_seconds": seconds,
        "windows": len(normal),
        "windows_of_known_anomalies": int(known.sum()),
        "sensors": len(normal[["device", "sensor"]].drop_duplicates()),
    }
    return normal, span


def train_models(
    normal_windows: pd.DataFrame, training_period: dict[str, Any], sensor_svm: SensorSvm
) -> tuple[Arrays, pd.DataFrame]:
    """A model for each sensor, and the sensors that got none with the reason.

    With several MPI ranks each trains the sensors of its shard; the first has all.
    """
    pairs = sorted(set(zip(normal_windows["device"], normal_windows["sensor"], strict=True)))
    mine = sensors.training.fit_model_set(
        normal_windows,
        sensor_svm,
        training_period["window_seconds"],
        sensors=ranks.shard(pairs),
    )
    parts = ranks.gather((mine.model_set.to_arrays(), mine.faults))
    if parts is None:
        return mine.model_set.to_arrays(), mine.faults
    model_sets = [sensors.model_set.SensorModels.from_arrays(arrays) for arrays, _ in parts]
    faults = pd.concat([found for _, found in parts], ignore_index=True)
    merged = sensors.model_set.SensorModels.merge(model_sets)
    return merged.to_arrays(), faults.sort_values(["device", "sensor"], ignore_index=True)


def merge_models(
    trained_models: Arrays, sensor_champion: Champion | None, training_windows: TrainingWindows
) -> Arrays:
    """Merge models of chosen sensors with the registered models of the others."""
    trained = sensors.model_set.SensorModels.from_arrays(trained_models)
    if training_windows.sensors and sensor_champion is not None:
        trained = sensors.model_set.SensorModels.merge([sensor_champion.raw, trained])
    return trained.to_arrays()


def report_models(
    merged_models: Arrays, untrained_sensors: pd.DataFrame, sensor_svm: SensorSvm
) -> tuple[dict[str, float], pd.DataFrame, Figure]:
    """Numbers and a table of the models, and a figure of their false alarms and sizes.

    Raises:
        ValueError: No sensor got a model.
    """
    model_set = sensors.model_set.SensorModels.from_arrays(merged_models)
    if not len(model_set):
        reasons = untrained_sensors["reason"].value_counts()
        raise ValueError(
            f"none of the {len(untrained_sensors)} sensors got a model; most often: "
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
    }
    figure = sensors.figures.false_alarms(
        model_set.false_alarm_rate, sensor_svm.nu, model_set.sizes
    )
    return metrics, model_set.summary(), figure
