"""Manage the models of a workspace; stages are tags, as Azure ML has no aliases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_cloud.models.registry import STAGES, Stage, Version
from kedro_cloud.workspace.changes import get_or_none

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_PREFIX = "stage."
"""Prefix of the tag that puts a version into a stage."""


@dataclass(frozen=True)
class WorkspaceRegistry:
    """Registry of a workspace, through azure-ai-ml."""

    client: MLClient
    environment: str

    @property
    def where(self) -> str:
        """Name for messages."""
        return f"workspace '{self.client.workspace_name}'"

    def models(self) -> list[str]:
        """Return the names of all registered models."""
        return sorted(entity.name for entity in self.client.models.list())

    def versions(self, model: str) -> list[Version]:
        """Return all versions of a model, oldest first."""
        # The SDK lists lazily, so that a missing model raises only in `list`.
        entities = get_or_none(lambda: list(self.client.models.list(name=model))) or []
        return sorted(map(_version, entities), key=_sort_key)

    def mark(self, version: Version, stage: Stage) -> None:
        """Add the tag of a stage to a version."""
        self._tag(version, {_PREFIX + stage: "true"}, "")

    def unmark(self, version: Version, stage: Stage) -> None:
        """Remove the tag of a stage from a version."""
        self._tag(version, {}, _PREFIX + stage)

    def _tag(self, version: Version, added: dict[str, str], removed: str) -> None:
        entity = self.client.models.get(version.model, version.number)
        tags = {name: value for name, value in (entity.tags or {}).items() if name != removed}
        if tags | added != entity.tags:
            entity.tags = tags | added
            self.client.models.create_or_update(entity)

    def commit(self, version: Version) -> str:
        """Return the Git commit that registered a version; a step takes it from its job."""
        job = version.tags.get("azureml_job")
        if commit := version.tags.get("git_commit"):
            return commit
        entity = get_or_none(self.client.jobs.get, job) if job else None  # it may have been deleted
        properties = (entity and entity.properties) or {}
        is_dirty = str(properties.get("azureml.git.dirty")) == "True"
        commit = properties.get("mlflow.source.git.commit", "")
        return f"{commit}+changed" if commit and is_dirty else str(commit)

    def fetch(self, version: Version, folder: Path) -> Path:
        """Download the files of a version into `folder`."""
        self.client.models.download(version.model, version.number, str(folder))
        return folder


def _version(entity: Any) -> Version:
    tags = dict(entity.tags or {})
    created = entity.creation_context.created_at if entity.creation_context else None
    return Version(
        model=entity.name,
        number=str(entity.version),
        stages=tuple(stage for stage in STAGES if tags.get(_PREFIX + stage) == "true"),
        registered=_utc(created),
        reason=entity.description or "",
        tags={name: value for name, value in tags.items() if not name.startswith(_PREFIX)},
        run=tags.get("run_id", "") or entity.job_name or "",
    )


def _utc(moment: Any) -> datetime:
    """Return a time with a zone, by default UTC; the SDK returns some times as text, some as None.

    An unknown time is the start of 1970.
    """
    time = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    if time is None:
        return datetime.fromtimestamp(0, UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _sort_key(version: Version) -> tuple[int, str]:
    """Sort key: numbers by value, after the named versions of other tools."""
    return (int(version.number), "") if version.number.isdigit() else (-1, version.number)
