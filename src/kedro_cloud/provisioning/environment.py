"""Register versioned Azure ML environments for steps and endpoints.

The name includes a hash of the lock file, and the version is a hash of the Dockerfile and the files
that it copies: training and scoring cannot run on different packages, and a registered version
never changes. See "Manage Azure Machine Learning environments with the SDK (v2)".
"""

from __future__ import annotations

import hashlib
import re
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
        sources: Paths of the other files that the Dockerfile copies, below its folder.
    """

    kind: str
    dockerfile: Path
    lock: Path
    cuda_lock: Path | None = None
    sources: tuple[Path, ...] = ()

    @classmethod
    def from_project(cls, project_path: Path, kind: str) -> Image:
        """Return the project's environment of a kind.

        Raises:
            ValueError: The kind is unknown, or the Dockerfile, the lock file or a file that the
                Dockerfile copies is missing.
        """
        if kind not in DOCKERFILES:
            raise ValueError(f"no environment '{kind}'; expected one of {', '.join(DOCKERFILES)}")
        dockerfile, lock, cuda = (
            project_path / name for name in (DOCKERFILES[kind], LOCK, CUDA_LOCK)
        )
        for path in (dockerfile, lock):
            if not path.is_file():
                raise ValueError(f"{path}: file is missing; the environment is made from it")
        return cls(
            kind,
            dockerfile,
            lock,
            cuda if kind == "gpu" and cuda.is_file() else None,
            tuple(path for path in _copied_files(dockerfile) if path not in (lock, cuda)),
        )

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
        """Version of the environment: 8 digits of the SHA-256 of the Dockerfile and its sources."""
        return _digest(self.dockerfile, *self.sources)[:8]

    @property
    def reference(self) -> str:
        """Reference to the environment in jobs: `NAME:VERSION`."""
        return f"{self.name}:{self.version}"


def image_reference(project_path: Path, kind: str) -> str:
    """Return the reference to the environment `kind` of the present Dockerfile and lock file.

    Raises:
        ValueError: As by `Image.from_project`.
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
        for path in (*image.locks, *image.sources):
            target = Path(folder) / path.relative_to(image.dockerfile.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
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


def _copied_files(dockerfile: Path) -> list[Path]:
    """Return the files that `COPY` takes from the build context.

    Raises:
        ValueError: One is not a file of the project.
    """
    text = dockerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    paths = []
    for line in re.findall(r"^\s*COPY\s+(?!.*--from=)(.*)", text, re.MULTILINE | re.IGNORECASE):
        *names, _ = (word for word in line.split() if not word.startswith("--"))
        for name in names:
            path = dockerfile.parent / name
            if not path.is_file() or {"..", "/"} & {*Path(name).parts}:
                raise ValueError(
                    f"{dockerfile}: COPY {name}: not a file of the project; name files by their "
                    "paths below the project's folder, and none that .amlignore leaves out of steps"
                )
            paths.append(path)
    return paths


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
