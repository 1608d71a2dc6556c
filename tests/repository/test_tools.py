"""Checks of commits, dev container, lock files and `make setup` agree with the project."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from locks import applicable, locked
from support import ROOT, run_program

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


LOCKS = ("requirements-core.lock", "requirements.lock", "requirements-dev.lock")


def hooks() -> dict[str, dict[str, Any]]:
    """Return the hooks of pre-commit by id."""
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (repository,) = yaml.safe_load(text)["repos"]
    assert repository["repo"] == "local"
    return {hook["id"]: hook for hook in repository["hooks"]}


def container() -> dict[str, Any]:
    text = (ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def recipe(target: str) -> list[str]:
    """Return the commands that `make TARGET` runs in .venv."""
    body = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert body
    return re.findall(r"^\t\$\(BIN\)/(.+)$", body[1], re.MULTILINE)


def test_commits_have_the_checks_of_make_lint() -> None:
    lines = [line.removesuffix(" $(UNTYPED)") for line in recipe("lint")]
    in_the_makefile = {line.removesuffix(" .").removesuffix(" --check") for line in lines}
    entries = {hook["entry"] for hook in hooks().values() if "/ruff" in hook["entry"]}
    entries |= {hook["entry"] for hook in hooks().values() if hook.get("pass_filenames") is False}
    plain = {entry.removeprefix(".venv/bin/").removesuffix(" --force-exclude") for entry in entries}
    assert plain == in_the_makefile


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        ("Check labels before anything is written", ""),
        ("Added a check", "'Added' is not in the imperative"),
        ("Adds a check", "'Adds' is not in the imperative"),
        ("check labels", "the first word is not a verb that begins with a capital letter"),
        ("A" + "b" * 72, "73 characters; at most 72"),
    ],
)
def test_a_subject_is_an_imperative_of_one_line(subject: str, fault: str, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_text(f"{subject}\n\nWhy it is done, in as many lines as that takes.\n")
    result = run_program(sys.executable, ROOT / ".ci/check_subject.py", message)
    message = f"commit subject: {fault}: {subject}\n" if fault else ""
    assert (result.returncode, result.stderr) == (int(bool(fault)), message)


def strip(*paths: Path) -> int:
    return run_program(sys.executable, ROOT / ".ci/strip_notebooks.py", *paths).returncode


def test_outputs_are_removed_from_a_notebook_and_its_text_is_kept(tmp_path: Path) -> None:
    text = "größer: **x** → 1"
    code = new_code_cell("1 + 1", execution_count=3, outputs=[new_output("stream", text="2")])
    code.metadata = {"tags": ["kept"], "execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"}}
    notebook = new_notebook(cells=[new_markdown_cell(text), code])
    notebook.metadata = {"language_info": {"name": "python", "version": "3.11.7"}}
    path = tmp_path / "own.ipynb"
    nbformat.write(notebook, path)
    assert strip(path) == 1
    stripped = nbformat.read(path, as_version=4)
    nbformat.validate(stripped)
    first, second = stripped.cells
    assert (first.source, second.source) == (text, "1 + 1")
    assert (second.outputs, second.execution_count) == ([], None)
    assert second.metadata == {"tags": ["kept"]}
    assert stripped.metadata.language_info == {"name": "python"}
    assert strip(path) == 0


def test_committed_notebooks_have_no_outputs(tmp_path: Path) -> None:
    copies = []
    for notebook in NOTEBOOKS:
        copy = tmp_path / notebook.name
        copy.write_bytes(notebook.read_bytes())
        copies.append(copy)
    assert copies
    assert strip(*copies) == 0


def test_the_dev_container_has_the_python_and_the_debian_of_the_jobs_image() -> None:
    base = re.search(r"^FROM python:([\d.]+)-slim-(\w+)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert base
    version, debian = base.groups()
    assert container()["image"].endswith(f"/python:{version}-{debian}")


def test_the_dev_container_runs_targets_of_the_makefile() -> None:
    command = container()["postCreateCommand"]
    made = command.rpartition("make ")[2].split()
    assert set(made) <= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    tested = re.search(r"^integration:(.*)##", MAKEFILE, re.MULTILINE)
    assert tested
    assert set(tested[1].split()) == set(made)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_python_3_11_can_install_what_is_locked(lock: str) -> None:
    names = applicable(lock)
    assert names
    required = {name: distribution(name).metadata.get("Requires-Python") for name in names}
    first = Version("3.11.0")
    refused = {
        name: specifier
        for name, specifier in required.items()
        if first not in SpecifierSet(specifier or "")
    }
    assert refused == {}


@pytest.mark.parametrize("lock", (*LOCKS, "requirements-cuda.lock"))
def test_locked_packages_have_a_hash_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    first = re.findall(r"^[a-z].*\n(.*)", text, re.MULTILINE)
    assert len(first) == len(locked(lock)) > 0
    assert [line for line in first if not line.startswith("    --hash=sha256:")] == []


def declared() -> dict[str, list[Requirement]]:
    """Return the requirements in pyproject.toml by extra; the core has the empty name."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pyproject = tomllib.loads(text)
    extras = pyproject["project"]["optional-dependencies"]
    lists = {
        "": pyproject["project"]["dependencies"],
        "dev": pyproject["dependency-groups"]["dev"],
        **extras,
    }
    return {name: list(map(Requirement, lines)) for name, lines in lists.items()}


def test_what_is_declared_is_locked() -> None:
    """Otherwise a new dependency would be missing after `make run`."""
    full = locked("requirements.lock")
    locks = {"": locked("requirements-core.lock"), "dev": {**full, **locked(LOCKS[-1])}}
    wrong = [
        str(requirement)
        for extra, requirements in declared().items()
        for requirement in requirements
        if requirement.name != "quartet"
        and not requirement.specifier.contains(
            locks.get(extra, full).get(canonicalize_name(requirement.name), "0")
        )
    ]
    assert wrong == [], "run `make lock`"


def test_the_core_is_locked_as_in_images() -> None:
    assert locked("requirements-core.lock").items() <= locked("requirements.lock").items()


def test_wheels_of_pytorch_for_cpus_are_locked() -> None:
    """Otherwise pip would install those with gigabytes of CUDA."""
    script = (ROOT / ".ci/lock.py").read_text(encoding="utf-8")
    digests = re.findall(r'"([0-9a-f]{64})"', script)
    assert len(digests) == 6  # three Pythons, two kinds of machines
    for lock in ("requirements-core.lock", "requirements.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8")
        torch = re.search(r"^torch==(?:.*\\\n)*.*", text, re.MULTILINE)
        assert torch
        assert [digest for digest in digests if digest not in torch[0]] == []


def run_make(folder: Path, *arguments: str, pythons: dict[str, str]) -> str:
    """Return the output of `make setup`, up to the choice of a Python among those on the path."""
    for name, code in pythons.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{code}\n")
        program.chmod(0o755)
    for name in ("sh", "uname", "test", "echo", "sed"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    command = (str(shutil.which("make")), "-f", ROOT / "Makefile", ".venv/python", *arguments)
    result = run_program(*command, folder=folder, environment={"PATH": str(folder / "bin")})
    return result.stdout + result.stderr


# As `python -c`, `python --version` and `python -m venv`: the last one ends here.
WORKS = 'case "$1" in --version) echo Python 3.x;; -m) exit 1;; esac'
SHIM = "exit 127"


def test_make_uses_the_newest_python_that_runs_and_reports_it(tmp_path: Path) -> None:
    pythons = {"python3.13": SHIM, "python3.12": WORKS, "python3.11": WORKS}
    output = run_make(tmp_path, pythons=pythons)
    assert f"with Python 3.x ({tmp_path}/bin/python3.12)" in output


def test_make_uses_the_given_python(tmp_path: Path) -> None:
    pythons = {"python3.12": WORKS, "mine": WORKS}
    output = run_make(tmp_path, "PYTHON=mine", pythons=pythons)
    assert "with Python 3.x (mine)" in output


def test_make_reports_a_missing_python(tmp_path: Path) -> None:
    output = run_make(tmp_path, pythons={"python3.12": SHIM})
    assert "Quartet needs Python 3.11, 3.12 or 3.13: install one" in output


def test_the_latest_release_in_the_changelog_is_the_version_of_the_project() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", changes, flags=re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert headings[:2] == ["Unreleased", project["version"]]
