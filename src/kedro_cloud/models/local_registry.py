"""MLflow's registry on this machine: stages are aliases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from kedro_cloud.core import config
from kedro_cloud.models.registry import STAGES, Stage, Version


@dataclass(frozen=True)
class LocalRegistry:
    """The models in the database that `mlflow.yml` names."""

    client: Any
    where: str
    environment: str

    @classmethod
    def from_environment(cls, project: Path, environment: str) -> Self:
        """The registry of a project's environment.

        Raises:
            ValueError: Nothing was tracked there yet.
        """
        found = config.loader(project, environment)["mlflow"]
        uri = str(found["server"]["mlflow_tracking_uri"])
        if file := config.sqlite_file(uri, project):
            if not file.is_file():
                raise ValueError(
                    f"{file}: not there, for no model was registered yet; train one: kedro run"
                )
            uri = f"{config.SQLITE}{file}"
        from mlflow import MlflowClient

        return cls(MlflowClient(uri, registry_uri=uri), f"the registry {uri}", environment)

    def models(self) -> list[str]:
        """Names of all registered models."""
        return sorted(found.name for found in self.client.search_registered_models())

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, the first one first."""
        found = [entry for entry in self.client.search_registered_models() if entry.name == model]
        if not found:
            return []
        aliases = {stage: number for stage, number in found[0].aliases.items() if stage in STAGES}
        entries = self.client.search_model_versions(f"name='{model}'")
        return sorted(
            (_version(entry, aliases) for entry in entries),
            key=lambda version: int(version.number),
        )

    def mark(self, version: Version, stage: Stage) -> None:
        """Give a version the alias, and take it from all others."""
        self.client.set_registered_model_alias(version.model, stage, version.number)

    def unmark(self, version: Version, stage: Stage) -> None:
        """Take the alias from a version, unless it is another's by now."""
        now = self.client.get_registered_model(version.model).aliases.get(stage)
        if now is not None and str(now) == version.number:
            self.client.delete_registered_model_alias(version.model, stage)

    def commit(self, version: Version) -> str:
        """Of the code that registered a version; empty if it was not known."""
        return version.tags.get("git_commit", "")

    def fetch(self, version: Version, folder: Path) -> Path:
        """Where the files of a version lie.

        Raises:
            ValueError: They are gone.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        uri = self.client.get_model_version_download_uri(version.model, version.number)
        try:
            found = Path(
                download_artifacts(artifact_uri=uri, tracking_uri=self.client.tracking_uri)
            )
        except (MlflowException, OSError) as error:
            raise ValueError(_gone(version, uri)) from error
        if not any(found.rglob("MLmodel")):
            raise ValueError(_gone(version, uri))
        return found


def _gone(version: Version, uri: str) -> str:
    return (
        f"the files of {version.model} version {version.number} are not at {uri} any more; "
        "restore them, or choose another version"
    )


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
