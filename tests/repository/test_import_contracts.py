"""import-linter rejects imports that `docs/explanation/architecture.md` excludes."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from support import ROOT, clean_environment, run_program

PYPROJECT = ROOT / "pyproject.toml"
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
}
SCIENCE = CONTRACTS["science"]["source_modules"][0].rpartition(".")[2]
"""One of the sciences; a project made by the starter need not have all."""
PIPELINES = sorted(path.parent.name for path in ROOT.glob("src/quartet/pipelines/*/__init__.py"))


class Violation(NamedTuple):
    """Code to add to the end of a file below `src`, and the contracts that it breaks."""

    file: str
    code: str
    broken: set[str]


IN_FUNCTION = "def planted():\n    "
FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
VIOLATIONS = {
    "a module without a layer": Violation("quartet/planted.py", "", {"layers"}),
    "framework imports pipelines": Violation(
        "quartet/framework/context.py", f"{IN_FUNCTION}from quartet import pipelines", {"layers"}
    ),
    "datasets import a science": Violation(
        "quartet/datasets/__init__.py", f"import quartet.{SCIENCE}", {"layers"}
    ),
    "a module of the plugin without a layer": Violation(
        "kedro_cloud/planted.py", "", {"plugin-layers"}
    ),
    "the plugin imports the project": Violation(
        "kedro_cloud/hooks.py", f"{IN_FUNCTION}import quartet.{SCIENCE}", {"plugin"}
    ),
    "a science imports the plugin": Violation(
        f"quartet/{SCIENCE}/settings.py", "from kedro_cloud.core import ranks", {"science"}
    ),
    "a science imports Kedro in a function": Violation(
        f"quartet/{SCIENCE}/settings.py", f"{IN_FUNCTION}import kedro.io", {"science"}
    ),
    "a science imports MLflow for types": Violation(
        f"quartet/{SCIENCE}/settings.py", f"{FOR_TYPES}import mlflow", {"science"}
    ),
    "a dataset imports Azure's SDK": Violation(
        "quartet/datasets/text.py",
        f"{IN_FUNCTION}from azure.identity import x",
        {"azure-libraries"},
    ),
    "a hook imports azureml": Violation(
        "quartet/framework/context.py", "import azureml.core", {"azure-libraries"}
    ),
    "a pipeline imports another": Violation(
        f"quartet/pipelines/{PIPELINES[0]}/__init__.py",
        f"from quartet.pipelines import {PIPELINES[1]}",
        {"pipelines"},
    ),
    "a cycle in a package of the plugin": Violation(
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
def added_code(path: Path, code: str) -> Iterator[None]:
    """Add code to a file, which is restored at the end."""
    before = path.read_bytes() if path.exists() else None
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{code}\n")
    try:
        yield
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def lint(project: Path) -> set[str]:
    """Return the ids of the contracts that `lint-imports` finds broken."""
    command = (Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo")
    environment = {**clean_environment(), "PYTHONPATH": str(project / "src"), "COLUMNS": "1000"}
    result = run_program(*command, folder=project, environment=environment)
    broken = {
        name
        for name, contract in CONTRACTS.items()
        if f"\n{contract['name']} BROKEN" in result.stdout
    }
    counted = f"Contracts: {len(CONTRACTS) - len(broken)} kept, {len(broken)} broken."
    assert counted in result.stdout, result.stdout + result.stderr
    return broken


def test_the_source_keeps_all_contracts(project: Path) -> None:
    assert lint(project) == set()


@pytest.mark.parametrize("name", VIOLATIONS)
def test_an_import_that_a_contract_forbids_breaks_that_contract(project: Path, name: str) -> None:
    file, code, broken = VIOLATIONS[name]
    with added_code(project / "src" / file, code):
        assert lint(project) == broken


def test_each_contract_rejects_an_import_that_no_other_contract_rejects() -> None:
    """Otherwise it might reject nothing, or only repeat the others."""
    alone = {name for _, _, broken in VIOLATIONS.values() if len(broken) == 1 for name in broken}
    assert alone == CONTRACTS.keys()
