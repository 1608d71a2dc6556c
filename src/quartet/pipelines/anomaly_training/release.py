"""Approval of the new model set for the registry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import lazy_loader
from numpy.typing import NDArray

from quartet import __version__, sensors
from quartet.datasets.checkpoint import fingerprint
from quartet.sensors.settings import SensorRelease, SensorSvm

from .card import make_card

if TYPE_CHECKING:
    import pandas as pd

    from quartet.datasets.registered_model import Champion, ModelRelease
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    Champion = ModelRelease = Any


def make_release(
    merged_models: dict[str, NDArray[Any]],
    anomaly_training_metrics: Mapping[str, float],
    sensor_champion: Champion | None,
    normal_windows: pd.DataFrame,
    sensor_svm: SensorSvm,
    sensor_release: SensorRelease,
) -> ModelRelease:
    """Approve a model set that is new and whose false-alarm rate is close to the target."""
    from quartet.datasets.registered_model import ModelRelease

    model_set = sensors.model_set.SensorModels.from_arrays(merged_models)
    metrics, checksum = anomaly_training_metrics, _checksum(normal_windows)
    approved, reason = _evaluate(
        model_set.version, metrics, sensor_champion, sensor_svm, sensor_release
    )
    return ModelRelease(
        approved=approved,
        reason=reason,
        loader_module="quartet.sensors.serving",
        files={sensors.serving.MODEL_FILE: model_set.to_bytes()},
        requirements=sensors.serving.REQUIREMENTS,
        input_example=normal_windows.drop(columns=["revision", "relative"], errors="ignore").head(
            3
        ),
        tags={
            "model_set_version": model_set.version,
            "train_data_sha256": checksum,
            "quartet_version": __version__,
            **{f"metric.{name}": f"{value:.6g}" for name, value in metrics.items()},
            **{f"parameter.{name}": str(value) for name, value in sensor_svm},
            **{f"library.{name}": version(name) for name in sensors.serving.REQUIREMENTS},
        },
        card=make_card(metrics, normal_windows, checksum),
    )


def _checksum(windows: pd.DataFrame) -> str:
    """Return a SHA-256 of the column names and values."""
    hashes = pd.util.hash_pandas_object(windows, index=False)
    return fingerprint(list(windows.columns), hashes.to_numpy())


def _evaluate(
    model_set_version: str,
    metrics: Mapping[str, float],
    champion: Champion | None,
    svm: SensorSvm,
    settings: SensorRelease,
) -> tuple[bool, str]:
    rate, nu = metrics["false_alarm_rate"], metrics["nu"]
    summary = (
        f"{metrics['models']:,} models, false-alarm rate {100 * rate:.2f} % "
        f"(target {100 * nu:.2f} %)"
    )
    if champion is not None and champion.tags.get("model_set_version") == model_set_version:
        return False, f"{summary}: the same as version {champion.version}"
    if rate <= settings.max_false_alarm_ratio * nu:
        return True, summary
    limit = f"{summary}: more than {settings.max_false_alarm_ratio:g} times the target"
    if settings.accept:
        return True, f"{limit}, accepted by sensor_release.accept"
    return False, f"{limit}; {_advise(rate, svm)}"


def _advise(rate: float, svm: SensorSvm) -> str:
    """Return what to do about a high false-alarm rate, as parameters to copy."""
    digit = 10.0 ** math.floor(math.log10(rate))
    target = min(math.ceil(rate / digit) * digit, 0.5)
    context = "compare windows with the hours before (sensor_svm.context_hours=2), "
    return (
        f"train again with --params to {'' if svm.context_hours else context}set a higher target "
        f"(sensor_svm.nu={target:g}), or register the models as they are "
        "(sensor_release.accept=true)"
    )
