"""Training of a fleet: a scaled one-class machine for each sensor, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import config_context
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from quartet.sensors.features import fit_scale, window_features
from quartet.sensors.machines import calibrate, tune
from quartet.sensors.model_set import SensorModels
from quartet.sensors.models import QUANTILES, Pair, SensorModel
from quartet.sensors.settings import SensorSvm

Array = NDArray[np.float64]

_SENSORS_AT_ONCE = 16
"""That a worker gets in one piece."""
_IN_PROCESS = 40
"""With fewer sensors, starting processes would take longer than training."""


class Series(NamedTuple):
    """The features of a sensor's windows in the order of time, and the last one's end in µs."""

    features: Array
    until: int


Piece = Sequence[tuple[Pair, Series]]
Results = list[tuple[Pair, "SensorModel | str"]]
"""Of each sensor its model, or the reason why it has none."""


class Trained(NamedTuple):
    """What training a fleet gives.

    Attributes:
        model_set: The models.
        faults: Sensors that got none: `device`, `sensor`, `windows`, `reason`.
    """

    model_set: SensorModels
    faults: pd.DataFrame


def fit_model_set(
    windows: pd.DataFrame,
    settings: SensorSvm,
    window_seconds: int,
    *,
    sensors: Iterable[Pair] | None = None,
    progress: bool = True,
) -> Trained:
    """Train a model for each sensor.

    The result depends neither on the number of workers nor on which other sensors are trained
    with one: the shards of a fleet, trained apart and merged, are the fleet's model set.

    Args:
        windows: Normal windows, in any order; the columns of `quartet.sensors.windows`. Where the
            settings have a context, told against it already.
        settings: How.
        window_seconds: Length of the windows.
        sensors: Only these (device, sensor) are trained; those of them without windows are
            among the faults. All that have windows, if not given.
        progress: Whether to show a bar, where there is a terminal to show it on.

    Returns:
        The model set, and the sensors that got no model with the reason.

    Raises:
        ValueError: Windows lack a column, or what is in it is no number.
        RuntimeError: A worker process was killed.
    """
    series = _series(windows, settings)
    if sensors is not None:
        wanted = {(str(device), str(sensor)) for device, sensor in sensors}
        nothing = Series(np.empty((0, len(settings.features))), 0)
        series = {pair: series.get(pair, nothing) for pair in sorted(wanted)}
    models: dict[Pair, SensorModel] = {}
    faults = []
    for pair, result in _fit_all(series, settings, progress):
        if isinstance(result, SensorModel):
            models[pair] = result
        else:
            faults.append((*pair, len(series[pair].features), result))
    table = pd.DataFrame(sorted(faults), columns=["device", "sensor", "windows", "reason"])
    table = table.astype({"windows": np.int64})
    model_set = SensorModels.from_models(
        models, settings.features, window_seconds, settings.context
    )
    return Trained(model_set, table)


def _series(windows: pd.DataFrame, settings: SensorSvm) -> dict[Pair, Series]:
    """By (device, sensor), ascending."""
    features = window_features(windows, settings.features)
    ends = windows["window_end"].to_numpy().astype("datetime64[us]").astype(np.int64)
    devices, device_names = pd.factorize(windows["device"], sort=True)
    sensors, sensor_names = pd.factorize(windows["sensor"], sort=True)
    order = np.lexsort((ends, sensors, devices))
    features, ends = np.ascontiguousarray(features[order]), ends[order]
    devices, sensors = devices[order], sensors[order]
    changes = (np.diff(devices) != 0) | (np.diff(sensors) != 0)
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(order)] if len(order) else [0]
    found = {}
    for first, last in pairwise(bounds):
        pair = str(device_names[devices[first]]), str(sensor_names[sensors[first]])
        found[pair] = Series(features[first:last], int(ends[last - 1]))
    return found


def _fit_all(
    series: Mapping[Pair, Series], settings: SensorSvm, progress: bool
) -> Iterator[tuple[Pair, SensorModel | str]]:
    """A model or the reason why there is none, for each sensor as soon as it is there."""
    items = list(series.items())
    pieces = [
        items[first : first + _SENSORS_AT_ONCE] for first in range(0, len(items), _SENSORS_AT_ONCE)
    ]
    with tqdm(
        total=len(items),
        desc="training models",
        unit="sensor",
        disable=None if progress else True,
        delay=2,
    ) as bar:
        for results in _in_workers(pieces, settings, min(settings.workers, len(pieces))):
            bar.update(len(results))
            yield from results


def _in_workers(pieces: Sequence[Piece], settings: SensorSvm, workers: int) -> Iterator[Results]:
    if workers <= 1 or sum(map(len, pieces)) < _IN_PROCESS:
        for piece in pieces:
            yield fit_piece(piece, settings)
        return
    # Spawned, not forked: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        try:
            tasks = [pool.submit(fit_piece, piece, settings) for piece in pieces]
            for task in as_completed(tasks):
                yield task.result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a process that trained models was killed, most often for want of memory; "
                f"set sensor_svm.workers below {settings.workers}"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def fit_piece(piece: Piece, settings: SensorSvm) -> Results:
    """A model for each sensor of a piece, or the reason why there is none."""
    results: Results = []
    # Threads within such small products only wait for each other.
    with (
        threadpool_limits(1, user_api="blas"),
        config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        for pair, (features, until) in piece:
            try:
                results.append((pair, fit_model(features, until, settings)))
            except ValueError as error:
                results.append((pair, str(error)))
    return results


def fit_model(features: Array, until: int, settings: SensorSvm) -> SensorModel:
    """Train one sensor's model.

    Args:
        features: Shape (w, d), of normal windows in the order of time.
        until: End of the last one, in microseconds since the Unix epoch.
        settings: How.

    Raises:
        ValueError: The sensor has too few windows, or its values never change.
    """
    if len(features) < settings.minimum_windows:
        raise ValueError(f"{len(features)} windows, fewer than {settings.minimum_windows}")
    # The same for each sensor, so that its model does not depend on who is trained before it.
    generator = np.random.default_rng(settings.seed)
    if len(features) > settings.most_windows:
        kept = generator.choice(len(features), settings.most_windows, replace=False)
        features = features[np.sort(kept)]
    scale = fit_scale(features, settings.features)
    inputs = scale.apply(features)
    machine, threshold = tune(inputs, settings, generator)
    earlier = len(inputs) - max(1, round(settings.held_back * len(inputs)))
    check = calibrate(inputs[:earlier], machine.gamma, settings)
    alarms = check.machine.score(inputs[earlier:]) < check.threshold
    return SensorModel(
        *scale,
        vectors=machine.vectors,
        coefficients=machine.coefficients,
        intercept=machine.intercept,
        gamma=machine.gamma,
        threshold=threshold,
        nu=settings.nu,
        windows=len(inputs),
        false_alarm_rate=float(alarms.mean()),
        trained_until=until,
        quantiles=np.quantile(np.maximum(features, scale.lowest), QUANTILES, axis=0).T,
    )
