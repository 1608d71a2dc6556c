"""How good alarms are: rates, and precision and recall of windows and of events.

Nothing is adjusted. The point-adjust of many papers, which takes all of an anomaly as found
when one point of it was, lets random alarms look good (Kim et al., "Towards a rigorous
evaluation of time-series anomaly detection", AAAI 2022). Events are counted as by Sehili and
Zhang, "Multivariate time series anomaly detection: fancy algorithms and flawed evaluation
methodology" (arXiv:2308.13068): a labelled event is found if any of its windows has an alarm,
and an uninterrupted row of alarms that touches no event is one false alarm. So that to cry
without end, one row of alarms, is not rewarded, precision is multiplied by the share of normal
windows without an alarm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.drift import drift
from quartet.sensors.labels import touched_windows

__all__ = [
    "EventScores",
    "PointScores",
    "alarm_rates",
    "drift",
    "event_scores",
    "point_scores",
]

Marks = NDArray[np.bool_]
"""Shape (w,), one a window."""


class PointScores(NamedTuple):
    """Of windows: precision, recall and their harmonic mean; 0 where there is nothing to count."""

    precision: float
    recall: float
    f1: float


class EventScores(NamedTuple):
    """Of labelled events.

    Attributes:
        precision: found / (found + false_alarms), times 1 - false_alarm_rate.
        recall: found / events.
        f1: Harmonic mean of both.
        events: Labels that lie in the time of the windows.
        found: Those with an alarm in one of their windows.
        false_alarms: Rows of alarms that touch no label.
        false_alarm_rate: Share of normal windows that have an alarm.
    """

    precision: float
    recall: float
    f1: float
    events: int
    found: int
    false_alarms: int
    false_alarm_rate: float


def alarm_rates(windows: pd.DataFrame, alarms: Marks) -> pd.DataFrame:
    """How often each sensor, and each device, raises an alarm.

    Args:
        windows: Columns `device` and `sensor`, w rows.
        alarms: Shape (w,).

    Returns:
        Columns `device`, `sensor`, `windows`, `alarms` and `alarm_rate`, ascending by names; a
        row with an empty `sensor` is about the whole device and comes first of its rows.
    """
    table = windows[["device", "sensor"]].astype(str).assign(alarm=np.asarray(alarms, dtype=bool))
    both = pd.concat([table, table.assign(sensor="")])
    groups = both.groupby(["device", "sensor"], sort=True)["alarm"]
    counted = groups.agg(windows="size", alarms="sum").reset_index()
    return counted.assign(alarm_rate=counted["alarms"] / counted["windows"].clip(lower=1))


def point_scores(alarms: Marks, anomalous: Marks) -> PointScores:
    """Precision, recall and F1 over windows, each for itself.

    Args:
        alarms: Shape (w,).
        anomalous: Shape (w,): the truth, as `labels.mark_windows` has it.
    """
    right = float((alarms & anomalous).sum())
    precision, recall = _ratio(right, alarms.sum()), _ratio(right, anomalous.sum())
    return PointScores(precision, recall, _harmonic(precision, recall))


def event_scores(
    windows: pd.DataFrame, alarms: Marks, labels: pd.DataFrame, window_seconds: int
) -> EventScores:
    """Precision, recall and F1 over events.

    Args:
        windows: Columns `device`, `sensor` and `window_end`, w rows in any order.
        alarms: Shape (w,).
        labels: Columns of `labels.LABEL_COLUMNS`, an event each. Events in whose time the
            sensor has no windows at all, before, in or after, are left out; those that fall
            silent in between count as missed.
        window_seconds: Length of the windows.
    """
    alarms = np.asarray(alarms, dtype=bool)
    touched = touched_windows(windows, labels, window_seconds)
    events = int(touched.covered.sum())
    found = len(np.unique(touched.label[alarms[touched.window]]))
    anomalous = np.zeros(len(windows), dtype=bool)
    anomalous[touched.window] = True
    row = _rows_of_alarms(windows, alarms)
    rows = len(np.unique(row[alarms]))
    false_alarms = rows - len(np.unique(row[alarms & anomalous]))
    rate = _ratio((alarms & ~anomalous).sum(), (~anomalous).sum())
    precision = _ratio(found, found + false_alarms) * (1 - rate)
    recall = _ratio(found, events)
    f1 = _harmonic(precision, recall)
    return EventScores(precision, recall, f1, events, found, false_alarms, rate)


def _rows_of_alarms(windows: pd.DataFrame, alarms: Marks) -> NDArray[np.int64]:
    """A number for each window that is the same for windows of an uninterrupted row of alarms."""
    devices, _ = pd.factorize(windows["device"])
    sensors, _ = pd.factorize(windows["sensor"])
    order = np.lexsort((windows["window_end"].to_numpy(), sensors, devices))
    changes = np.ones(len(order), dtype=bool)
    for values in (devices, sensors, alarms):
        same = values[order][1:] == values[order][:-1]
        changes[1:] = ~same if values is devices else changes[1:] | ~same
    row = np.empty(len(order), dtype=np.int64)
    row[order] = np.cumsum(changes)
    return row


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _harmonic(precision: float, recall: float) -> float:
    return _ratio(2 * precision * recall, precision + recall)
