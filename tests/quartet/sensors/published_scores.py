"""Scores of anomaly detection as benchmarks publish them, beside F1 of events.

The Numenta Anomaly Benchmark rewards early detection: Lavin and Ahmad, "Evaluating real-time
anomaly detection algorithms - the Numenta Anomaly Benchmark", ICMLA 2015 (arXiv:1510.03336),
section III, with the constants of its standard profile and of its code (nab/sweeper.py).

VUS-PR needs no threshold and tolerates labels that are some windows too early or too late:
Paparrizos et al., "Volume under the surface: a new accuracy evaluation measure for time-series
anomaly detection", VLDB 2022.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FALSE_ALARM_WEIGHT = 0.11
"""Weight of a false alarm in NAB's standard profile; detections and misses have weight 1."""
_FAR = 3.0
"""Distance behind an anomaly, in its lengths, from which a false alarm counts fully."""
_MAX_THRESHOLDS = 250

Array = NDArray[np.float64]


def scaled_sigmoid(position: float) -> float:
    """Return the value of an alarm: near 1 at an anomaly's start (-1), 0 at its end, -1 far behind.

    Args:
        position: Position relative to the end of the anomaly, in its lengths.
    """
    return -1.0 if position >= _FAR else 2 / (1 + np.exp(5 * position)) - 1


def nab_score(alarms: Sequence[int], events: Sequence[tuple[int, int]]) -> float:
    """Return NAB's score of one series, before it is scaled; -1 for each event without an alarm.

    Args:
        alarms: Indices of the readings with an alarm.
        events: First and last reading of each anomaly, ascending.
    """
    best = [-1.0] * len(events)
    false_alarms = 0.0
    for alarm in alarms:
        within = [number for number, (first, last) in enumerate(events) if first <= alarm <= last]
        before = [number for number, (_, last) in enumerate(events) if last < alarm]
        if within:
            first, last = events[within[0]]
            value = scaled_sigmoid(-(last - alarm + 1) / (last - first + 1)) / scaled_sigmoid(-1)
            best[within[0]] = max(best[within[0]], value)
        elif before:
            first, last = events[before[-1]]
            position = (alarm - last) / (last - first) if last > first else _FAR
            false_alarms += scaled_sigmoid(position)
        else:
            false_alarms -= 1.0
    return sum(best) + FALSE_ALARM_WEIGHT * false_alarms


def scale_nab_scores(scores: Sequence[float], events: int) -> float:
    """Return NAB's score of a set of series: 0 without any alarm, 100 for a perfect detector.

    Args:
        scores: What `nab_score` returned for each series.
        events: Number of anomalies in all series.
    """
    return 100 * (sum(scores) + events) / (2 * events)


def vus_pr(scores: Array, anomalous: NDArray[np.bool_], most: int) -> float:
    """Return the volume under the surface of precision, recall and tolerance, from 0 to 1.

    Args:
        scores: Shape (w,), higher is more anomalous.
        anomalous: Shape (w,), with at least one anomaly.
        most: Maximum tolerance, in windows; those from 0 to it are averaged.
    """
    return float(np.mean([range_auc_pr(scores, anomalous, length) for length in range(most + 1)]))


def range_auc_pr(scores: Array, anomalous: NDArray[np.bool_], length: int) -> float:
    """Return the area under precision and recall with labels that fade out over half a length."""
    edges = np.diff(np.concatenate([[0], anomalous.astype(int), [0]]))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    times = np.arange(len(scores))
    soft = np.zeros(len(scores))
    half = length // 2
    for first, last in zip(firsts, lasts, strict=True):
        distance = np.maximum(np.maximum(first - times, times - last), 0)
        near = distance <= half
        soft[near] = np.maximum(soft[near], np.sqrt(1 - distance[near] / max(length, 1)))
    positives = (anomalous.sum() + soft.sum()) / 2
    ranges = list(zip(np.maximum(firsts - half, 0), lasts + half + 1, strict=True))
    levels = np.unique(scores)[::-1]
    if len(levels) > _MAX_THRESHOLDS:
        levels = levels[np.linspace(0, len(levels) - 1, _MAX_THRESHOLDS).round().astype(int)]
    area = last_recall = 0.0
    for level in levels:
        predicted = scores >= level
        found = soft[predicted].sum()
        existing = np.mean([predicted[first:end].any() for first, end in ranges])
        recall = min(found / positives, 1.0) * existing
        area += (recall - last_recall) * found / predicted.sum()
        last_recall = recall
    return float(area)
