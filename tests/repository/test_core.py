"""The core alone runs the scenarios, and errors name the extra that is missing."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from kedro_cloud.core import extras
from locks import applicable
from support import QUICK, ROOT, clean_environment, make_workspace, run_program

CORE = "requirements-core.lock"
PIPELINE = min(path.parent.name for path in (ROOT / "conf/azureml").glob("*/catalog.yml"))
"""A pipeline that can run on Azure ML."""


@pytest.fixture(scope="module")
def core_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links to the packages of the core, and to the project's entry points."""
    folder = tmp_path_factory.mktemp("core")
    for name in (*applicable(CORE), *applicable("requirements-cuda.lock"), "quartet"):
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # CUDA on a machine without, or the project if only its source is used
        tops = {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}
        for top in tops:
            link, target = folder / top, Path(str(found.locate_file(top)))
            if not link.exists() and not top.endswith(".pth"):
                link.symlink_to(target)
    assert not (folder / "azure").exists()
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("project"))


def kedro(
    project: Path, packages: Path, *arguments: str, **variables: str
) -> CompletedProcess[str]:
    """Run `kedro` with only the packages of a folder."""
    path = os.pathsep.join([str(packages), str(ROOT / "src")])
    environment = {**clean_environment(), "PYTHONPATH": path, "COLUMNS": "200", **variables}
    command = (sys.executable, "-S", "-m", "kedro", *arguments)  # -S: without site-packages
    return run_program(*command, folder=project, environment=environment)


def test_help_lists_the_commands_of_a_missing_extra(project: Path, core_packages: Path) -> None:
    for arguments in (("--help",), ("cloud", "--help")):
        result = kedro(project, core_packages, *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert "Needs the extra azure" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "needs"),
    [
        (f"cloud plan -p {PIPELINE} --nodes 3", "Error: kedro cloud plan"),
        ("cloud rehearse --help", "Error: kedro cloud rehearse"),
        ("try", "Error: kedro try"),
        (f"azureml -e azureml run -p {PIPELINE}", "Error: kedro azureml"),
        (f"run -e azureml --pipelines {PIPELINE}", "Error: "),
    ],
)
def test_what_needs_an_extra_names_it_in_one_line(
    arguments: str, needs: str, project: Path, core_packages: Path
) -> None:
    result = kedro(project, core_packages, *arguments.split())
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert needs in errors[0]
    assert errors[0].endswith(extras.format_missing("", "try" if arguments == "try" else "azure"))


def test_ranks_need_the_extra_mpi(project: Path, core_packages: Path) -> None:
    ranks = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}
    result = kedro(project, core_packages, "run", "--pipelines", PIPELINE, **ranks)
    message = extras.format_missing("a run with several MPI ranks", "mpi")
    assert (result.returncode, result.stderr) == (1, f"Error: {message}\n")


@pytest.mark.integration
def test_the_core_runs_every_scenario(tmp_path: Path, core_packages: Path) -> None:
    given = f"{QUICK},faq_study_settings.trials=2,reference_recipe.trees=20"
    result = kedro(make_workspace(tmp_path), core_packages, "run", "--params", given)
    assert result.returncode == 0, result.stderr


def test_every_module_of_an_extra_is_declared_by_it() -> None:
    """Otherwise the message would name an extra that does not install the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras.EXTRAS.values()) == set(project["optional-dependencies"])
    core = applicable(CORE)
    packages = {"azure": "azure-ai-ml", "azureml": "azureml-mlflow", "grpc": "grpcio"}
    for module, extra in extras.EXTRAS.items():
        name = packages.get(module, module.replace("_", "-"))
        declared = project["optional-dependencies"][extra]
        assert any(line.startswith((f"{name}>", f"{name}=")) for line in declared), module
        assert name not in core or extra == "serve", module
