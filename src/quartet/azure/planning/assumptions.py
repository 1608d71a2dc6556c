"""What a plan takes for granted: `planning.yml` and `prices.yml` of an environment."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from kedro.config.abstract_config import MissingConfigException
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from quartet import configuration
from quartet.azure.planning.distributions import Distribution
from quartet.azure.planning.work import Delays
from quartet.setting_faults import told

Tier = Literal["dedicated", "low_priority"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Delay(_Part):
    """How long something takes, and who says so."""

    seconds: Annotated[Distribution, BeforeValidator(Distribution.of)]
    source: str


class Evictions(_Part):
    """How often low-priority machines are taken away."""

    per_hour: float = Field(ge=0)
    source: str


class Pieces(_Part):
    """What the ranks of a step share."""

    what: str
    """In words, many of them."""
    parameter: str | None = None
    """That holds their number, dotted."""
    metric: str | None = None
    """Of the rehearsal's report, that holds their number."""
    each: float = Field(default=1, gt=0)
    """So much of the metric is one piece."""
    keeps: bool = False
    """Whether finished ones survive when machines are taken away."""


class Usage(_Part):
    """How much of a service something asks for, and how that is known."""

    value: float = Field(ge=0)
    basis: str


class Traffic(_Part):
    """What one piece of a job asks of blob storage."""

    requests_per_piece: Usage
    read_mb_per_piece: Usage
    written_mb_per_piece: Usage


class Sensor(_Part):
    """What one sensor asks of the services."""

    events_per_s: Usage
    bytes_per_event: Usage
    windows_per_hour: Usage
    log_bytes_per_window: Usage
    bank_bytes: Usage
    bytes_per_window_in_memory: Usage


class Limit(_Part):
    """What Azure allows at most."""

    most: float = Field(ge=0)
    unit: str
    what: str
    mend: str
    """What one does who needs more."""
    source: str


class Price(_Part):
    """Of a machine, an hour."""

    size: str
    region: str
    tier: Tier
    hourly: float = Field(ge=0)
    currency: str
    cores: int = Field(ge=1)
    gpus: int = Field(default=0, ge=0)
    memory_gib: float = Field(gt=0)
    date: date
    source: str
    example: bool = False
    """Whether it is only an example, to be replaced."""


class Planning(_Part):
    """All of `planning.yml`."""

    scale_up: Delay
    image_pull: Delay
    step_overhead: Delay
    spread: Delay
    evictions: Evictions
    pieces: dict[str, Pieces] = {}
    traffic: dict[str, Traffic] = {}
    requests_per_step: Usage
    sensor: Sensor
    limits: dict[str, Limit]

    def delays(self, evictions_per_hour: float | None = None) -> Delays:
        """What comes on top of the work, for a simulation."""
        said = self.evictions.per_hour if evictions_per_hour is None else evictions_per_hour
        return Delays(
            self.scale_up.seconds, self.image_pull.seconds, self.step_overhead.seconds, said
        )


class _File(_Part):
    planning: Planning
    prices: tuple[Price, ...]


def assumptions(project: Path, environment: str) -> tuple[Planning, tuple[Price, ...]]:
    """What an environment's files say.

    Raises:
        ValueError: A file is missing, or a setting in it is missing, unknown or out of range.
    """
    try:
        content = configuration.loader(project, environment)["planning"]
    except MissingConfigException:
        content = {}
    missing = [f"{name}.yml" for name in ("planning", "prices") if name not in content]
    if missing:
        raise ValueError(
            f"environment '{environment}' has no {' and no '.join(missing)}; use -e azureml, or "
            "copy the file from conf/azureml"
        )
    try:
        said = _File(**content)
    except ValidationError as error:
        raise ValueError(f"conf/{environment}: {told(error)}") from error
    return said.planning, said.prices


def price_of(prices: Sequence[Price], size: str, region: str, tier: str, environment: str) -> Price:
    """What a machine costs.

    Raises:
        ValueError: The file has no such price; says what to write into it.
    """
    for price in prices:
        if (price.size.lower(), price.region, price.tier) == (size.lower(), region, tier):
            return price
    close = difflib.get_close_matches(size, {price.size for price in prices}, n=1)
    elsewhere = sorted({price.region for price in prices if price.size.lower() == size.lower()})
    hint = ""
    if elsewhere:
        hint = f" (there is one for {', '.join(elsewhere)})"
    elif close:
        hint = f" (did you mean {close[0]}?)"
    raise ValueError(
        f"no price of {size}, {tier}, in {region}{hint}; write it into "
        f"conf/{environment}/prices.yml, with its date and source"
    )


def whole(value: Any) -> str:
    """A number for people: 10,000 or 0.25."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
