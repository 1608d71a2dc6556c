"""Evaluation of alarms: alarm rates, and precision and recall of windows and of events.

No point adjustment is used. It counts an anomaly as found completely if one of its points was,
which makes random alarms look good (Kim et al., "Towards a rigorous evaluation of time-series
anomaly detection", AAAI 2022). Events are counted as by Sehili and Zhang, "Multivariate time
series anomaly detection: fancy algorithms and flawed evaluation methodology" (arXiv:2308.13068):
a labelled event is found if any of its windows has an alarm, and a run of consecutive alarms that
touches no event is one false alarm. A permanent alarm would be a single run, so precision is
multiplied by the share of normal windows without an alarm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.labels import match_labels

Mask = NDArray[np.bool_]
"""Shape (w,), one per window."""


class PointScores(NamedTuple):
    """Precision, recall and F1 of windows; 0 where undefined."""

    precision: float
    recall: float
    f1: float


class EventScores(NamedTuple):
    """Precision, recall and F1 of labelled events.

    Attributes:
        precision: found / (found + false_alarms), times 1 - false_alarm_rate.
        recall: found / events.
        f1: Harmonic mean of both.
        events: Number of labels within the time of the windows.
        found: Number of those with an alarm in one of their windows.
        false_alarms: Number of runs of alarms that touch no label.
        false_alarm_rate: Share of normal windows with an alarm.
    """

    precision: float
    recall: float
    f1: float
    events: int
    found: int
    false_alarms: int
    false_alarm_rate: float


def alarm_rates(windows: pd.DataFrame, alarms: Mask) -> pd.DataFrame:
    """Return the alarm rate of each sensor and each device.

    Args:
        windows: Columns `device` and `sensor`, w rows.
        alarms: Shape (w,).

    Returns:
        Columns `device`, `sensor`, `windows`, `alarms` and `alarm_rate`, ascending by name. A row
        with an empty `sensor` is the total of its device.
    """
    table = windows[["device", "sensor"]].astype(str).assign(alarm=np.asarray(alarms, dtype=bool))
    both = pd.concat([table, table.assign(sensor="")])
    groups = both.groupby(["device", "sensor"], sort=True)["alarm"]
    counted = groups.agg(windows="size", alarms="sum").reset_index()
    return counted.assign(alarm_rate=counted["alarms"] / counted["windows"].clip(lower=1))


def point_scores(alarms: Mask, anomalous: Mask) -> PointScores:
    """Return precision, recall and F1 over single windows.

    Args:
        alarms: Shape (w,).
        anomalous: Shape (w,): the ground truth, as `labels.mark_windows` returns it.
    """
    correct = float((alarms & anomalous).sum())
    precision, recall = _ratio(correct, alarms.sum()), _ratio(correct, anomalous.sum())
    return PointScores(precision, recall, _f1(precision, recall))


def event_scores(
    windows: pd.DataFrame, alarms: Mask, labels: pd.DataFrame, window_seconds: int
) -> EventScores:
    """Return precision, recall and F1 over events.

    Args:
        windows: Columns `device`, `sensor` and `window_end`, w rows in any order.
        alarms: Shape (w,).
        labels: Columns `labels.LABEL_COLUMNS`, one row per event. Events before the first or
            after the last window of their sensor are left out; events in a gap count as missed.
        window_seconds: Length of the windows.
    """
    alarms = np.asarray(alarms, dtype=bool)
    matches = match_labels(windows, labels, window_seconds)
    events = int(matches.covered.sum())
    found = len(np.unique(matches.label[alarms[matches.window]]))
    anomalous = np.zeros(len(windows), dtype=bool)
    anomalous[matches.window] = True
    run = _number_runs(windows, alarms)
    runs = len(np.unique(run[alarms]))
    false_alarms = runs - len(np.unique(run[alarms & anomalous]))
    rate = _ratio((alarms & ~anomalous).sum(), (~anomalous).sum())
    precision = _ratio(found, found + false_alarms) * (1 - rate)
    recall = _ratio(found, events)
    f1 = _f1(precision, recall)
    return EventScores(precision, recall, f1, events, found, false_alarms, rate)


def _number_runs(windows: pd.DataFrame, alarms: Mask) -> NDArray[np.int64]:
    """Number the runs of consecutive windows of a sensor with, or without, an alarm; shape (w,)."""
    devices, _ = pd.factorize(windows["device"])
    sensors, _ = pd.factorize(windows["sensor"])
    order = np.lexsort((windows["window_end"].to_numpy(), sensors, devices))
    keys = np.stack([devices, sensors, alarms])[:, order]
    changes = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    run = np.zeros(len(order), dtype=np.int64)
    run[order[1:]] = np.cumsum(changes)
    return run


def _ratio(part: float, total: float) -> float:
    return float(part / total) if total else 0.0


def _f1(precision: float, recall: float) -> float:
    return _ratio(2 * precision * recall, precision + recall)
