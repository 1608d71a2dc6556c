"""Register versioned Azure ML environments for steps and endpoints.

The name includes a hash of the lock file, and the version is a hash of the Dockerfile: training and
scoring cannot run on different packages, and a registered version never changes. See
"Manage Azure Machine Learning environments with the SDK (v2)".
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

DOCKERFILES = {"cpu": "Dockerfile", "gpu": "Dockerfile.gpu", "serving": "Dockerfile.serving"}
"""Dockerfile by kind: steps on CPUs, steps on GPUs, online endpoints."""
_USES = {"cpu": "steps on CPUs", "gpu": "steps on GPUs", "serving": "online endpoints"}
LOCK = "requirements.lock"
CUDA_LOCK = "requirements-cuda.lock"
"""Lock file of NVIDIA's libraries, if the project keeps them apart."""
ROUTES = {
    "liveness_route": {"port": PORT, "path": "/ping"},
    "readiness_route": {"port": PORT, "path": "/ping"},
    "scoring_route": {"port": PORT, "path": "/invocations"},
}
"""Routes of the server in `kedro_cloud.models.scoring`, which the environment `serving` runs."""


@dataclass(frozen=True)
class Image:
    """An Azure ML environment and the files that its Docker image is built from.

    Attributes:
        kind: `cpu`, `gpu` or `serving`.
        dockerfile: Path of the Dockerfile.
        lock: Path of the lock file, which pins all packages.
        cuda_lock: Path of the lock file of NVIDIA's libraries; None if there is none, or no GPU.
    """

    kind: str
    dockerfile: Path
    lock: Path
    cuda_lock: Path | None = None

    @classmethod
    def from_project(cls, project_path: Path, kind: str) -> Image:
        """Return the project's environment of a kind.

        Raises:
            ValueError: The kind is unknown, or the Dockerfile or the lock file is missing.
        """
        if kind not in DOCKERFILES:
            raise ValueError(f"no environment '{kind}'; expected one of {', '.join(DOCKERFILES)}")
        cuda = project_path / CUDA_LOCK
        image = cls(
            kind,
            project_path / DOCKERFILES[kind],
            project_path / LOCK,
            cuda if kind == "gpu" and cuda.is_file() else None,
        )
        for path in (image.dockerfile, image.lock):
            if not path.is_file():
                raise ValueError(f"{path}: file is missing; the environment is made from it")
        return image

    @property
    def locks(self) -> list[Path]:
        """Paths of all lock files."""
        return [path for path in (self.lock, self.cuda_lock) if path is not None]

    @property
    def name(self) -> str:
        """Name of the environment: package, kind, 12 digits of the lock files' SHA-256."""
        return f"{project.PACKAGE_NAME}-{self.kind}-{_digest(*self.locks)[:12]}"

    @property
    def version(self) -> str:
        """Version of the environment: the first 8 digits of the Dockerfile's SHA-256."""
        return _digest(self.dockerfile)[:8]

    @property
    def reference(self) -> str:
        """Reference to the environment in jobs: `NAME:VERSION`."""
        return f"{self.name}:{self.version}"


def image_reference(project_path: Path, kind: str) -> str:
    """Return the reference to the environment of the present Dockerfile and lock file.

    Args:
        project_path: Folder of the Kedro project.
        kind: `cpu`, `gpu` or `serving`.

    Raises:
        ValueError: The kind is unknown, or the Dockerfile or the lock file is missing.
    """
    return Image.from_project(project_path, kind).reference


def is_registered(client: MLClient, image: Image) -> bool:
    """Return whether the workspace has the environment."""
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
        # Azure ML uploads the complete build context: include only what the Dockerfile copies.
        shutil.copy(image.dockerfile, Path(folder) / "Dockerfile")
        for lock in image.locks:
            shutil.copy(lock, folder)
        client.environments.create_or_update(
            Environment(
                name=image.name,
                version=image.version,
                description=f"{project.PACKAGE_NAME}: {_USES[image.kind]}",
                build=BuildContext(path=folder, dockerfile_path="Dockerfile"),
                tags={"requirements_lock_sha256": _digest(image.lock)},
                inference_config=ROUTES if image.kind == "serving" else None,
            )
        )


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
