"""Read `prices.yml` and `planning.yml` of an environment, with the sources of their values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from kedro_cloud.core.cloud_settings import read_files, validate_settings
from kedro_cloud.estimate.simulation import Overheads, Range


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_order(value: Range) -> Range:
    if not 0 <= value[0] <= value[1] <= value[2]:
        raise ValueError("expected [low, most likely, high], ascending, none below 0")
    return value


class Assumption(_Part):
    """Low, most likely and high value, and their source."""

    range: Annotated[Range, AfterValidator(_check_order)]
    source: str = Field(min_length=1)


class Assumptions(_Part):
    """Contents of `planning.yml`; times in seconds."""

    scale_up_s: Assumption
    image_pull_s: Assumption
    step_overhead_s: Assumption
    spread: Assumption

    @property
    def overheads(self) -> Overheads:
        """Return the ranges that a simulation draws from."""
        assumptions = (self.scale_up_s, self.image_pull_s, self.step_overhead_s, self.spread)
        return Overheads(*(each.range for each in assumptions))


class Price(_Part):
    """Price of a node per hour; `example` marks prices that are not from Azure's price list."""

    size: str
    region: str
    tier: Literal["dedicated", "low_priority"]
    hourly: float = Field(ge=0)
    currency: str
    date: date
    source: str = Field(min_length=1)
    example: bool = False

    def __str__(self) -> str:
        source = "EXAMPLE PRICE: replace it in prices.yml" if self.example else self.source
        tier = self.tier.replace("_", " ")
        return f"{self.size}, {tier}, {self.hourly:g} {self.currency}/h in {self.region} ({source})"


class _Files(_Part):
    planning: Assumptions
    prices: tuple[Price, ...]


def load_assumptions(project: Path, environment: str) -> tuple[Overheads, tuple[Price, ...]]:
    """Load `planning.yml` and `prices.yml` of an environment.

    Raises:
        ValueError: A file is missing, or one of its settings is missing, unknown or invalid.
    """
    content = read_files(project, environment, "planning")
    missing = [f"{name}.yml" for name in _Files.model_fields if name not in content]
    if missing:
        raise ValueError(
            f"environment '{environment}' has no {' and no '.join(missing)}; use -e azureml, or "
            "copy the file from conf/azureml"
        )
    files = validate_settings(_Files, content, f"conf/{environment}")
    return files.planning.overheads, files.prices


def find_price(prices: Sequence[Price], size: str, region: str, tier: str) -> Price:
    """Return the price of a node.

    Raises:
        ValueError: `prices.yml` does not contain it.
    """
    for price in prices:
        if (price.size.lower(), price.region, price.tier) == (size.lower(), region, tier):
            return price
    known = sorted({f"{p.size} in {p.region}" for p in prices if p.tier == tier})
    others = f"use one of {', '.join(known)}" if known else "use another tier"
    raise ValueError(
        f"prices.yml: no price of {size}, {tier}, in {region}; add it with its date and source, or "
        f"{others}"
    )
