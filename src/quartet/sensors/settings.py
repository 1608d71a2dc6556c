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
    """Immutable, and strict about names: a misspelt parameter is an error."""

    # Built on first use: listing the pipelines should not pay for it.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


_CLAIM = (
    "How long a run that has died elsewhere keeps the next one out. A run that lives longer "
    "renews its claim."
)
_TAKE_OVER = "Whether to take the place of a run that seems not to have ended: it must be dead."


class SensorIngestion(_Settings):
    """How readings become windows."""

    window_seconds: int = Field(
        300,
        ge=1,
        le=86_400,
        description="Length of a window; it must divide a day, so that windows begin with the day.",
    )
    lateness_seconds: int = Field(
        0,
        ge=0,
        description="How long after its end a window waits for late readings before it is scored. "
        "Later ones are not lost: their window is computed and scored again.",
    )
    clock_tolerance_seconds: int = Field(
        300,
        ge=0,
        description="How far a timestamp may lie after the reading's arrival; beyond, the clock of "
        "the device is wrong and the reading is set aside.",
    )
    known_devices: tuple[str, ...] = Field(
        (), description="Devices whose readings are taken; all, if there are none named."
    )
    table_zone: str = Field(
        "UTC",
        description="Zone of those timestamps of a table that state none, such as Europe/Berlin. "
        "In capture files each must state its own: nobody knows where a device thinks it is.",
    )
    batch_readings: int = Field(
        1_000_000,
        ge=1,
        description="Readings held in memory at a time and written in one transaction, about.",
    )
    workers: int = Field(
        2,
        ge=1,
        le=64,
        description="Processes that decode capture files side by side; one file takes one core.",
    )
    claim_minutes: float = Field(60, gt=0, description=_CLAIM)
    take_over: bool = Field(False, description=_TAKE_OVER)
    report_days: int = Field(
        14,
        ge=1,
        le=3660,
        description="Days up to the last closed window that the figure of the readings shows: with "
        "all that there is, a scheduled run would take the longer, the older the database.",
    )

    @field_validator("window_seconds")
    @classmethod
    def _divides_a_day(cls, seconds: int) -> int:
        if 86_400 % seconds:
            raise ValueError("must divide a day (86,400 seconds), as 60, 300 and 3600 do")
        return seconds

    @field_validator("table_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("must name a zone, such as UTC or Europe/Berlin") from error


class TrainingWindows(_Settings):
    """Which windows models are trained on."""

    until: str | None = Field(
        None,
        description="ISO 8601 time with its zone up to which windows are taken as normal; a date "
        "is its midnight, UTC. Without it, the first `share` of each sensor's windows.",
    )
    share: float = Field(
        0.6, gt=0, le=1, description="Share of a sensor's windows, where `until` is not given."
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
        description="What a model sees of a window, each scaled to mean 0 and deviation 1. With "
        "`sine_of_day` and `cosine_of_day` what is normal may differ by the time of day; to learn "
        "that takes some weeks of windows.",
    )
    context_hours: float = Field(
        0.0,
        ge=0,
        description="Windows are told against the median of so many hours before: what a machine "
        "was moved to is strange when it begins, and normal once these hours and those of the "
        "spread have passed. For machines whose work keeps changing; what lasts longer is only "
        "seen when it begins and ends. 0: as they are.",
    )
    context_spread_hours: float = Field(
        24.0,
        gt=0,
        description="Where `context_hours` is not 0: hours before a window whose mean distance "
        "from their own medians tells what is a usual one.",
    )
    nu: float = Field(
        0.002,
        gt=0,
        le=0.5,
        description="Share of normal windows that may be called anomalous, about: with windows of "
        "five minutes one every other day and sensor. Below one in the number of training windows "
        "it means nothing.",
    )
    gamma: Literal["tuned"] | Annotated[float, Field(gt=0)] = Field(
        "tuned",
        description="Width of the kernel exp(-gamma |x - y|²) over scaled features; `tuned` takes "
        "of four widths, each with its threshold, the one that finds most of the training windows' "
        "displaced copies.",
    )
    threshold: Literal["tuned", "machine"] = Field(
        "tuned",
        description="Score below which a window is anomalous. `tuned`: the quantile at nu of "
        "scores by machines that did not know the window. `machine`: 0, as scikit-learn's predict "
        "has it; then false alarms are 1.1 to 20 times nu, the more the shorter the series.",
    )
    tolerance: float = Field(
        1e-6,
        gt=0,
        lt=1,
        description="At which the solver stops, as a share of nu times the windows, by which "
        "scores can differ at most. The reference's 1e-3 is not relative to it: with its nu of "
        "1e-4 it left models of one or two support vectors that flag a third of normal readings.",
    )
    held_back: float = Field(
        0.25,
        gt=0,
        le=0.5,
        description="Share of the training windows, the latest, on which false alarms are counted, "
        "those of a model that knows the earlier ones only. The model that is kept knows all.",
    )
    minimum_windows: int = Field(
        50,
        ge=30,
        description="Windows a sensor needs; with fewer it gets no model and is reported.",
    )
    most_windows: int = Field(
        3000,
        ge=100,
        description="Windows a model is trained on at most, drawn at random beyond: time and size "
        "of a model grow with them.",
    )
    workers: int = Field(2, ge=1, le=256, description="Processes that train side by side.")

    @property
    def context(self) -> Context:
        """What windows are told against."""
        from quartet.sensors.context import NO_CONTEXT, Context

        if not self.context_hours:
            return NO_CONTEXT
        return Context(self.context_hours, self.context_spread_hours)


class WindowScoring(_Settings):
    """What a scheduled run scores, and how it keeps others out."""

    claim_minutes: float = Field(60, gt=0, description=_CLAIM)
    take_over: bool = Field(False, description=_TAKE_OVER)
    drift_hours: float = Field(
        24,
        ge=1,
        le=744,
        description="Hours up to the last closed window whose windows are compared with those of "
        "training, whichever runs have scored them. A day, as an hour shows only a part of a daily "
        "cycle and seems to have moved; a week (168) where weekends differ.",
    )
    worst: int = Field(5, ge=1, le=20, description="Sensors whose course the report draws.")


class SensorRelease(_Settings):
    """Which model set may enter the registry."""

    most_false_alarms: float = Field(
        4.0,
        gt=1,
        description="False alarms on held-back windows, the mean of all models, as a multiple of "
        "nu; a model set with more stays out.",
    )


class Fleet(_Settings):
    """A simulated fleet of devices, each with some sensors, and how it sends its readings."""

    seed: Seed
    devices: int = Field(3, ge=1, description="Devices, each with a sensor of each kind.")
    sensors: int = Field(
        4, ge=1, description="Sensors a device; from the seventh on, kinds come a second time."
    )
    days: float = Field(8, gt=0, description="Length of the stream.")
    normal_days: float = Field(5, ge=0, description="Days at the start without any anomaly.")
    period_seconds: float = Field(
        60, ge=0.001, description="Time between two readings of a sensor."
    )
    start: str = Field("2026-03-02T00:00:00Z", description="First moment, ISO 8601 with zone.")
    anomalies_per_day: float = Field(
        6, ge=0, description="Anomalies in the whole fleet, a day, after the normal days."
    )
    lost: float = Field(
        0.01, ge=0, lt=1, description="Share of readings that never arrive, in normal times too."
    )
    namespace: str = Field("plant", pattern=r"^[\w.-]+$", description="Of the event hub.")
    hub: str = Field("telemetry", pattern=r"^[\w.-]+$", description="Name of the event hub.")
    partitions: int = Field(2, ge=1, le=1024, description="Among which the devices are divided.")
    capture_seconds: int = Field(
        300,
        ge=1,
        description="Time that a capture file spans. Event Hubs allows 60 to 900; longer ones "
        "keep the files of a sample few.",
    )
    compression: int = Field(6, ge=0, le=9, description="Of the files, by zlib's deflate.")
    batched: bool = Field(
        False,
        description="Whether a device sends the readings of one moment in one event, as a JSON "
        "array, and not each in an event of its own.",
    )
    faulty: int = Field(
        0, ge=0, description="Events whose one reading cannot be taken; the kinds take turns."
    )
    repeated: int = Field(0, ge=0, description="Events that arrive a second time.")
    late: int = Field(0, ge=0, description="Events that arrive hours after they were measured.")

    @field_validator("start")
    @classmethod
    def _zoned(cls, start: str) -> str:
        try:
            moment = datetime.fromisoformat(start)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ValueError(
                f"expected a time with its zone, like 2026-03-02T00:00:00Z, not {start!r}"
            )
        return start


class Baselines(_Settings):
    """The detectors that the models are compared with."""

    seed: Seed
    features: tuple[FeatureName, ...] = Field(
        ("mean", "log_standard_deviation", "minimum", "maximum", "log_readings"),
        min_length=1,
        description="What an isolation forest sees of a window; the z-score sees its mean.",
    )
    nu: float = Field(
        0.01, gt=0, lt=1, description="Share of normal windows that may be called anomalous, about."
    )
    blocks: int = Field(
        10, ge=2, description="Into which the training time is cut, to set the threshold."
    )
    trees: int = Field(100, ge=1, description="Of an isolation forest; scikit-learn's default.")
