"""Manage the models in MLflow's registry on this machine; stages are aliases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from kedro_cloud.core import config
from kedro_cloud.models.registry import STAGES, Stage, Version


@dataclass(frozen=True)
class LocalRegistry:
    """Registry in the database of `mlflow.yml`."""

    client: Any
    where: str
    environment: str

    @classmethod
    def from_environment(cls, project: Path, environment: str) -> Self:
        """Open the registry of an environment.

        Raises:
            ValueError: The database does not exist yet.
        """
        settings = config.loader(project, environment)["mlflow"]
        uri = str(settings["server"]["mlflow_tracking_uri"])
        if file := config.sqlite_file(uri, project):
            if not file.is_file():
                raise ValueError(
                    f"{file}: not found, as no model is registered yet; train one: kedro run"
                )
            uri = f"{config.SQLITE}{file}"
        from mlflow import MlflowClient

        return cls(MlflowClient(uri, registry_uri=uri), f"the registry {uri}", environment)

    def models(self) -> list[str]:
        """Return the names of all registered models."""
        return sorted(entry.name for entry in self.client.search_registered_models())

    def versions(self, model: str) -> list[Version]:
        """Return all versions of a model, oldest first."""
        models = [entry for entry in self.client.search_registered_models() if entry.name == model]
        if not models:
            return []
        aliases = {stage: number for stage, number in models[0].aliases.items() if stage in STAGES}
        entries = self.client.search_model_versions(f"name='{model}'")
        return sorted(
            (_version(entry, aliases) for entry in entries),
            key=lambda version: int(version.number),
        )

    def mark(self, version: Version, stage: Stage) -> None:
        """Set the alias of a stage to a version; MLflow removes it from others."""
        self.client.set_registered_model_alias(version.model, stage, version.number)

    def unmark(self, version: Version, stage: Stage) -> None:
        """Delete the alias of a stage, unless another version has it by now."""
        current = self.client.get_registered_model(version.model).aliases.get(stage)
        if current is not None and str(current) == version.number:
            self.client.delete_registered_model_alias(version.model, stage)

    def commit(self, version: Version) -> str:
        """Return the Git commit that registered a version; empty if unknown."""
        return version.tags.get("git_commit", "")

    def fetch(self, version: Version, folder: Path) -> Path:
        """Return the folder with the files of a version.

        Raises:
            ValueError: The files do not exist any more.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        uri = self.client.get_model_version_download_uri(version.model, version.number)
        tracking_uri = self.client.tracking_uri
        try:
            found = Path(download_artifacts(artifact_uri=uri, tracking_uri=tracking_uri))
            if not any(found.rglob("MLmodel")):
                raise FileNotFoundError(uri)
        except (MlflowException, OSError) as error:
            raise ValueError(
                f"{version.model} version {version.number}: files not found at {uri}; restore "
                "them, or choose another version"
            ) from error
        return found


def _version(entry: Any, aliases: dict[str, str]) -> Version:
    number = str(entry.version)
    return Version(
        model=entry.name,
        number=number,
        stages=tuple(stage for stage in STAGES if str(aliases.get(stage)) == number),
        registered=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        reason=entry.description or "",
        tags=dict(entry.tags),
        run=entry.run_id or "",
    )
