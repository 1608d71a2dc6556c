"""Run `kedro azureml run`, and read the submitted jobs and code from the control plane."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from click.testing import Result

from control_plane import ControlPlane
from control_plane.resources import Document
from kedro_cloud.jobs.job import Job, Source, Step

WITNESS = Path(__file__).parent / "control_plane/witness"
Submission = subprocess.CompletedProcess[str] | Result
_SOURCE = re.compile(r"\$\{\{parent\.jobs\.(\w+)\.outputs\.(\w+)\}\}")


def submit_everything(plane: ControlPlane, project: Path) -> subprocess.CompletedProcess[str]:
    """Run `kedro azureml -e azureml run` in a project, signed in.

    `connected` returns the connections of the process.
    """
    return subprocess.run(
        [sys.executable, "-m", "kedro", "azureml", "-e", "azureml", "run"],
        cwd=project,
        env={
            **plane.environment,
            "PYTHONPATH": f"{WITNESS}:{project / 'src'}",
            "COLUMNS": "200",
            "QUARTET_WITNESS": str(plane.folder / "connected.txt"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def connected(plane: ControlPlane) -> set[str]:
    """Return the addresses to which the process opened connections."""
    file = plane.folder / "connected.txt"
    return set(file.read_text().split()) if file.exists() else set()


def job_document(plane: ControlPlane, result: Submission) -> Document:
    """Return the submitted job, found by the link in the output."""
    name = re.search(r"https://ml\.azure\.com/runs/(\w+)", result.stdout)
    assert name, result.stdout + result.stderr
    found = plane.manager.find(f"jobs/{name[1]}")
    assert found is not None
    return found


def read_submitted(plane: ControlPlane, document: Document) -> Job:
    """Return a job of the service: steps, each with its component."""
    properties = document["properties"]
    return Job(
        name=properties["displayName"],
        experiment=properties["experimentName"],
        steps=tuple(
            _read_step(name, node, component(plane, node))
            for name, node in properties["jobs"].items()
        ),
    )


def component(plane: ControlPlane, node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the component of a step."""
    found = plane.resources.get(node["componentId"])
    assert found is not None
    return found["properties"]["componentSpec"]


def _read_step(name: str, node: Mapping[str, Any], runs: Mapping[str, Any]) -> Step:
    distribution = runs.get("distribution") or node.get("distribution") or {}
    resources = node.get("resources") or runs.get("resources") or {}
    return Step(
        name=name,
        command=runs["command"],
        inputs=MappingProxyType(
            {key: _read_input(given) for key, given in node.get("inputs", {}).items()}
        ),
        outputs=tuple(runs.get("outputs", {})),
        environment_variables=MappingProxyType(dict(node["environment_variables"])),
        compute=node["computeId"].rpartition("/")[2],
        mpi=distribution.get("type", distribution.get("distribution_type")) == "mpi",
        instances=int(resources.get("instance_count", 1)),
        processes_per_instance=int(distribution.get("process_count_per_instance", 1)),
    )


def _read_input(given: Mapping[str, str]) -> str | Source:
    assert given["job_input_type"] == "literal"
    found = _SOURCE.fullmatch(given["value"])
    return Source(found[1], found[2]) if found else given["value"]


def code_addresses(plane: ControlPlane, document: Document) -> set[str]:
    """Return the addresses of the code of a job's steps; one if they share it."""
    nodes = document["properties"]["jobs"].values()
    codes = {component(plane, node)["code"].removeprefix("azureml:") for node in nodes}
    versions = [plane.resources.get(code) for code in codes]
    return {version["properties"]["codeUri"] for version in versions if version}


def download(plane: ControlPlane, address: str, target: Path) -> Path:
    """Download a folder of blob storage by its https address."""
    container, _, folder = address.split("/", 3)[3].partition("/")
    blobs = plane.blobs.client.get_container_client(container)
    for name in blobs.list_blob_names(name_starts_with=f"{folder}/"):
        path = target / name.removeprefix(f"{folder}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blobs.download_blob(name).readall())
    return target
