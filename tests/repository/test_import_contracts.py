"""What CONTRIBUTING.md and `docs/explanation/architecture.md` promise of imports is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from support import ROOT, clean_environment

PYPROJECT = ROOT / "pyproject.toml"
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
}
SCIENCE = CONTRACTS["science"]["source_modules"][0].rpartition(".")[2]
"""Which sciences there are depends on what a project was made with."""
PIPELINES = sorted(path.parent.name for path in ROOT.glob("src/quartet/pipelines/*/__init__.py"))


class Planted(NamedTuple):
    """Code at the end of a file below `src`, and the contracts that it breaks."""

    file: str
    code: str
    broken: set[str]


IN_FUNCTION = "def planted():\n    "
FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
PLANTED = {
    "a module without a layer": Planted("quartet/planted.py", "", {"layers"}),
    "framework imports pipelines": Planted(
        "quartet/framework/context.py", f"{IN_FUNCTION}from quartet import pipelines", {"layers"}
    ),
    "datasets import a science": Planted(
        "quartet/datasets/__init__.py", f"import quartet.{SCIENCE}", {"layers"}
    ),
    "a module of the plugin without a layer": Planted(
        "kedro_cloud/planted.py", "", {"plugin-layers"}
    ),
    "jobs import the workspace": Planted(
        "kedro_cloud/jobs/job.py",
        f"{IN_FUNCTION}from kedro_cloud.provisioning import assets",
        {"plugin-layers", "cycles"},
    ),
    "the plugin imports the project": Planted(
        "kedro_cloud/hooks.py", f"{IN_FUNCTION}import quartet.{SCIENCE}", {"plugin"}
    ),
    "a science imports the plugin": Planted(
        f"quartet/{SCIENCE}/settings.py", "from kedro_cloud.core import ranks", {"science"}
    ),
    "a science imports a dataset": Planted(
        f"quartet/{SCIENCE}/settings.py", "from quartet.datasets import text", {"science", "layers"}
    ),
    "a science imports Kedro in a function": Planted(
        f"quartet/{SCIENCE}/settings.py", f"{IN_FUNCTION}import kedro.io", {"science"}
    ),
    "a science imports MLflow for types": Planted(
        f"quartet/{SCIENCE}/settings.py", f"{FOR_TYPES}import mlflow", {"science"}
    ),
    "a dataset imports Azure's SDK": Planted(
        "quartet/datasets/text.py",
        f"{IN_FUNCTION}from azure.identity import x",
        {"azure-libraries"},
    ),
    "a hook imports azureml": Planted(
        "quartet/framework/context.py", "import azureml.core", {"azure-libraries"}
    ),
    "a pipeline imports another": Planted(
        f"quartet/pipelines/{PIPELINES[0]}/__init__.py",
        f"from quartet.pipelines import {PIPELINES[1]}",
        {"pipelines"},
    ),
    "a cycle in a package of the plugin": Planted(
        "kedro_cloud/blobs/storage.py",
        f"{FOR_TYPES}from kedro_cloud.blobs.file_system import x",
        {"cycles"},
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contracts")
    shutil.copy(PYPROJECT, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    return folder


@contextmanager
def planted(path: Path, code: str) -> Iterator[None]:
    before = path.read_bytes() if path.exists() else None
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{code}\n")
    try:
        yield
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def lint(project: Path) -> tuple[set[str], str]:
    """Contracts that `lint-imports` finds broken, by their ids, and all that it prints."""
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo"],
        cwd=project,
        env={**clean_environment(), "PYTHONPATH": str(project / "src"), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
    )
    broken = {
        name
        for name, contract in CONTRACTS.items()
        if f"\n{contract['name']} BROKEN" in result.stdout
    }
    counted = f"Contracts: {len(CONTRACTS) - len(broken)} kept, {len(broken)} broken."
    assert counted in result.stdout, result.stdout + result.stderr
    return broken, result.stdout


def test_the_source_keeps_all_contracts(project: Path) -> None:
    assert lint(project)[0] == set()


@pytest.mark.parametrize("name", PLANTED)
def test_an_import_that_a_contract_forbids_breaks_that_contract(project: Path, name: str) -> None:
    file, code, broken = PLANTED[name]
    with planted(project / "src" / file, code):
        assert lint(project)[0] == broken


def test_a_new_module_is_refused_by_its_name_until_it_has_a_layer(project: Path) -> None:
    with planted(project / "src/quartet/planted.py", ""):
        assert "- quartet.planted\n" in lint(project)[1]


def test_each_contract_is_broken_by_an_import_that_no_other_contract_refuses() -> None:
    """Else nobody knows that it refuses anything, or it only repeats the others."""
    alone = {name for _, _, broken in PLANTED.values() if len(broken) == 1 for name in broken}
    assert alone == CONTRACTS.keys()
