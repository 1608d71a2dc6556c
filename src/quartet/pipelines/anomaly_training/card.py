"""Model card of the set of sensor models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from quartet.datasets.model_card import ModelCard, Result

if TYPE_CHECKING:
    import pandas as pd


def make_card(
    metrics: Mapping[str, float], normal_windows: pd.DataFrame, checksum: str
) -> ModelCard:
    """Return the model card of a model set.

    Args:
        metrics: Metrics of the training.
        normal_windows: Windows that the models were trained on.
        checksum: SHA-256 of the windows.
    """
    ends = normal_windows["window_end"]
    windows = int(metrics["training_windows"])
    return ModelCard(
        summary=(
            f"Scores windows of sensor readings by {metrics['models']:,} one-class models, one for "
            "each sensor, and marks those outside of its normal range as anomalies. A window is "
            "described by statistics of its readings."
        ),
        data={
            "sensors with a model": f"{metrics['models']:,}",
            "sensors without a model": f"{metrics['sensors_without_model']:,}",
            "training windows": f"{windows:,}",
            "from": f"{ends.min()}",
            "to": f"{ends.max()}",
            "SHA-256 of the windows": f"`{checksum}`",
        },
        results={
            "false-alarm rate": Result.from_share(metrics["false_alarm_rate"], windows),
            "target (nu)": Result(metrics["nu"]),
        },
        evaluation=(
            "Share of normal training windows that models without them mark as anomalies. Wilson "
            "score interval, as if windows were independent: consecutive ones are not, so it is "
            "too narrow. Precision and recall are measured by `anomaly_scoring`, where there are "
            "labels."
        ),
        intended_use=(
            "Pointing people at unusual times of sensors that are in the set, read at the same "
            "rate as in training. Not for safety functions."
        ),
        limitations=[
            "A silent sensor has no windows, so no score.",
            "Each model sees one sensor: a broken relation between sensors is not found.",
            "After a change of normal operation, every window is an anomaly until the models are "
            "trained again.",
            "Anomalies within the training windows that are not labelled become normal.",
        ],
        licences=[
            "Code: Apache License 2.0, as the project.",
            "The models contain statistics of training windows: the terms of the readings' owners "
            "apply. The committed sample is simulated, under the project's licence.",
        ],
    )
