"""Training windows are selected as configured and are not scored."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from quartet.sensors.selection import exclude_training_windows, select_normal_windows
from quartet.sensors.settings import TrainingWindows


def make_windows(*sensors, count=10, start="2026-03-02"):
    ends = pd.date_range(start, periods=count, freq="5min", unit="s")
    return pd.concat(
        [
            pd.DataFrame({"device": device, "sensor": sensor, "window_end": ends})
            for device, sensor in sensors
        ],
        ignore_index=True,
    )


def test_the_share_is_taken_from_the_start_of_each_sensor():
    old = make_windows(("a", "1"), start="2019-01-01")
    new = make_windows(("b", "1"), count=20)
    chosen = select_normal_windows(pd.concat([new, old]), TrainingWindows(share=0.6))
    assert chosen.groupby("device").size().to_dict() == {"a": 6, "b": 12}
    assert chosen[chosen["device"] == "b"]["window_end"].max() == new["window_end"].iloc[11]


def test_until_may_be_in_any_time_zone():
    settings = TrainingWindows(until="2026-03-02T01:10:00+01:00")
    chosen = select_normal_windows(make_windows(("a", "1")), settings)
    assert chosen["window_end"].max() == pd.Timestamp("2026-03-02 00:10")


def test_until_a_date_means_its_midnight():
    windows = make_windows(("a", "1"), count=300, start="2026-03-01T12:00")
    chosen = select_normal_windows(windows, TrainingWindows(until="2026-03-02"))
    assert chosen["window_end"].max() == pd.Timestamp("2026-03-02")


@pytest.mark.parametrize("given", ["2026-03-02T00:10", "2026/03/02", "2 March 2026, 00:10"])
def test_the_suggested_time_with_a_zone_is_accepted(given):
    with pytest.raises(ValueError, match="has no time zone") as error:
        select_normal_windows(make_windows(("a", "1")), TrainingWindows(until=given))
    advised = re.search(r"write (\S+) for", str(error.value)).group(1)
    assert len(select_normal_windows(make_windows(("a", "1")), TrainingWindows(until=advised)))


def test_only_named_sensors_are_taken():
    windows = make_windows(("a", "1"), ("a", "2"))
    chosen = select_normal_windows(windows, TrainingWindows(sensors=("a/2",), share=1))
    assert set(chosen["sensor"]) == {"2"}
    assert len(chosen) == 10


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"until": "yesterday, about"}, "is not a time"),
        ({"until": "2020-01-01T00:00:00Z"}, "none of the 10 windows .* is selected"),
        ({"sensors": ("a/1", "b/7", "a/9")}, r"no windows of a/9, b/7 \(device/sensor\)"),
    ],
)
def test_invalid_selections_are_rejected(settings, reason):
    with pytest.raises(ValueError, match=reason):
        select_normal_windows(make_windows(("a", "1")), TrainingWindows(**settings))


def test_windows_of_training_are_not_scored_but_those_without_a_model_are_reported():
    model_set = SimpleNamespace(  # of sensor 1 only, trained on its first six windows
        trained_until=np.array([pd.Timestamp("2026-03-02 00:25").value // 1000]),
        locate=lambda windows: np.where(windows["sensor"] == "1", 0, -1),
    )
    left = exclude_training_windows(model_set, make_windows(("a", "1"), ("a", "2")))
    assert left.groupby("sensor").size().to_dict() == {"1": 4, "2": 10}
