"""Parameters of the sensors scenario, with their ranges and the reason for each default."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from quartet.sensors.context import Context

Seed = Annotated[int, Field(ge=0, lt=2**32, description="Start of every random choice made here.")]

FeatureName = Literal[
    "mean",
    "log_standard_deviation",
    "minimum",
    "maximum",
    "last_value",
    "range",
    "log_readings",
    "sine_of_day",
    "cosine_of_day",
]


class _Settings(BaseModel):
    """Immutable parameters; a misspelt name is an error."""

    # Built on first use, so that listing the pipelines stays fast.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


_CLAIM = (
    "Time after which the claim of a run that was killed on another machine expires. A longer run "
    "renews its claim."
)
_TAKE_OVER = "Whether to take over the claim of another run, which must have been killed."


class SensorIngestion(_Settings):
    """Parameters of the ingestion of readings to windows."""

    window_seconds: int | None = Field(
        None,
        ge=1,
        le=86_400,
        description="Length of a window; must divide a day, so that windows align with days. "
        "`null`: that of the database. The first run chooses 300, or more if that is less than "
        "three readings; of a table too short for 500 windows, less.",
    )
    lateness_seconds: int = Field(
        0,
        ge=0,
        description="Time that a window stays open after its end for late readings before it is "
        "scored. Later readings are not lost: their window is recomputed and scored again.",
    )
    clock_tolerance_seconds: int = Field(
        300,
        ge=0,
        description="Maximum time by which a timestamp may be after the reading's arrival; with "
        "more, the clock of the device is wrong and the reading is quarantined.",
    )
    known_devices: tuple[str, ...] = Field(
        (), description="Devices whose readings are accepted; empty: all."
    )
    table_zone: str = Field(
        "UTC",
        description="Time zone of timestamps in a table that have none, such as Europe/Berlin. In "
        "capture files each timestamp must have its own, because the device's zone is unknown.",
    )
    batch_readings: int = Field(
        1_000_000,
        ge=1,
        description="Approximate number of readings in memory and in one transaction.",
    )
    workers: int = Field(
        2,
        ge=1,
        le=64,
        description="Processes that decode capture files in parallel, one file each.",
    )
    claim_minutes: float = Field(60, gt=0, description=_CLAIM)
    take_over: bool = Field(False, description=_TAKE_OVER)
    report_days: int = Field(
        14,
        ge=1,
        le=3660,
        description="Days before the last closed window that the figure of readings shows. Without "
        "a limit, scheduled runs would become slower as the database grows.",
    )

    @field_validator("window_seconds")
    @classmethod
    def _divides_a_day(cls, seconds: int | None) -> int | None:
        if seconds is not None and 86_400 % seconds:
            raise ValueError("must divide a day (86,400 seconds), such as 60, 300 or 3600")
        return seconds

    @field_validator("table_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("must be a time zone, such as UTC or Europe/Berlin") from error


class TrainingWindows(_Settings):
    """Selection of the windows to train on."""

    until: str | None = Field(
        None,
        description="ISO 8601 time with a zone up to which windows are normal; a date means its "
        "midnight, UTC. Without it, the first `share` of each sensor's windows is used.",
    )
    share: float = Field(
        0.6, gt=0, le=1, description="Share of a sensor's windows to train on without `until`."
    )
    sensors: tuple[str, ...] = Field(
        (),
        description="Sensors to train, as `device/sensor`; the others keep their registered "
        "models. Empty: all.",
    )


class SensorSvm(_Settings):
    """The one-class support vector machine of each sensor."""

    seed: Seed
    features: tuple[FeatureName, ...] = Field(
        ("mean", "log_standard_deviation", "minimum", "maximum", "log_readings"),
        min_length=1,
        description="Features of a window, each scaled to mean 0 and standard deviation 1. With "
        "`sine_of_day` and `cosine_of_day` normal behaviour depends on the time of day, which "
        "takes some weeks of windows to learn.",
    )
    context_hours: float | None = Field(
        None,
        ge=0,
        description="Windows are centred on the median of so many hours before. A machine's new "
        "work is an anomaly when it begins, and normal once these hours and `context_spread_hours` "
        "have passed. For machines whose work keeps changing; longer anomalies are only detected "
        "when they begin and end. 0: absolute values. `null`: 24 windows for "
        "devices of which the parts of the training time differ, absolute values for the others.",
    )
    context_spread_hours: float | None = Field(
        None,
        gt=0,
        description="If `context_hours` is not 0: hours before a window whose mean absolute "
        "deviation from their medians is the unit of its deviation. `null`: twelve times "
        "`context_hours`, a day of five-minute windows.",
    )
    seasonality: Literal["auto", "none", "day", "week"] = Field(
        "auto",
        description="Season whose profile, the median of each hour in UTC, is subtracted from a "
        "sensor's values, if the training time has at least three of them. `auto`: by held-out "
        "windows, none with fewer than one divided by nu, whose thresholds drift would exceed.",
    )
    nu: float = Field(
        0.002,
        gt=0,
        le=0.5,
        description="Target false-alarm rate: with five-minute windows 0.002 is one false alarm "
        "per sensor every other day. Values below one divided by the number of training windows "
        "are meaningless.",
    )
    gamma: Literal["tuned"] | Annotated[float, Field(gt=0)] = Field(
        "tuned",
        description="Coefficient of the kernel exp(-gamma |x - y|²) over scaled features; `tuned` "
        "chooses among four values, each with its threshold, the one that detects the most "
        "displaced copies of the training windows.",
    )
    threshold: Literal["tuned", "machine"] = Field(
        "tuned",
        description="Score below which a window is anomalous. `tuned`: the quantile at nu of "
        "cross-validated scores. `machine`: 0, like scikit-learn's predict; the false-alarm rate "
        "is then 1.1 to 20 times nu, the higher the shorter the series.",
    )
    tolerance: float = Field(
        1e-6,
        gt=0,
        lt=1,
        description="Tolerance of the solver, as a share of nu times the number of windows, which "
        "is the range of the scores. The reference's 1e-3 is absolute: with its nu of 1e-4 it left "
        "models of one or two support vectors that flag a third of normal readings.",
    )
    validation_fraction: float = Field(
        0.25,
        gt=0,
        le=0.5,
        description="Share of the training windows, the latest, on which the false-alarm rate is "
        "measured, with a model trained on the earlier ones. The final model is trained on all.",
    )
    min_windows: int = Field(
        50,
        ge=30,
        description="Minimum number of windows for a one-class SVM; with fewer, at least 15, the "
        "model is a robust z-score. A sensor with even fewer is reported as untrained.",
    )
    max_windows: int = Field(
        3000,
        ge=100,
        description="Maximum number of windows to train on, sampled at random if there are more: "
        "training time and size of a model grow with them.",
    )
    workers: int = Field(2, ge=1, le=256, description="Processes that train in parallel.")

    def context_for(self, window_seconds: int) -> Context:
        """Return the context of windows of this length, which all or some of the sensors have."""
        from quartet.sensors.context import CONTEXT_WINDOWS, NO_CONTEXT, SPREAD_FACTOR, Context

        hours = self.context_hours
        if hours is None:
            hours = CONTEXT_WINDOWS * window_seconds / 3600
        if not hours:
            return NO_CONTEXT
        return Context(hours, self.context_spread_hours or SPREAD_FACTOR * hours)


class DeviceAlarms(_Settings):
    """Alarms of devices, from the scores of all their sensors."""

    adaptation: float = Field(
        0.1,
        ge=0,
        le=1,
        description="By how much, as a logarithm, each event beyond twice the expected number of "
        "the last weeks raises the threshold. With fewer than one divided by nu training windows "
        "each event does, and each window lowers it by nu times as much: on simulated devices 0.1 "
        "halves false alarms at about the same event F1; more hides anomalies. 0: it remains as "
        "trained.",
    )
    required_windows: int = Field(
        1, ge=1, description="Number of windows above the threshold with which an event begins."
    )
    within_windows: int = Field(
        1, ge=1, description="Number of consecutive windows that contain the required ones."
    )
    cool_down_windows: int = Field(
        24,
        ge=0,
        description="Number of windows after the last above the threshold in which a further one "
        "belongs to the same event. The default is the context of automatically chosen sensors, "
        "after which a lasting change is normal.",
    )


class WindowScoring(_Settings):
    """Parameters of a scheduled scoring run."""

    claim_minutes: float = Field(60, gt=0, description=_CLAIM)
    take_over: bool = Field(False, description=_TAKE_OVER)
    drift_hours: float = Field(
        24,
        ge=1,
        le=744,
        description="Hours before the last closed window whose windows are compared with those of "
        "training, whichever runs have scored them. An hour shows only part of a daily cycle, "
        "which looks like drift, so the default is a day; use a week (168) if weekends differ.",
    )
    worst: int = Field(
        5, ge=1, le=20, description="Number of sensors with the most alarms to plot."
    )


class BaselineComparison(_Settings):
    """Comparison of the models with baselines, where anomalies are labelled."""

    seed: Seed
    sensors: int = Field(
        20,
        ge=0,
        description="Maximum number of sensors that are compared, those of devices with labels "
        "first. An isolation forest takes about 0.3 s a sensor; 0: no comparison.",
    )
    blocks: int = Field(
        5,
        ge=2,
        description="Blocks of the cross-validation of the thresholds; as many as for the models.",
    )
    trees: int = Field(
        50,
        ge=1,
        description="Trees of an isolation forest. Half of scikit-learn's default: path lengths "
        "converge before (Liu, Ting and Zhou, 2008, figure 5), and time is proportional to them.",
    )


class SensorRelease(_Settings):
    """Conditions for the registration of a model set."""

    max_false_alarm_ratio: float = Field(
        4.0,
        gt=1,
        description="Maximum mean false-alarm rate of all models on held-out windows, as a "
        "multiple of nu; a model set with a higher rate is not registered.",
    )
    accept: bool = Field(
        False,
        description="Whether to register a model set with a higher rate all the same. More alarms "
        "will be false, but scoring can begin.",
    )


class Fleet(_Settings):
    """A simulated fleet of devices, which send their readings of a time step in one event."""

    seed: Seed
    devices: int = Field(3, ge=1, description="Number of devices, each with the same sensors.")
    sensors: int = Field(
        4, ge=1, description="Sensors per device; from the seventh on, kinds repeat."
    )
    days: float = Field(8, gt=0, description="Length of the stream.")
    normal_days: float = Field(5, ge=0, description="Days at the start without anomalies.")
    period_seconds: float = Field(
        60, ge=0.001, description="Time between two readings of a sensor."
    )
    start: str = Field("2026-03-02T00:00:00Z", description="Start, ISO 8601 with a time zone.")
    anomalies_per_day: float = Field(
        6, ge=0, description="Anomalies per day in the fleet, after the normal days."
    )
    lost: float = Field(
        0.01, ge=0, lt=1, description="Share of readings that never arrive, in normal times too."
    )
    namespace: str = Field("plant", pattern=r"^[\w.-]+$", description="Event Hubs namespace.")
    partitions: int = Field(2, ge=1, le=1024, description="Partitions of the event hub.")
    capture_seconds: int = Field(
        300,
        ge=1,
        description="Time span of a capture file. Event Hubs allows 60 to 900; longer spans keep "
        "the number of files in a sample low.",
    )
    faulty: int = Field(
        0, ge=0, description="Number of events with an invalid reading; all faults are as frequent."
    )
    repeated: int = Field(0, ge=0, description="Number of events that arrive a second time.")
    late: int = Field(
        0, ge=0, description="Number of events that arrive hours after their measurement."
    )

    @field_validator("start")
    @classmethod
    def _has_a_zone(cls, start: str) -> str:
        try:
            moment = datetime.fromisoformat(start)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ValueError(
                f"expected a time with a zone, such as 2026-03-02T00:00:00Z, not {start!r}"
            )
        return start


class Baselines(_Settings):
    """Parameters of the baselines that the models are compared with."""

    seed: Seed
    features: tuple[FeatureName, ...] = Field(
        ("mean", "log_standard_deviation", "minimum", "maximum", "log_readings"),
        min_length=1,
        description="Features of the isolation forest; the z-score uses the mean.",
    )
    nu: float = Field(0.01, gt=0, lt=1, description="Target false-alarm rate.")
    blocks: int = Field(10, ge=2, description="Blocks of the cross-validation of the threshold.")
    trees: int = Field(
        100, ge=1, description="Trees of the isolation forest; scikit-learn's default."
    )
