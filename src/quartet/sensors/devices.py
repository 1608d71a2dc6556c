"""Alarms of devices: the scores of all sensors of a device, combined and followed over time.

A score becomes a p-value by the scores of the sensor's own normal windows, so that the scores of
different sensors can be compared. The p-values of a device's sensors at a time are combined by
TFisher with soft thresholding, the sum of 2 ln(tau / p) over all p below tau (Zhang, Tong, Landers
and Wu, "TFisher: a powerful truncation and weighting procedure for combining p-values", Annals of
Applied Statistics 14, 2020): one very unusual sensor counts as well as several unusual ones.

The threshold of a device is the quantile at 1 - nu of its normal training windows, each scored by
models that were not fitted to it. If there are more than twice as many events as expected within
the last weeks, the machine has changed, and each of them raises the threshold. An event begins when
enough windows are above the threshold, and ends when none has been for a while.

With fewer than 1/nu training windows the threshold is an extrapolation, whose false-alarm rate
training cannot confirm. Then it follows the scores: each event raises it, and each window lowers it
by nu times as much, so that drift does not cause alarms forever (online quantile regression, as in
Gibbs and Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021, whose
update is of the probability instead of the threshold). Events instead of windows, so that a long
anomaly does not hide the next one. It never falls below the trained one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.machines import MIN_QUANTILE_VALUES, lower_quantile
from quartet.sensors.model_set import SensorModels
from quartet.sensors.models import compute_p_values
from quartet.sensors.settings import DeviceAlarms

Array = NDArray[np.float64]

ALARM_COLUMNS = (
    "device",
    "sensor",
    "window_end",
    "score",
    "threshold",
    "event_start",
    "sensors",
    "revision",
)
TRUNCATION = 0.05
"""p-value above which a sensor does not count; so the many normal sensors of a large device do not
hide an unusual one."""
_MAX_NAMED = 5
"""Maximum number of sensors that an alarm names."""
_HORIZON_EVENTS = 5
"""Number of events at the target rate within the time that adapts a threshold."""
_MAX_EXCESS = 2
"""Number of events above which the threshold rises, as a multiple of the expected number."""
_LOW_FACTOR = 10
"""Runs of windows above a threshold are counted at a lower one, which a share of so many times nu
exceeds: above that of nu there are too few."""


def score_devices(model_set: SensorModels, scores: pd.DataFrame) -> pd.DataFrame:
    """Combine the scores of each device's sensors.

    Args:
        model_set: The models.
        scores: `device`, `sensor`, `window_end` and `score` of sensors with a model; `revision` if
            it is known.

    Returns:
        One row per device and window, ascending: `device`, `sensor` (the most unusual), `sensors`
        (up to five unusual ones, the most unusual first), `window_end`, `score`, `revision`.
    """
    model = model_set.locate(scores)
    values = compute_p_values(model_set.calibration[model], scores["score"].to_numpy(np.float64))
    table = pd.DataFrame(
        {
            "device": scores["device"].astype(str).to_numpy(),
            "sensor": scores["sensor"].astype(str).to_numpy(),
            "window_end": scores["window_end"].to_numpy(),
            "term": combine(values),
            "revision": scores["revision"].to_numpy() if "revision" in scores else 0,
        }
    )
    keys = ["device", "window_end"]
    table = table.sort_values([*keys, "term", "sensor"], ascending=[True, True, False, True])
    groups = table.groupby(keys, sort=True)
    combined = groups.agg(
        sensor=("sensor", "first"), score=("term", "sum"), revision=("revision", "max")
    )
    unusual = table[table["term"] > 0]
    ranked = unusual[unusual.groupby(keys).cumcount() < _MAX_NAMED]
    names = ranked.groupby(keys)["sensor"].agg(", ".join)
    return combined.assign(sensors=names.reindex(combined.index, fill_value="")).reset_index()


def combine(values: Array) -> Array:
    """Return each p-value's term of the score of its device; shape (w,)."""
    return np.asarray(np.maximum(2 * np.log(TRUNCATION / values), 0))


def fit_thresholds(model_set: SensorModels, held_out: pd.DataFrame, nu: float) -> SensorModels:
    """Return the models with the thresholds of their devices.

    Args:
        model_set: The models.
        held_out: `device`, `window_end` and `score` of the training windows, by models that were
            not fitted to them. The rows of a device and window, as of several ranks, are added.
        nu: Target share of windows above the threshold.
    """
    ordered = held_out.groupby(["device", "window_end"], as_index=False)["score"].sum()
    found = {
        str(device): _fit_threshold(scores.to_numpy(np.float64), nu)
        for device, scores in ordered.groupby("device")["score"]
    }
    rows = np.array([found.get(device, (np.nan, nu)) for device, _ in model_set.pairs])
    threshold, event_rate = rows.reshape(-1, 2).T
    known = ~np.isnan(threshold)
    return replace(
        model_set,
        device_threshold=np.where(known, threshold, model_set.device_threshold),
        device_event_rate=np.where(known, event_rate, model_set.device_event_rate),
    )


def _fit_threshold(scores: Array, nu: float) -> tuple[float, float]:
    """Return the threshold of a device's scores, in the order of time, and the rate of events."""
    if len(scores) < MIN_QUANTILE_VALUES:
        return np.nan, nu
    threshold = -lower_quantile(-scores, nu)
    low = -lower_quantile(-scores, min(0.5, _LOW_FACTOR * nu))
    above = scores > low
    runs = int(above[0]) + int((above[1:] & ~above[:-1]).sum())
    # A run is one event, so there are as many events as windows above, divided by its mean length.
    return float(threshold), float(nu * runs / above.sum()) if runs else nu


def raise_alarms(
    model_set: SensorModels,
    scored: pd.DataFrame,
    history: pd.DataFrame,
    settings: DeviceAlarms,
    earlier: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Raise the alarms of devices.

    The same windows, history and earlier windows give the same alarms, whichever run scores them.

    Args:
        model_set: The models, with the thresholds of their devices.
        scored: What `score_devices` returned for windows of any time.
        history: Alarms of earlier windows, the columns `ALARM_COLUMNS`.
        settings: Adaptation of the threshold, and duration of events.
        earlier: What `score_devices` returned for windows that other runs scored. Those above the
            threshold count among the required windows of an event, also without an alarm.

    Returns:
        The windows of `scored` above their threshold: the columns `ALARM_COLUMNS`; those with the
        same device and `event_start` are one event.
    """
    devices = pd.Series([device for device, _ in model_set.pairs], dtype=object)
    thresholds = pd.Series(model_set.device_threshold).groupby(devices).max()
    rates = pd.Series(model_set.device_event_rate).groupby(devices).max()
    seconds = model_set.window_seconds
    keys = ["device", "window_end"]
    index = pd.MultiIndex.from_frame(scored[keys])
    earlier = scored[:0] if earlier is None else earlier
    # Windows that are scored again replace their alarms and scores of earlier runs.
    history, earlier = (
        table[~pd.MultiIndex.from_frame(table[keys]).isin(index)] for table in (history, earlier)
    )
    alarms, before = (
        dict(list(table.groupby(table["device"].astype(str)))) for table in (history, earlier)
    )
    extrapolated = _find_extrapolated(model_set)
    parts = []
    for device, windows in scored.groupby("device", sort=True):
        limit = float(thresholds[device])
        if np.isnan(limit):
            continue
        known = alarms.get(str(device), history.iloc[:0]).sort_values("window_end")
        nu, trained_until = extrapolated.get(str(device), (0.0, known["window_end"].min()))
        known = known[known["window_end"] >= trained_until]
        other = _list_scores(before.get(str(device), earlier.iloc[:0]).sort_values("window_end"))
        follower = _Follower(limit, float(rates[device]), seconds, settings, known, other, nu)
        rows = [follower.follow(*pair) for pair in _list_scores(windows)]
        starts = np.array([start for start, _ in rows], np.int64)
        found = windows.assign(threshold=[each for _, each in rows])
        found["event_start"] = starts.astype("datetime64[s]")
        parts.append(found[starts > 0])
    if not parts:
        return pd.DataFrame(columns=list(ALARM_COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(ALARM_COLUMNS)]


def _list_scores(windows: pd.DataFrame) -> list[tuple[int, float]]:
    """Return the end of each window, in seconds since the epoch, and its score."""
    ends = windows["window_end"].to_numpy().astype("datetime64[s]").astype(np.int64)
    return list(zip(ends.tolist(), windows["score"].tolist(), strict=True))


def _find_extrapolated(model_set: SensorModels) -> dict[str, tuple[float, pd.Timestamp]]:
    """Return nu and the end of training of devices whose threshold is an extrapolation."""
    table = pd.DataFrame(
        {
            "device": [device for device, _ in model_set.pairs],
            "windows": model_set.windows,
            "nu": model_set.nu,
            "until": pd.to_datetime(model_set.trained_until, unit="us"),
        }
    )
    most = table.groupby("device").max()
    few = most[most["nu"] * (most["windows"] + 1) < 1]
    return dict(zip(few.index, zip(few["nu"], few["until"], strict=True), strict=True))


def compute_reach(model_set: SensorModels) -> pd.Timedelta:
    """Return the length of the time before a window whose alarms its threshold depends on."""
    rates = model_set.device_event_rate[~np.isnan(model_set.device_threshold)]
    windows = _HORIZON_EVENTS / rates.min() if len(rates) else 0
    return pd.Timedelta(seconds=float(windows * model_set.window_seconds))


def mark_events(windows: pd.DataFrame, alarms: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which windows are within an event of their device, from its start to its last alarm.

    Args:
        windows: `device` and `window_end`; w rows.
        alarms: What `raise_alarms` returned.
    """
    marked = np.zeros(len(windows), dtype=bool)
    ends, devices = windows["window_end"], windows["device"].astype(str)
    for (device, start), event in alarms.groupby(["device", "event_start"]):
        within = (ends >= start) & (ends <= event["window_end"].max())
        marked |= (within & (devices == str(device))).to_numpy()
    return marked


class _Follower:
    """Follows the scores of a device over time.

    Times are in seconds since the epoch.
    """

    def __init__(
        self,
        threshold: float,
        event_rate: float,
        window_seconds: int,
        settings: DeviceAlarms,
        history: pd.DataFrame,
        earlier: list[tuple[int, float]],
        nu: float = 0.0,
    ) -> None:
        """Start after the alarms of `history`; with nu, the threshold follows the scores.

        The ends and scores of `earlier` windows only count among the required ones.
        """
        self._threshold = threshold
        self._horizon = _HORIZON_EVENTS / event_rate * window_seconds
        self._seconds = window_seconds
        self._settings = settings
        ends, starts = (
            history[name].to_numpy().astype("datetime64[s]").astype(np.int64)
            for name in ("window_end", "event_start")
        )
        thresholds = history["threshold"].tolist()
        self._history = deque(zip(ends.tolist(), starts.tolist(), thresholds, strict=True))
        self._earlier = deque(earlier)
        self._nu = nu
        self._start_threshold = threshold
        self._starts: deque[int] = deque()
        self._recent: deque[int] = deque(maxlen=settings.required_windows)
        self._last, self._event = -np.inf, 0

    def follow(self, end: int, score: float) -> tuple[int, float]:
        """Return the start of the window's event, 0 for none, and the threshold."""
        while self._earlier and self._earlier[0][0] < end:
            self._compare(*self._earlier.popleft())
        threshold = self._compare(end, score)
        if score <= threshold:
            return 0, threshold
        settings = self._settings
        within = end - self._recent[0] < settings.within_windows * self._seconds
        continues = end - self._last <= settings.cool_down_windows * self._seconds
        if continues:
            self._extend(end, self._event, threshold)
        elif within and len(self._recent) == settings.required_windows:
            self._extend(end, end, threshold)
        else:
            return 0, threshold
        return self._event, threshold

    def _compare(self, end: int, score: float) -> float:
        """Return the threshold of a window, and count the window if it is above."""
        while self._history and self._history[0][0] < end:
            self._extend(*self._history.popleft())
        threshold = self._compute_threshold(end)
        if score > threshold:
            self._recent.append(end)
        return threshold

    def _compute_threshold(self, end: int) -> float:
        while self._starts and self._starts[0] <= end - self._horizon:
            self._starts.popleft()
        step = self._settings.adaptation
        if self._nu:
            since = end - self._event
            # The history goes back as far as the horizon; multiples of a threshold of 0 are 0.
            if not step or not self._threshold or since > self._horizon:
                return self._threshold
            falling = step * self._nu * since / self._seconds
            raised = np.log(self._start_threshold / self._threshold) + step - falling
        else:
            raised = step * (len(self._starts) - _MAX_EXCESS * _HORIZON_EVENTS)
        return float(self._threshold * np.exp(max(raised, 0.0)))

    def _extend(self, end: int, start: int, threshold: float) -> None:
        if start != self._event:
            self._starts.append(start)
            self._start_threshold = threshold
        self._last, self._event = end, start
