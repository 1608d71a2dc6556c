"""Copies of this project with a Git history, results and secrets, and its Azure resources."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from pathlib import Path

from control_plane import ControlPlane
from kedro_cloud.provisioning.environment import CUDA_LOCK, DOCKERFILES, LOCK, Image
from support import ROOT, make_workspace

PRIVATE = "private-4711"
"""Text in each file that must not be uploaded."""
CLUSTERS = {"": "cpu-cluster", "cpu": "cpu-cluster", "gpu": "gpu-cluster", "memory": "big-cluster"}
"""Cluster by tag; the first is for steps without a tag."""
_ROOT_FILES = (".amlignore", ".gitignore", LOCK, CUDA_LOCK, *DOCKERFILES.values())
_PRIVATE_FILES = (
    ".env",
    ".env.azure",
    ".git/config",
    ".venv/bin/activate",
    "conf/local/credentials.yml",
    "conf/local/faq_tuning/parameters.yml",
    "data/01_raw/customers.csv",
    "data/08_reporting/faq_tuning/metrics.json",
    "mlartifacts/1/model.pkl",
    "notebooks/faq_tuning.ipynb",
    "rehearsals/runs/faq_tuning/steps/tune_ranker/log.txt",
    "src/quartet/__pycache__/settings.cpython-311.pyc",
)


def make_project(folder: Path) -> Path:
    """Copy this project for `kedro azureml run`."""
    make_workspace(folder)
    for name in _ROOT_FILES:
        shutil.copy(ROOT / name, folder)
    _name_clusters(folder / "conf/azureml/azureml.yml")
    return folder


def furnish(plane: ControlPlane, project: Path = ROOT) -> None:
    """Add the clusters and the image of the project's jobs to the workspace."""
    for cluster in set(CLUSTERS.values()):
        plane.manager.add_cluster(cluster)
    add_image(plane, project)


def add_image(plane: ControlPlane, project: Path = ROOT) -> None:
    """Put the images of the project's lock file, of steps and of endpoints, into the workspace."""
    for kind in ("cpu", "serving"):
        name, version = Image.from_project(project, kind).reference.split(":")
        plane.manager.add(f"environments/{name}/versions/{version}", {"osType": "Linux"})


def add_history(folder: Path) -> None:
    """Make the project a Git repository with one commit."""
    for command in (
        ("init", "--quiet"),
        ("remote", "add", "origin", "https://example.com/quartet.git"),
        ("add", "."),
        ("-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "Begin"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


def last_commit(folder: Path) -> str:
    """Return the hash of the last commit."""
    command = ["git", "rev-parse", "HEAD"]
    result = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return result.stdout.strip()


def add_private_files(folder: Path) -> None:
    """Add results and secrets to the project."""
    for name in _PRIVATE_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("a") as file:
            file.write(f"# {PRIVATE}\n")
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")  # as MLflow's have
        database.execute(f'CREATE TABLE "{PRIVATE}" (run TEXT)')


def _name_clusters(file: Path) -> None:
    text = file.read_text()
    for tag in ("gpu", "memory"):
        before, after = (f"{tag}: {{cluster_name: {CLUSTERS[name]}}}" for name in ("cpu", tag))
        assert before in text
        text = text.replace(before, after)
    file.write_text(text)
