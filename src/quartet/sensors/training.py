"""Training of a fleet: one scaled one-class SVM per sensor, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import config_context
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from quartet.sensors.context import NO_CONTEXT
from quartet.sensors.devices import combine
from quartet.sensors.features import Scale, fit_scale, window_features
from quartet.sensors.machines import MIN_QUANTILE_VALUES, CalibratedMachine, calibrate, tune
from quartet.sensors.model_set import SensorModels
from quartet.sensors.models import (
    ONE_CLASS_SVM,
    QUANTILES,
    ROBUST_Z_SCORE,
    Pair,
    SensorModel,
    compute_p_values,
)
from quartet.sensors.robust import MIN_WINDOWS, fit_robust
from quartet.sensors.seasonality import LOCATION_FEATURES, fit_season
from quartet.sensors.settings import SensorSvm
from quartet.sensors.windows import group_rows

Array = NDArray[np.float64]

_CHUNK_SENSORS = 16
"""Number of sensors that a worker receives at a time."""
_MIN_SENSORS_FOR_WORKERS = 40
"""With fewer sensors, starting processes takes longer than training."""


class Series(NamedTuple):
    """The windows of a sensor in the order of time.

    Attributes:
        features: Shape (w, d).
        ends: Ends of the windows, in microseconds since the Unix epoch; shape (w,).
        means: Means of the windows; shape (w,).
        window_seconds: Length of the windows.
    """

    features: Array
    ends: NDArray[np.int64]
    means: Array
    window_seconds: int

    @property
    def until(self) -> int:
        """End of the last window; 0 for none."""
        return int(self.ends[-1]) if len(self.ends) else 0


Chunk = Sequence[tuple[Pair, Series]]
Results = list[tuple[Pair, "SensorModel | str"]]
"""The model of each sensor, or the reason why it has none."""


class TrainingResult(NamedTuple):
    """The models of a fleet.

    Attributes:
        model_set: The models.
        untrained: Sensors without a model: `device`, `sensor`, `windows`, `reason`.
        device_scores: Scores of devices in the training windows, by models of their sensors that
            were not fitted to the window: `device`, `window_end` (microseconds), `score`.
    """

    model_set: SensorModels
    untrained: pd.DataFrame
    device_scores: pd.DataFrame


def fit_model_set(
    windows: pd.DataFrame,
    settings: SensorSvm,
    window_seconds: int,
    *,
    sensors: Iterable[Pair] | None = None,
    progress: bool = True,
) -> TrainingResult:
    """Train a model for each sensor.

    A model depends neither on the number of workers nor on the other sensors: shards of a fleet
    that are trained separately and merged give the same model set.

    Args:
        windows: Normal windows, in any order; the columns of `quartet.sensors.windows`. Windows
            of sensors with a context are already normalised; the column `relative` marks them.
            Without that column, all windows are if `settings.context_hours` is not 0.
        settings: Parameters of the models.
        window_seconds: Length of the windows.
        sensors: Sensors to train, as (device, sensor); those without windows are reported as
            untrained. By default all sensors with windows.
        progress: Whether to show a progress bar on a terminal.

    Returns:
        The model set, and the sensors without a model with the reason.

    Raises:
        ValueError: A column of the windows is missing or has NaN.
        RuntimeError: A worker process was killed.
    """
    series = _group_by_sensor(windows, settings, window_seconds)
    relative = windows["relative"] if "relative" in windows else bool(settings.context_hours)
    keys = windows[["device", "sensor"]].astype(str).assign(relative=relative)
    relative_pairs = set(keys[keys["relative"]].itertuples(index=False, name=None))
    if sensors is not None:
        chosen = {(str(device), str(sensor)) for device, sensor in sensors}
        features = np.empty((0, len(settings.features)))
        empty = Series(features, np.empty(0, np.int64), np.empty(0), window_seconds)
        series = {pair: series.get(pair, empty) for pair in sorted(chosen)}
    models: dict[Pair, SensorModel] = {}
    device_scores: dict[str, pd.Series] = {}
    untrained = []
    for pair, result in _fit_all(series, settings, progress):
        if isinstance(result, SensorModel):
            is_relative = (*pair, True) in relative_pairs
            models[pair] = replace(result, relative=is_relative, held_out=np.empty(0))
            terms = pd.Series(combine(result.held_out), series[pair].ends)
            earlier = device_scores.get(pair[0])
            device_scores[pair[0]] = terms if earlier is None else earlier.add(terms, fill_value=0)
        else:
            untrained.append((*pair, len(series[pair].features), result))
    table = pd.DataFrame(sorted(untrained), columns=["device", "sensor", "windows", "reason"])
    table = table.astype({"windows": np.int64})
    model_set = SensorModels.from_models(
        models,
        settings.features,
        window_seconds,
        settings.context_for(window_seconds) if relative_pairs else NO_CONTEXT,
    )
    return TrainingResult(model_set, table, _make_device_table(device_scores))


def _make_device_table(device_scores: Mapping[str, pd.Series]) -> pd.DataFrame:
    columns = ["device", "window_end"]
    if not device_scores:
        return pd.DataFrame(columns=[*columns, "score"])
    ordered = dict(sorted(device_scores.items()))
    return pd.concat(ordered, names=columns).rename("score").reset_index()


def _group_by_sensor(
    windows: pd.DataFrame, settings: SensorSvm, window_seconds: int
) -> dict[Pair, Series]:
    """Return the series by (device, sensor), ascending."""
    features = window_features(windows, settings.features)
    means = window_features(windows, ("mean",))[:, 0]
    ends = windows["window_end"].to_numpy().astype("datetime64[us]").astype(np.int64)
    return {
        pair: Series(np.ascontiguousarray(features[rows]), ends[rows], means[rows], window_seconds)
        for pair, rows in group_rows(windows).items()
    }


def _fit_all(
    series: Mapping[Pair, Series], settings: SensorSvm, progress: bool
) -> Iterator[tuple[Pair, SensorModel | str]]:
    """Yield each sensor's model, or the reason why it has none, as soon as it is trained."""
    items = list(series.items())
    chunks = [
        items[first : first + _CHUNK_SENSORS] for first in range(0, len(items), _CHUNK_SENSORS)
    ]
    with tqdm(
        total=len(items),
        desc="training models",
        unit="sensor",
        disable=None if progress else True,
        delay=2,
    ) as bar:
        for results in _fit_chunks(chunks, settings, min(settings.workers, len(chunks))):
            bar.update(len(results))
            yield from results


def _fit_chunks(chunks: Sequence[Chunk], settings: SensorSvm, workers: int) -> Iterator[Results]:
    if workers <= 1 or sum(map(len, chunks)) < _MIN_SENSORS_FOR_WORKERS:
        for chunk in chunks:
            yield fit_chunk(chunk, settings)
        return
    # Spawned, not forked: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        try:
            tasks = [pool.submit(fit_chunk, chunk, settings) for chunk in chunks]
            for task in as_completed(tasks):
                yield task.result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker process that trained models was killed, probably for lack of memory; "
                f"set sensor_svm.workers below {settings.workers}"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def fit_chunk(chunk: Chunk, settings: SensorSvm) -> Results:
    """Train a model for each sensor of a chunk, or return the reason why it has none."""
    results: Results = []
    # Matrix products of this size are slower with threads.
    with (
        threadpool_limits(1, user_api="blas"),
        config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        for pair, series in chunk:
            try:
                results.append((pair, _fit_seasonal_model(series, settings)))
            except ValueError as error:
                results.append((pair, str(error)))
    return results


def _fit_seasonal_model(series: Series, settings: SensorSvm) -> SensorModel:
    """Train one sensor's model on its windows less their season, if it has one."""
    seasonality = settings.seasonality
    if seasonality == "auto" and settings.nu * (len(series.ends) + 1) < 1:
        seasonality = "none"  # the threshold would be an extrapolation, see `DeviceAlarms`
    season = fit_season(series.means, series.ends, series.window_seconds, seasonality)
    locations = np.isin(settings.features, LOCATION_FEATURES)
    features = series.features - season.offsets[:, None] * locations
    return replace(fit_model(features, series.until, settings), profile=season.profile)


def fit_model(features: Array, until: int, settings: SensorSvm) -> SensorModel:
    """Train one sensor's model: a one-class SVM, or with few windows a robust z-score.

    The false-alarm rate is measured on the latest windows, by a model of the earlier ones with the
    same kernel width. The returned model is trained on all.

    Args:
        features: Shape (w, d), of normal windows in the order of time.
        until: End of the last window, in microseconds since the Unix epoch.
        settings: Parameters of the model; `min_windows` for a one-class SVM.

    Returns:
        The model; its `held_out` has a p-value for each of the w windows.

    Raises:
        ValueError: The sensor has too few windows, or its values never change.
    """
    if len(features) < MIN_WINDOWS:
        raise ValueError(f"{len(features)} windows, fewer than {MIN_WINDOWS}")
    # The same seed for each sensor, so that its model does not depend on the others.
    generator = np.random.default_rng(settings.seed)
    complete, kept = features, np.arange(len(features))
    if len(features) > settings.max_windows:
        kept = np.sort(generator.choice(len(features), settings.max_windows, replace=False))
        features = features[kept]
    is_svm = len(features) >= settings.min_windows
    scale, calibrated, false_alarm_rate = (
        _fit_svm(features, settings, generator) if is_svm else _fit_z_score(features, settings)
    )
    machine = calibrated.machine
    scores = machine.score(scale.apply(complete))
    scores[kept] = calibrated.held_out  # the model itself was trained on these windows
    return SensorModel(
        *scale,
        vectors=machine.vectors,
        coefficients=machine.coefficients,
        intercept=machine.intercept,
        gamma=machine.gamma,
        threshold=calibrated.threshold,
        nu=settings.nu,
        windows=len(features),
        false_alarm_rate=false_alarm_rate,
        trained_until=until,
        quantiles=np.quantile(np.maximum(features, scale.lowest), QUANTILES, axis=0).T,
        calibration=calibrated.calibration,
        held_out=compute_p_values(calibrated.calibration[None], scores),
        method=ONE_CLASS_SVM if is_svm else ROBUST_Z_SCORE,
    )


def _fit_svm(
    features: Array, settings: SensorSvm, generator: np.random.Generator
) -> tuple[Scale, CalibratedMachine, float]:
    """Fit a one-class SVM; return the scale of its inputs, the SVM and its false-alarm rate."""
    scale = fit_scale(features, settings.features)
    inputs = scale.apply(features)
    calibrated = tune(inputs, settings, generator)
    split = _split_index(len(features), settings)
    check = calibrate(inputs[:split], calibrated.machine.gamma, settings)
    alarms = int((check.machine.score(inputs[split:]) < check.threshold).sum())
    return scale, calibrated, alarms / (len(features) - split)


def _fit_z_score(features: Array, settings: SensorSvm) -> tuple[Scale, CalibratedMachine, float]:
    """Fit a robust z-score; return the scale of its inputs, the score and its false-alarm rate."""
    scale, calibrated = fit_robust(features, settings.features, settings.nu)
    split = max(_split_index(len(features), settings), MIN_QUANTILE_VALUES)
    later = features[split:]
    try:
        check_scale, check = fit_robust(features[:split], settings.features, settings.nu)
    except ValueError:  # the earlier values never change, so each change is an alarm
        alarms = len(later)
    else:
        alarms = int((check.machine.score(check_scale.apply(later)) < check.threshold).sum())
    return scale, calibrated, alarms / len(later)


def _split_index(windows: int, settings: SensorSvm) -> int:
    """Return the index of the first window on which the false-alarm rate is measured."""
    return windows - max(1, round(settings.validation_fraction * windows))
