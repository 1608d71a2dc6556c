"""Define the model registry: versions, their metadata and their stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from kedro_cloud.core.config import format_env_option

Stage = Literal["candidate", "champion"]
STAGES: tuple[Stage, ...] = ("candidate", "champion")
"""Stages of a version: under evaluation, or in production. At most one version is in each."""


@dataclass(frozen=True)
class Version:
    """Version of a registered model.

    Attributes:
        model: Name of the model.
        number: Version number, `1` for the first.
        stages: Stages of the version.
        registered: Time of the registration, with a time zone.
        reason: Description, with the reason of the registration.
        tags: Tags set by the pipeline: `metric.…`, `parameter.…`, `library.…` and lineage.
        run: Run ID of MLflow or Azure ML; empty if unknown.
    """

    model: str
    number: str
    stages: tuple[Stage, ...]
    registered: datetime
    reason: str
    tags: Mapping[str, str]
    run: str = ""

    def select_tags(self, kind: str) -> dict[str, str]:
        """Return the tags of a kind (`metric`, `parameter` or `library`) without its prefix."""
        prefix = f"{kind}."
        names = [name.removeprefix(prefix) for name in self.tags if name.startswith(prefix)]
        return {name: self.tags[prefix + name] for name in names}

    @property
    def data(self) -> dict[str, str]:
        """SHA-256 by part of the data: `train`, `test`, `known`."""
        suffix = "_data_sha256"
        names = [name.removesuffix(suffix) for name in self.tags if name.endswith(suffix)]
        return {name: self.tags[name + suffix] for name in names}


class Registry(Protocol):
    """Interface of a registry, on this machine or in a workspace."""

    @property
    def where(self) -> str:
        """Name for messages, such as `workspace 'NAME'`."""

    @property
    def environment(self) -> str:
        """Kedro environment."""

    def models(self) -> list[str]:
        """Return the names of all registered models."""

    def versions(self, model: str) -> list[Version]:
        """Return all versions of a model, oldest first; none if the model does not exist."""

    def mark(self, version: Version, stage: Stage) -> None:
        """Put a version into a stage."""

    def unmark(self, version: Version, stage: Stage) -> None:
        """Remove a version from a stage; do nothing if it is not in it."""

    def commit(self, version: Version) -> str:
        """Return the Git commit that registered a version; empty if unknown."""

    def fetch(self, version: Version, folder: Path) -> Path:
        """Return the folder with the files of a version; download them to `folder` if needed."""


def list_versions(registry: Registry, model: str) -> list[Version]:
    """Return all versions of a model, oldest first.

    Raises:
        ValueError: The model does not exist.
    """
    versions = registry.versions(model)
    if not versions:
        names = ", ".join(registry.models()) or "none"
        raise ValueError(f"{registry.where} has no model '{model}'; registered: {names}")
    return versions


def choose_version(registry: Registry, model: str, number: str = "", stage: str = "") -> Version:
    """Return a version by number or stage; by default the champion, or else the latest.

    Raises:
        ValueError: No version matches, or several are in the stage.
    """
    versions = list_versions(registry, model)
    if number:
        chosen = [version for version in versions if version.number == number]
        if not chosen:
            numbers = ", ".join(version.number for version in versions)
            raise ValueError(f"{model} has no version {number}; registered: {numbers}")
        return chosen[0]
    chosen = [version for version in versions if (stage or "champion") in version.stages]
    if len(chosen) > 1:
        raise ValueError(
            f"versions {' and '.join(version.number for version in chosen)} of {model} are "
            f"{stage or 'champion'}, as a promotion was interrupted; finish it: "
            f"{promotion_command(model, 'VERSION', stage or 'champion', registry.environment)}"
        )
    if stage and not chosen:
        command = promotion_command(model, versions[-1].number, stage, registry.environment)
        raise ValueError(f"no version of {model} is {stage}; promote one: {command}")
    return (chosen or versions)[-1]


def promotion_command(model: str, number: str, stage: str, environment: str) -> str:
    """Return the command that puts a version into a stage."""
    return (
        f"kedro cloud models promote {model} {number} --to {stage}{format_env_option(environment)}"
    )


@dataclass(frozen=True)
class Promotion:
    """Planned change of the stage of a version.

    Attributes:
        version: Version to promote.
        stage: New stage of the version.
        replaced: Versions to remove from the stage.
        removed_stages: Stages to remove the version from.
    """

    version: Version
    stage: Stage
    replaced: Sequence[Version]
    removed_stages: Sequence[Stage]

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to change."""
        return self.stage in self.version.stages and not (self.replaced or self.removed_stages)

    def format_line(self, verb: str) -> str:
        """Return a line such as "MODEL version 2 VERB champion, replacing version 1"."""
        numbers = " and ".join(version.number for version in self.replaced)
        text = f"{self.version.model} version {self.version.number} {verb} {self.stage}"
        if self.is_done:
            return f"{text} already"
        return f"{text}, replacing version {numbers}" if numbers else f"{text}; the stage was empty"

    def apply(self, registry: Registry) -> None:
        """Apply the change to the registry; an interrupted change can be repeated."""
        # First, so that the stage is never empty.
        registry.mark(self.version, self.stage)
        for other in self.replaced:
            registry.unmark(other, self.stage)
        for stage in self.removed_stages:
            registry.unmark(self.version, stage)


def plan_promotion(registry: Registry, model: str, number: str, stage: Stage) -> Promotion:
    """Plan a promotion; a new champion leaves the stage `candidate`.

    Raises:
        ValueError: The version does not exist.
    """
    version = choose_version(registry, model, number)
    in_stage = [each for each in registry.versions(model) if stage in each.stages]
    others = [each for each in in_stage if each.number != number]
    removed = [each for each in version.stages if each == "candidate" and stage == "champion"]
    return Promotion(version, stage, others, removed)
