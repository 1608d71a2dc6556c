"""The registry of models that an environment has: versions, what is known of them, their stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from kedro_cloud.core.config import format_env_option

Stage = Literal["candidate", "champion"]
STAGES: tuple[Stage, ...] = ("candidate", "champion")
"""A version on trial, and the one that counts; a model has one of each at most."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        model: Its name.
        number: `1` for the first.
        stages: That it is in.
        registered: When, with a time zone.
        reason: Why it was registered, in words.
        tags: What the pipeline wrote beside it: `metric.…`, `parameter.…`, `library.…` and lineage.
        run: Of the pipeline, by MLflow's or Azure ML's identifier; empty if it is not known.
    """

    model: str
    number: str
    stages: tuple[Stage, ...]
    registered: datetime
    reason: str
    tags: Mapping[str, str]
    run: str = ""

    def of_kind(self, kind: str) -> dict[str, str]:
        """Tags of a kind by their names: `metric`, `parameter` or `library`."""
        prefix = f"{kind}."
        return {
            name.removeprefix(prefix): value
            for name, value in self.tags.items()
            if name.startswith(prefix)
        }

    @property
    def data(self) -> dict[str, str]:
        """SHA-256 by part of the data: `train`, `test`, `known`."""
        end = "_data_sha256"
        return {
            name.removesuffix(end): value for name, value in self.tags.items() if name.endswith(end)
        }


class Registry(Protocol):
    """What is asked of a registry, on this machine or in a workspace."""

    @property
    def where(self) -> str:
        """What it is, for errors."""

    @property
    def environment(self) -> str:
        """Folder of `conf`."""

    def models(self) -> list[str]:
        """Names of all registered models."""

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, the first one first; none if there is no such model."""

    def mark(self, version: Version, stage: Stage) -> None:
        """Put a version into a stage."""

    def unmark(self, version: Version, stage: Stage) -> None:
        """Take a version out of a stage; what is not in it stays as it is."""

    def commit(self, version: Version) -> str:
        """Of the code that registered a version; empty if it is not known."""

    def fetch(self, version: Version, folder: Path) -> Path:
        """Where the files of a version lie, on this machine; `folder` takes them if need be."""


def versions_of(registry: Registry, model: str) -> list[Version]:
    """All versions of a model.

    Raises:
        ValueError: There is none; names the models that there are.
    """
    found = registry.versions(model)
    if not found:
        known = ", ".join(registry.models()) or "none"
        raise ValueError(f"{registry.where} has no model '{model}'; registered: {known}")
    return found


def choose(registry: Registry, model: str, number: str = "", stage: str = "") -> Version:
    """One version: of a number or in a stage, or else the champion, or else the last.

    Raises:
        ValueError: There is no such version, or no single one.
    """
    found = versions_of(registry, model)
    if number:
        chosen = [version for version in found if version.number == number]
        if not chosen:
            numbers = ", ".join(version.number for version in found)
            raise ValueError(f"{model} has no version {number}; registered: {numbers}")
        return chosen[0]
    chosen = [version for version in found if (stage or "champion") in version.stages]
    if len(chosen) > 1:
        raise ValueError(
            f"versions {' and '.join(version.number for version in chosen)} of {model} are "
            f"{stage or 'champion'}, for a promotion was broken off; finish it: "
            f"{promotion_command(model, 'VERSION', stage or 'champion', registry.environment)}"
        )
    if stage and not chosen:
        command = promotion_command(model, found[-1].number, stage, registry.environment)
        raise ValueError(f"no version of {model} is {stage}; make one that: {command}")
    return (chosen or found)[-1]


def promotion_command(model: str, number: str, stage: str, environment: str) -> str:
    """What a person types to put a version into a stage."""
    return (
        f"kedro cloud models promote {model} {number} --to {stage}{format_env_option(environment)}"
    )


@dataclass(frozen=True)
class Promotion:
    """What it takes to put a version into a stage.

    Attributes:
        version: Which one.
        stage: Into which stage.
        replaced: Versions that are in it, and shall not be.
        leaves: Stages that the version leaves for it.
    """

    version: Version
    stage: Stage
    replaced: Sequence[Version] = field(default=())
    leaves: Sequence[Stage] = field(default=())

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.stage in self.version.stages and not (self.replaced or self.leaves)

    def told(self, verb: str) -> str:
        """In a line: "MODEL version 2 becomes champion in the place of version 1"."""
        numbers = " and ".join(version.number for version in self.replaced)
        said = f"{self.version.model} version {self.version.number} {verb} {self.stage}"
        if self.is_done:
            return f"{said} already"
        return f"{said} in the place of version {numbers}" if numbers else f"{said}; no other was"

    def carry_out(self, registry: Registry) -> None:
        """Mark the version first, so that at no time there is none; can be done again."""
        registry.mark(self.version, self.stage)
        for other in self.replaced:
            registry.unmark(other, self.stage)
        for stage in self.leaves:
            registry.unmark(self.version, stage)


def plan_promotion(registry: Registry, model: str, number: str, stage: Stage) -> Promotion:
    """What it takes; a champion is no candidate any more.

    Raises:
        ValueError: There is no such version.
    """
    version = choose(registry, model, number)
    others = [
        other
        for other in registry.versions(model)
        if stage in other.stages and other.number != number
    ]
    leaves: list[Stage] = [
        held for held in version.stages if held == "candidate" and stage == "champion"
    ]
    return Promotion(version, stage, others, leaves)
