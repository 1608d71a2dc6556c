"""The image that every step runs in, as a versioned Azure ML environment.

Its name carries the hash of the lock file and its version that of the Dockerfile, so that training
and scoring cannot run on different packages, and a name that is registered never changes its
meaning. See "Manage Azure Machine Learning environments with the SDK (v2)".
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro.framework import project

from kedro_cloud.models.scoring import PORT

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

DOCKERFILES = {"cpu": "Dockerfile", "gpu": "Dockerfile.gpu"}
"""By kind of machine."""
LOCK = "requirements.lock"
ROUTES = {
    "liveness_route": {"port": PORT, "path": "/ping"},
    "readiness_route": {"port": PORT, "path": "/ping"},
    "scoring_route": {"port": PORT, "path": "/invocations"},
}
"""Of the server in `kedro_cloud.models.scoring`, which the image of CPUs starts for endpoints."""


@dataclass(frozen=True)
class Image:
    """What an image is made of, and what it is called.

    Attributes:
        kind: Of machine, `cpu` or `gpu`.
        dockerfile: How it is built.
        lock: The packages in it, each with its version.
    """

    kind: str
    dockerfile: Path
    lock: Path

    @classmethod
    def from_project(cls, project_path: Path, kind: str) -> Image:
        """The project's image for a kind of machine.

        Raises:
            ValueError: There is no such kind, or a file of it is missing.
        """
        if kind not in DOCKERFILES:
            raise ValueError(f"no image for '{kind}' machines; known: {', '.join(DOCKERFILES)}")
        image = cls(kind, project_path / DOCKERFILES[kind], project_path / LOCK)
        for path in (image.dockerfile, image.lock):
            if not path.is_file():
                raise ValueError(f"{path}: not there, but the image's name is made from it")
        return image

    @property
    def name(self) -> str:
        """Of the environment: package, kind, and 12 digits of the lock file's SHA-256."""
        return f"{project.PACKAGE_NAME}-{self.kind}-{_digest(self.lock)[:12]}"

    @property
    def version(self) -> str:
        """Of the environment: the first eight digits of the Dockerfile's SHA-256."""
        return _digest(self.dockerfile)[:8]

    @property
    def reference(self) -> str:
        """How a job names the environment."""
        return f"{self.name}:{self.version}"


def image_reference(project_path: Path, kind: str) -> str:
    """Return name and version of the environment that steps run in, for the present lock file.

    Args:
        project_path: The Kedro project's folder.
        kind: Of machines, `cpu` or `gpu`.

    Raises:
        ValueError: A file that the name is made from is missing.
    """
    return Image.from_project(project_path, kind).reference


def is_registered(client: MLClient, image: Image) -> bool:
    """Whether the workspace has the environment."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        client.environments.get(image.name, image.version)
    except ResourceNotFoundError:
        return False
    return True


def register(client: MLClient, image: Image) -> None:
    """Register the environment; Azure ML builds its image before the first job that names it."""
    from azure.ai.ml.entities import BuildContext, Environment

    with tempfile.TemporaryDirectory() as folder:
        # No more than the Dockerfile copies: a build context is uploaded whole.
        shutil.copy(image.dockerfile, Path(folder) / "Dockerfile")
        shutil.copy(image.lock, folder)
        client.environments.create_or_update(
            Environment(
                name=image.name,
                version=image.version,
                description=f"Runs {project.PACKAGE_NAME} on {image.kind.upper()} machines",
                build=BuildContext(path=folder, dockerfile_path="Dockerfile"),
                tags={"requirements_lock_sha256": _digest(image.lock)},
                inference_config=ROUTES if image.kind == "cpu" else None,
            )
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
