"""GitHub's workflows have no secrets, no input within a shell script, no missing commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT

FOLDER = ROOT / ".github/workflows"
GUIDE = ROOT / "docs/how-to/run-from-github.md"
MAY_SIGN_IN = "azure/login"
"""The only action, besides that of Pages, for which a job may request an identity token."""
READS_ADDRESS, PUBLISHES = "actions/configure-pages", "actions/deploy-pages"
SECRET = re.compile(
    r"secret|password|connection.string|account.key|sas.token|creds\b|github\.token|_token\b", re.I
)
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
PIPELINES = {path.parent.name for path in (ROOT / "conf/base").glob("*/catalog.yml")}
ON_LAPTOPS_ONLY = {"sample_data"}

Workflow = dict[str, Any]


def read(path: Path) -> Workflow:
    """Return a workflow; its triggers are under `on`, which YAML 1.1 reads as true."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in workflow.items()}


WORKFLOWS = {path.stem: read(path) for path in sorted(FOLDER.iterdir())}


def texts(tree: Any) -> Iterator[str]:
    """Yield all keys and values of a nested structure, as text."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key)
            yield from texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from texts(value)
    else:
        yield str(tree)


def steps(workflow: Workflow) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def scripts(workflow: Workflow) -> list[str]:
    return [step["run"] for step in steps(workflow) if "run" in step]


def actions(job: dict[str, Any]) -> list[str]:
    return [step["uses"] for step in job["steps"] if "uses" in step]


def stored_secrets(workflow: Workflow) -> list[str]:
    """Return texts that may contain or request a credential."""
    return [text for text in texts(workflow) if SECRET.search(text)]


def texts_in_shells(workflow: Workflow) -> list[str]:
    """Return scripts into which GitHub inserts text before the shell reads them."""
    return [script for script in scripts(workflow) if "${{" in script]


def too_powerful(workflow: Workflow) -> list[str]:
    """Return jobs without permissions, or with more than their actions need.

    A job that publishes has no other step, and does not read the code.
    """
    found = [] if workflow.get("permissions") == {} else ["the workflow"]
    for name, job in workflow["jobs"].items():
        allowed = {"contents": "read"}
        used = {action.partition("@")[0] for action in actions(job)}
        if MAY_SIGN_IN in used:
            allowed["id-token"] = "write"
        if READS_ADDRESS in used:
            allowed["pages"] = "read"
        if used == {PUBLISHES} and len(job["steps"]) == 1:
            allowed = {"id-token": "write", "pages": "write"}
        if job.get("permissions") != allowed:
            found.append(name)
    return found


def without_timeout(workflow: Workflow) -> list[str]:
    return [name for name, job in workflow["jobs"].items() if not job.get("timeout-minutes")]


def not_pinned(workflow: Workflow) -> list[str]:
    """Return actions that are not pinned to a commit, so that their code may change."""
    used = [action for job in workflow["jobs"].values() for action in actions(job)]
    return [action for action in used if not PINNED.fullmatch(action)]


def checkouts_with_token(workflow: Workflow) -> list[str]:
    """Return checkouts that store GitHub's token where the project's code could read it."""
    return [
        step["uses"]
        for step in steps(workflow)
        if step.get("uses", "").startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials") is not False
    ]


def unknown_commands(workflow: Workflow) -> list[str]:
    """Return lines of scripts whose program, target or subcommand does not exist."""
    lines = [line for script in scripts(workflow) for line in script.splitlines() if line.strip()]
    return [line for line in lines if not exists(shlex.split(line))]


def exists(words: list[str]) -> bool:
    """Return whether a command exists, with its options."""
    program, *arguments = words
    if program == "make":
        return set(arguments) <= TARGETS
    if program.startswith(".venv/bin/"):
        name = program.removeprefix(".venv/bin/")
        return bool(entry_points(group="console_scripts", name=name)) and (
            name != "kedro" or is_submission(arguments)
        )
    if "/" in program:
        return os.access(ROOT / program, os.X_OK)
    return program in {"brew", "git", "ls"}


def is_submission(arguments: list[str]) -> bool:
    """Return whether this is `kedro azureml -e azureml run`, with options that exist."""
    from kedro_cloud.cli.azureml import azureml

    if arguments[:3] != ["azureml", "-e", "azureml"] or arguments[3] not in azureml.commands:
        return False
    options = {name for option in azureml.commands[arguments[3]].params for name in option.opts}
    return {word for word in arguments[4:] if word.startswith("-")} <= options


def pipelines_offered(workflow: Workflow) -> list[str]:
    inputs = (workflow["on"].get("workflow_dispatch") or {}).get("inputs", {})
    options: list[str] = inputs.get("pipeline", {}).get("options", [])
    return options


def unknown_pipelines(workflow: Workflow) -> list[str]:
    return [name for name in pipelines_offered(workflow) if name not in PIPELINES - ON_LAPTOPS_ONLY]


CHECKS: list[Callable[[Workflow], list[str]]] = [
    stored_secrets,
    texts_in_shells,
    too_powerful,
    without_timeout,
    not_pinned,
    checkouts_with_token,
    unknown_commands,
    unknown_pipelines,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_is_secure_and_can_run(
    name: str, check: Callable[[Workflow], list[str]]
) -> None:
    assert check(WORKFLOWS[name]) == []


def change_submission(change: Callable[[Workflow, dict[str, Any]], Any]) -> Workflow:
    """Return the workflow that submits, after a change to it and its job."""
    workflow = deepcopy(WORKFLOWS["azureml"])
    change(workflow, workflow["jobs"]["submit"])
    return workflow


def with_step(**keys: Any) -> Callable[[Workflow, dict[str, Any]], Any]:
    return lambda _, job: job["steps"].append(keys)


@pytest.mark.parametrize(
    ("check", "change"),
    [
        (stored_secrets, with_step(env={"KEY": "${{ secrets.STORAGE }}"}, run="make setup")),
        (texts_in_shells, with_step(run="kedro run -p ${{ inputs.pipeline }}")),
        (too_powerful, lambda workflow, _: workflow.pop("permissions")),
        (too_powerful, lambda _, job: job["permissions"].update(contents="write")),
        (without_timeout, lambda _, job: job.pop("timeout-minutes")),
        (not_pinned, with_step(uses="actions/checkout@v6")),
        (checkouts_with_token, with_step(uses=f"actions/checkout@{'0' * 40}")),
        (unknown_commands, with_step(run="make all-of-it")),
        (unknown_commands, with_step(run=".venv/bin/kedro azureml -e azureml submit -p a")),
        (unknown_pipelines, lambda workflow, _: pipelines_offered(workflow).append("sample_data")),
    ],
)
def test_each_fault_is_detected(
    check: Callable[[Workflow], list[str]], change: Callable[[Workflow, dict[str, Any]], Any]
) -> None:
    assert check(change_submission(change))


def test_every_pipeline_that_runs_on_azure_can_be_chosen() -> None:
    assert sorted(pipelines_offered(WORKFLOWS["azureml"])) == sorted(PIPELINES - ON_LAPTOPS_ONLY)


def test_pull_requests_are_tested_as_the_project_tests_itself_and_may_not_sign_in() -> None:
    workflow = WORKFLOWS["test"]
    assert workflow["on"] == {"pull_request": None, "push": {"branches": ["main"]}}
    assert workflow["jobs"]["test"]["steps"][-1]["run"] == ".ci/run"
    assert "id-token" not in list(texts(workflow))
    may_sign_in = [name for name, each in WORKFLOWS.items() if "id-token" in texts(each)]
    assert may_sign_in == ["azureml", "docs"]
    assert WORKFLOWS["azureml"]["on"].keys() == {"workflow_dispatch"}


def test_documentation_of_main_is_published_with_executed_notebooks() -> None:
    workflow = WORKFLOWS["docs"]
    assert workflow["on"] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    *_, run, build, upload = workflow["jobs"]["build"]["steps"]
    assert run["run"] == "make run"  # the notebooks show its results
    assert build["run"] == "make docs"
    assert build["env"]["EXECUTE_NOTEBOOKS"] == "1"
    assert build["env"]["SITE_URL"].startswith("${{ steps.pages.outputs.base_url }}")
    assert upload["with"]["path"] == "site"
    assert "site_url" not in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [text for text in texts(workflow) if "://" in text] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_keys_of_caches_name_existing_files(name: str) -> None:
    keys = [text for text in texts(WORKFLOWS[name]) if "hashFiles(" in text]
    files = {file for key in keys for file in re.findall(r"'([^']+)'", key)}
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_python_and_debian_are_those_of_the_image_that_jobs_run_in() -> None:
    base = re.search(r"^FROM python:([\d.]+)-slim-(\w+)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert base
    version, debian = base.groups()
    container = WORKFLOWS["test"]["jobs"]["test"]["container"]["image"]
    assert container == f"python:{version}-{debian}"
    (asked,) = [
        each["with"]["python-version"]
        for each in steps(WORKFLOWS["azureml"])
        if each.get("uses", "").startswith("actions/setup-python@")
    ]
    assert asked == version


def submission() -> dict[str, Any]:
    """Return the step that submits; the sign-in, whose token expires in minutes, precedes it."""
    *_, before, last = WORKFLOWS["azureml"]["jobs"]["submit"]["steps"]
    assert before["uses"].startswith(f"{MAY_SIGN_IN}@")
    return dict(last)


@pytest.mark.parametrize(
    "params",
    [
        "{}",
        '{"study": {"trials": 96}}',
        '"; touch taken; "',
        "$(touch taken)`touch taken`",
        "' && touch taken #",
        "a\nb *",
        "",
    ],
)
def test_inputs_reach_the_command_unchanged_and_no_shell(params: str, tmp_path: Path) -> None:
    program = tmp_path / ".venv/bin/kedro"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$ARGUMENTS_FILE"\n')
    program.chmod(0o755)
    pipeline = pipelines_offered(WORKFLOWS["azureml"])[0]
    given = {"inputs.pipeline": pipeline, "inputs.params": params}
    step = submission()
    environment = {
        name: given.get(value.removeprefix("${{ ").removesuffix(" }}"), "x")
        for name, value in step["env"].items()
    }
    written = tmp_path / "written"
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "ARGUMENTS_FILE": str(written), **environment},
        check=True,
    )
    assert written.read_text().split("\0")[:-1] == [
        *("azureml", "-e", "azureml", "run"),
        *("--pipeline", pipeline, "--params", params),
    ]
    assert not (tmp_path / "taken").exists()


def test_the_guide_sets_the_variables_that_the_workflow_reads() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    job = WORKFLOWS["azureml"]["jobs"]["submit"]
    read_there = {name for text in texts(job) for name in re.findall(r"\bvars\.(\w+)", text)}
    environment = job["environment"]
    made = re.findall(rf"^\$ gh variable set (\w+) --env {environment} ", guide, re.MULTILINE)
    assert sorted(made) == sorted(read_there)
    assert f":environment:{environment}" in guide


def test_the_guide_assigns_the_roles_of_operators_and_no_wider_scope() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    given = set(re.findall(r'--role "([^"]+)"', guide))
    assert given == {"AzureML Data Scientist", "Storage Blob Data Contributor"}
    operators = (ROOT / "infra/modules/operator_rights.bicep").read_text(encoding="utf-8")
    assert "dataScientist" in operators
    assert "roles.blobContributor" in operators
    scopes = re.findall(r"role assignment create --scope (\S+)", guide)
    assert scopes == ["$WORKSPACE", "$CODE"]
