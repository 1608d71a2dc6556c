"""Detection of one-class machines on labelled real sensors, against a z-score and forests.

Nothing is fitted, chosen or set on test labels. All methods are trained on the same windows, with
the same nu, and their thresholds are set alike; only alarms at the defaults are by sensors with a
season. A machine is a device with a sensor for each of its metrics; it raises an alarm where as
many of its sensors do at a time as, on the last quarter of the training windows by detectors
trained on the rest, do at a share of nu of all moments, at most.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from quartet.sensors import (
    baselines,
    devices,
    evaluation,
    labels,
    scoring,
    selection,
    training,
    windows,
)
from quartet.sensors.context import normalise_windows
from quartet.sensors.settings import Baselines, DeviceAlarms, SensorSvm
from sensors.joint_alarms import fewest_sensors, join_sensors
from sensors.published_scores import nab_score, scale_nab_scores, vus_pr
from support import real_data

SECTION = "Sensors: detection"
FEATURES = ("mean", "log_standard_deviation", "minimum", "maximum")
"""The default ones less the number of readings, which is the same for all windows here."""
METHODS = ("one_class_svm", *baselines.METHODS)
MACHINES = ("machine-1-6", "machine-2-1")
NU = 0.01
SEEDS = (1, 2, 3)
CONTEXT, SPREAD = 24, 288
"""Numbers of earlier windows that give the centre and the scale."""
CALIBRATED = 0.25
NAB_TRAINED, NAB_MOST = 0.15, 5000
"""NAB's own probationary period: this share of the readings, or of 5,000 where there are more."""
NAB_READINGS = 3
"""In a window; most series have fewer than 100 windows to train on."""


@dataclass(frozen=True)
class Series:
    """Windows of a device to train on and to evaluate, and the events of the latter."""

    trained: pd.DataFrame
    evaluated: pd.DataFrame
    events: pd.DataFrame
    window_seconds: int
    times: np.ndarray
    """Times of all readings, datetime64[us], ascending; shape (r,)."""

    def relative(self) -> Series:
        """Return the series with windows normalised by the 24 before, 2 hours of SMD."""
        hours = self.window_seconds / 3600
        complete = pd.concat([self.trained, self.evaluated])
        complete = normalise_windows(complete, CONTEXT * hours, SPREAD * hours)
        until = self.trained["window_end"].max()
        return self.divided(complete, until)

    def divided(self, complete: pd.DataFrame, until: pd.Timestamp) -> Series:
        """Return other windows, of which those up to a time are for training."""
        later = complete["window_end"] > until
        return Series(
            complete[~later].reset_index(drop=True),
            complete[later].reset_index(drop=True),
            self.events,
            self.window_seconds,
            self.times,
        )

    def rate_alarms(self, ends: pd.Series) -> float:
        """Return NAB's score of alarms in windows, known with the last reading of each."""

        def last_reading(times):
            return np.searchsorted(self.times, times.to_numpy("datetime64[us]"), "right") - 1

        first = np.searchsorted(self.times, self.events["start"].to_numpy("datetime64[us]"))
        events = zip(first.tolist(), last_reading(self.events["end"]).tolist(), strict=True)
        return nab_score(np.sort(last_reading(ends)).tolist(), list(events))


def make_windows(device, times, values, window_seconds):
    """Windows of sensors, one a column of values of shape (readings, sensors)."""
    count, sensors = values.shape
    names = pa.array([f"{sensor + 1:02d}" for sensor in range(sensors)] * count)
    readings = pa.table(
        {
            "device": pa.array([device] * values.size).dictionary_encode(),
            "sensor": names.dictionary_encode(),
            "timestamp": np.repeat(times, sensors),
            "value": values.ravel().astype(np.float64),
            "sequence": np.arange(values.size),
        }
    )
    return windows.aggregate(readings, window_seconds)


def make_events(device, marked, times):
    """A label for each run of marked readings."""
    edges = np.diff(np.concatenate([[0], marked.astype(int), [0]]))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    moments = times.astype("datetime64[us]")
    return pd.DataFrame(
        {"device": device, "sensor": "", "start": moments[first], "end": moments[last], "kind": ""}
    )


@pytest.fixture(scope="module")
def machines():
    """Two machines of the Server Machine Dataset: five weeks, one reading a minute of 38 metrics.

    Training is the first half, taken as normal; the labels are of the second.
    """
    folder, found = real_data("sensors/smd"), {}
    for name in MACHINES:
        with np.load(folder / f"{name}.npz") as arrays:
            # Whole windows, so that none is of both halves.
            train, test = arrays["train"][: len(arrays["train"]) // 5 * 5], arrays["test"]
            marked = arrays["test_label"] > 0
        times = np.arange(1, len(train) + len(test) + 1) * 60 * windows.SECOND
        complete = make_windows(name, times, np.concatenate([train, test]), 300)
        events = make_events(name, marked, times[len(train) :])
        moments = times.astype("datetime64[us]")
        blank = Series(complete.head(0), complete.head(0), events, 300, moments)
        found[name] = blank.divided(complete, pd.Timestamp(times[len(train) - 1], unit="us"))
    return found


@pytest.fixture(scope="module")
def benchmark_series():
    """Seven series of the Numenta Anomaly Benchmark, and NAB's windows around their anomalies."""
    folder, found = real_data("sensors/nab"), {}
    known = json.loads((folder / "labels/combined_windows.json").read_text())
    for path in sorted(folder.glob("*.csv")):
        table = pd.read_csv(path, parse_dates=["timestamp"])
        times = table["timestamp"].to_numpy().astype("datetime64[us]").astype(np.int64)
        seconds = int(np.median(np.diff(times))) // windows.SECOND * NAB_READINGS
        complete = make_windows(path.stem, times, table[["value"]].to_numpy(), seconds)
        (spans,) = (spans for name, spans in known.items() if name.endswith(f"/{path.name}"))
        events = pd.DataFrame(spans, columns=["start", "end"]).apply(pd.to_datetime)
        events = events.assign(device=path.stem, sensor="", kind="")
        until = pd.Timestamp(times[int(NAB_TRAINED * min(len(times), NAB_MOST)) - 1], unit="us")
        assert (events["start"] > until).all()
        moments = times.astype("datetime64[us]")
        blank = Series(complete, complete, events, seconds, moments)
        found[path.stem] = blank.divided(complete, until)
    return found


def sensor_alarms(method, trained, evaluated, window_seconds, nu, seed, pairs=None):
    """Whether each evaluated window has an alarm, and the sensors that were trained."""
    if method != "one_class_svm":
        settings = Baselines(seed=seed, features=FEATURES, nu=nu)
        return baselines.detect_alarms(method, trained, evaluated, settings, pairs), pairs
    settings = SensorSvm(seed=seed, features=FEATURES, nu=nu, seasonality="none")
    model_set, *_ = training.fit_model_set(trained, settings, window_seconds, progress=False)
    alarms = np.zeros(len(evaluated), dtype=bool)
    alarms[model_set.locate(evaluated) >= 0] = scoring.predict(model_set, evaluated)["anomaly"]
    return alarms, model_set.pairs


def evaluate(series, nu=NU, seed=1):
    """Scores of each method: of events, of windows, and its alarms on sensors' windows."""
    ends = series.trained["window_end"]
    middle = ends.iloc[0] + (ends.max() - ends.min()) * (1 - CALIBRATED)
    early = series.divided(series.trained, middle)
    found, pairs = {}, [None, None]
    for method in METHODS:
        setup = series.window_seconds, nu, seed
        held, pairs[0] = sensor_alarms(method, early.trained, early.evaluated, *setup, pairs[0])
        alarms, pairs[1] = sensor_alarms(method, series.trained, series.evaluated, *setup, pairs[1])
        fewest = fewest_sensors(early.evaluated, held, nu)
        if len(pairs[1]) == 1:  # nothing to join
            fewest = {}
        joined, alarmed = join_sensors(series.evaluated, alarms, fewest)
        truth = labels.mark_windows(joined, series.events, series.window_seconds)
        events = evaluation.event_scores(joined, alarmed, series.events, series.window_seconds)
        found[method] = {
            **{f"event {name}": value for name, value in events._asdict().items()},
            **{
                f"window {name}": value
                for name, value in evaluation.point_scores(alarmed, truth)._asdict().items()
            },
            "share of sensors' windows with an alarm": alarms.mean(),
        }
    return found


def evaluate_all(found, nu=NU, seeds=SEEDS):
    """A table of the scores: a row for each of the series, the methods and the seeds."""
    rows = [
        {"series": name, "method": method, "seed": seed, **scores}
        for name, series in found.items()
        for seed in seeds
        for method, scores in evaluate(series, nu, seed).items()
    ]
    return pd.DataFrame(rows)


def format_scores(table, column):
    """Mean of a column by method, and of ours by series."""
    means = table.groupby("method")[column].mean()
    others = "; ".join(f"{name.replace('_', ' ')} {means[name]:.3f}" for name in METHODS[1:])
    ours = table[table["method"] == METHODS[0]].groupby("series", sort=False)[column].mean()
    each = ", ".join(f"{value:.3f}" for value in ours)
    best = all(means[METHODS[0]] > means[name] for name in METHODS[1:])
    return others, f"{means[METHODS[0]]:.3f} ({each})", best


@pytest.mark.parametrize("relative", [True, False], ids=["relative", "plain"])
def test_server_machines(machines, record, relative):
    chosen = {name: each.relative() if relative else each for name, each in machines.items()}
    table = evaluate_all(chosen)
    print(table.groupby(["series", "method"]).mean(numeric_only=True).to_string())
    seen = "against the 2 hours before" if relative else "as they are"
    for column in ("event f1", "event precision", "event recall", "window precision",
                   "window recall", "window f1"):  # fmt: skip
        others, ours, best = format_scores(table, column)
        aimed = relative and column == "event f1"
        record(
            SECTION,
            f"{column.replace('f1', 'F1')}, two machines of SMD, windows {seen}",
            reference=others,
            quartet=ours,
            target="above both" if aimed else "–",
            reached=best if aimed else "–",
        )


def test_server_machines_at_other_false_alarm_rates(machines, record):
    chosen = {name: each.relative() for name, each in machines.items()}
    for nu in (0.005, 0.02, 0.05):
        others, ours, _ = format_scores(evaluate_all(chosen, nu, SEEDS[:1]), "event f1")
        record(
            SECTION,
            f"event F1, two machines of SMD, windows against the 2 hours before, nu {nu:g}",
            reference=others,
            quartet=ours,
        )


def test_numenta_series(benchmark_series, record):
    table = evaluate_all(benchmark_series)
    print(table.groupby(["series", "method"]).mean(numeric_only=True).to_string())
    for column in ("event f1", "event precision", "event recall", "window f1"):
        others, ours, _ = format_scores(table, column)
        record(
            SECTION,
            f"{column.replace('f1', 'F1')}, seven series of NAB, windows as they are",
            reference=others,
            quartet=ours,
        )


TOLERANCE = 24
"""Windows of tolerance in VUS-PR, at most: those within which alarms are one event."""
NO_ALARMS = pd.DataFrame(columns=list(devices.ALARM_COLUMNS))


def evaluate_defaults(series):
    """Alarms of a device at the defaults of all parameters, and of the joint baseline."""
    settings = SensorSvm(seed=1)
    complete = pd.concat([series.trained, series.evaluated], ignore_index=True)
    context = settings.context_for(series.window_seconds)
    chosen = selection.choose_context(complete, series.trained, context, every=False)
    parts = series.divided(chosen, series.trained["window_end"].max())
    trained = training.fit_model_set(parts.trained, settings, series.window_seconds, progress=False)
    model_set = devices.fit_thresholds(trained.model_set, trained.device_scores, settings.nu)
    scores = scoring.predict(model_set, parts.evaluated)
    scored = devices.score_devices(model_set, scores)
    alarms = devices.raise_alarms(model_set, scored, NO_ALARMS, DeviceAlarms())
    joint = scored.assign(sensor="")
    raised = scored["window_end"].isin(alarms["window_end"]).to_numpy()
    normal = ~labels.mark_windows(joint, series.events, series.window_seconds)
    in_event = devices.mark_events(scored, alarms)
    baseline = baselines.detect_device_alarms(
        series.trained, series.evaluated, Baselines(seed=1, nu=settings.nu)
    )
    marked = labels.mark_windows(baseline[0], series.events, series.window_seconds)
    return {
        "ours": evaluation.event_scores(joint, in_event, series.events, series.window_seconds),
        "joint": evaluation.event_scores(*baseline, series.events, series.window_seconds),
        "false alarms": raised[normal].mean() / settings.nu,
        "VUS-PR": vus_pr(scored["score"].to_numpy(), ~normal, TOLERANCE),
        "VUS-PR, joint": vus_pr(baseline[0]["score"].to_numpy(), marked, TOLERANCE),
        "NAB": series.rate_alarms(alarms["window_end"]),
        "NAB, joint": series.rate_alarms(baseline[0]["window_end"][baseline[1]]),
    }


@pytest.mark.parametrize("kind", ["machines", "benchmark_series"])
def test_alarms_of_devices_at_the_defaults(kind, request, record):
    series = request.getfixturevalue(kind)
    found = [evaluate_defaults(each) for each in series.values()]
    name = {"machines": "two machines of SMD", "benchmark_series": "seven series of NAB"}[kind]
    least_f1 = {"machines": 0.6, "benchmark_series": 0.237}[kind]
    for field in ("precision", "recall", "f1"):
        joint = np.mean([getattr(each["joint"], field) for each in found])
        ours = [getattr(each["ours"], field) for each in found]
        is_f1 = field == "f1"
        aim = {"target": f"≥ {least_f1}", "reached": np.mean(ours) >= least_f1} if is_f1 else {}
        record(
            SECTION,
            f"event {field.replace('f1', 'F1')} of devices at the defaults, {name}",
            reference=f"residual of all sensors {joint:.3f}",
            quartet=f"{np.mean(ours):.3f} ({', '.join(f'{each:.3f}' for each in ours)})",
            **aim,
        )
    others, ours = ([each[key] for each in found] for key in ("VUS-PR, joint", "VUS-PR"))
    record(
        SECTION,
        f"VUS-PR of scores of devices at the defaults, {name}",
        reference=f"residual of all sensors {np.mean(others):.3f}",
        quartet=f"{np.mean(ours):.3f} ({', '.join(f'{each:.3f}' for each in ours)})",
    )
    counts = [len(each.events) for each in series.values()]
    parts = {
        key: [
            scale_nab_scores([each[key]], count) for each, count in zip(found, counts, strict=True)
        ]
        for key in ("NAB", "NAB, joint")
    }
    total = {key: scale_nab_scores([each[key] for each in found], sum(counts)) for key in parts}
    record(
        SECTION,
        f"NAB score, standard profile, of devices at the defaults, {name}",
        reference=f"residual of all sensors {total['NAB, joint']:.1f}",
        quartet=f"{total['NAB']:.1f} ({', '.join(f'{each:.1f}' for each in parts['NAB'])})",
    )
    rates = [each["false alarms"] for each in found]
    record(
        SECTION,
        f"false alarms of devices at the defaults, multiple of nu, {name}",
        quartet=f"{np.mean(rates):.2f} ({', '.join(f'{rate:.2f}' for rate in rates)})",
        target="each at most 2",
        reached=max(rates) <= 2,
    )
