"""`kedro new --starter=<this repository>` makes a project of the chosen parts that works."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from support import QUICK, ROOT, clean_environment, run_program

sys.path.append(str(ROOT / "starter"))  # as for the hook of `kedro new`
blocks, leaving, lock_files, naming, new_project, pages, table = map(
    importlib.import_module,
    ("blocks", "leaving", "lock_files", "naming", "new_project", "pages", "table"),
)
sys.path.pop()

TABLE = table.Table.read(ROOT / "starter/scenarios.yml")
FILES = new_project.files(ROOT)
NEEDED = lock_files.read_needed(ROOT / "starter/dependencies.json")
PIPELINES = {
    "digits": {"mnist_training"},
    "faq": {"faq_ingestion", "faq_tuning", "faq_matching"},
    "sensors": {"sensor_ingestion", "anomaly_training", "anomaly_scoring"},
    "style": {"style_training", "style_transfer"},
}
PACKAGE = "own_fleet"
CHOICES = [*((name,) for name in PIPELINES), ("digits", "style"), ("sensors", "azure")]
SIZES = {
    "digits": (135, 10_200),
    "faq": (175, 16_900),
    "sensors": (213, 18_900),
    "style": (176, 16_800),
    "azure": (173, 12_700),
}
"""By part of a project: maximum number of files, and of lines of Python with tests."""
WHOLE = ({"digits"}, {"sensors", "azure"})
"""Choices whose projects run all of their tests."""
SHORT = {"digits": QUICK, "faq": "faq_study_settings.trials=2,reference_recipe.trees=20"}
"""Parameters by scenario that shorten a run on its samples."""


def start(
    folder: Path, *arguments: str, answers: str = "", starter: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run `kedro new` in a folder, without files of an earlier call."""
    home = folder / "home"
    home.mkdir(parents=True)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "kedro",
            "new",
            f"--starter={starter}",
            "--directory=starter",
            *arguments,
        ],
        cwd=folder,
        env={**clean_environment(), "HOME": str(home), "DO_NOT_TRACK": "1", "COLUMNS": "200"},
        input=answers,
        capture_output=True,
        text=True,
        check=False,
    )


def start_with_file(folder: Path, **answers: str) -> subprocess.CompletedProcess[str]:
    """Run `kedro new` with answers from a file."""
    folder.mkdir(exist_ok=True)
    answers = {"project_name": "Own Fleet", "repo_name": "own", "azure": "no", **answers}
    (folder / "answers.yml").write_text(yaml.safe_dump(answers))
    return start(folder, "--config", "answers.yml")


class MadeProject(NamedTuple):
    """A project, the parts that were chosen, and a Python with only what it has locked."""

    folder: Path
    chosen: set[str]
    python: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program in the project."""
        # pytest's own variables are left out: a run of tests inside is not this worker's.
        here = {name: text for name, text in clean_environment().items() if "PYTEST" not in name}
        environment = {**here, "DO_NOT_TRACK": "1"}
        return run_program(self.python, *command, folder=self.folder, environment=environment)

    def files(self, *suffixes: str) -> list[Path]:
        """Return its files with these suffixes, or all."""
        return [
            path
            for path in self.folder.rglob("*")
            if path.is_file() and (not suffixes or path.suffix in suffixes)
            if "__pycache__" not in path.parts
        ]


def locked(project: Path, *names: str) -> set[str]:
    """Return the packages of lock files, by default of all."""
    paths = [project / name for name in names] or [*project.glob("requirements*.lock")]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return {name for text in texts for name in re.findall(r"^([a-z][\w.-]*)==", text, re.MULTILINE)}


def make_python(project: Path, folder: Path) -> Path:
    """Make an environment that has the installed packages as far as the project has locked them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    names = locked(project)
    for found in importlib.metadata.distributions():
        if re.sub(r"[-_.]+", "-", found.name).lower() in names:
            for top in {path.parts[0] for path in found.files or ()} - {".."}:
                if not (site / top).exists():
                    (site / top).symlink_to(str(found.locate_file(top)))
    (site / "project.pth").write_text(f"{project / 'src'}\n")
    (folder / "bin/ruff").symlink_to(Path(sys.executable).parent / "ruff")
    return folder / "bin/python"


@pytest.fixture(scope="module", params=CHOICES, ids="+".join)
def made_project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> MadeProject:
    scenarios = ",".join(name for name in request.param if name in PIPELINES)
    folder = tmp_path_factory.mktemp("_".join(request.param))
    azure = "yes" if "azure" in request.param else "no"
    result = start_with_file(folder, scenarios=scenarios, azure=azure)
    assert result.returncode == 0, result.stderr
    python = make_python(folder / "own", folder / "environment")
    return MadeProject(folder / "own", set(request.param), python)


def test_a_project_is_small(made_project: MadeProject) -> None:
    """33 of the files of sensors are the sample."""
    limits = [SIZES[name] for name in made_project.chosen]
    assert len(made_project.files()) <= sum(files for files, _ in limits)
    texts = [path.read_text(encoding="utf-8") for path in made_project.files(".py")]
    assert sum(text.count("\n") for text in texts) <= sum(lines for _, lines in limits)


OPEN = f"""
import json, pathlib
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
here = pathlib.Path.cwd()
bootstrap_project(here)
import {PACKAGE}
with KedroSession.create(here) as session:
    catalog = session.load_context().catalog
    wanted = {{name for each in pipelines.values() for name in each.datasets()}}
    lost = sorted(name for name in wanted if catalog.get(name) is None)
print(json.dumps([{PACKAGE}.__file__, sorted(pipelines), lost]))
"""


def test_the_project_has_the_pipelines_that_were_chosen_and_all_of_their_datasets(
    made_project: MadeProject,
) -> None:
    result = made_project.run("-c", OPEN)
    assert result.returncode == 0, result.stderr
    source, found, lost = json.loads(result.stdout.splitlines()[-1])
    assert Path(source).is_relative_to(made_project.folder)
    expected = set[str]().union(*(PIPELINES.get(name, set()) for name in made_project.chosen))
    assert set(found) == expected | {"__default__"}
    assert lost == []


def code_of(path: Path) -> Iterator[str]:
    """Yield imports and texts of a file of code or configuration, without comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield json.dumps(yaml.safe_load(text), default=str)
        return
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield "" if id(node) in docstrings else node.value


def test_code_and_configuration_do_not_name_other_scenarios(
    made_project: MadeProject,
) -> None:
    gone = set(PIPELINES) - made_project.chosen
    pattern = re.compile(TABLE.names(gone).pattern.replace("quartet", PACKAGE))
    paths = [
        path
        for path in made_project.files(".py", ".yml", ".toml", ".lock")
        if path.relative_to(made_project.folder).parts[0] in {"src", "conf", "tests"}
    ]
    assert len(paths) > 80
    found = [(path, text) for path in paths for text in code_of(path) if pattern.search(text)]
    assert found == []


def test_the_plugin_is_there_only_if_it_was_chosen(made_project: MadeProject) -> None:
    plugin = [made_project.folder / name for name in ("src/kedro_cloud", "conf/azureml", "infra")]
    if "azure" in made_project.chosen:
        assert all(path.is_dir() for path in plugin)
        assert "kedro-azureml" in locked(made_project.folder, "requirements.lock")
        return
    assert not any(path.exists() for path in plugin)
    naming_it = [
        path
        for path in made_project.files()
        if re.search(rb"kedro[_ -]cloud|kedro[_-]azureml|make azurite", path.read_bytes())
        if path.name != "pyproject.toml"  # whose bounds have the reason
    ]
    assert naming_it == []
    assert [name for name in locked(made_project.folder) if "azure" in name] == []


def test_the_package_has_the_name_that_was_chosen_everywhere(made_project: MadeProject) -> None:
    own = {path.relative_to(ROOT / "starter/own") for path in (ROOT / "starter/own").rglob("*")}
    named = [
        path
        for path in made_project.files()
        if "quartet" in str(path.relative_to(made_project.folder)).lower()
        or re.search(rb"(?i)quartet", path.read_bytes())
    ]
    # Weights of styles and the sample video have the name of the program that made them.
    kept = {path for path in named if path.suffix in {".mp4", ".safetensors"}}
    assert {path.relative_to(made_project.folder) for path in named if path not in kept} <= own
    pyproject = (made_project.folder / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nname = "{PACKAGE}"\n' in pyproject
    assert f'\npackage_name = "{PACKAGE}"\nproject_name = "Own Fleet"\n' in pyproject


@pytest.fixture(scope="module")
def types_of_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of mypy, which all projects share for the types of libraries."""
    return tmp_path_factory.mktemp("mypy")


def test_the_project_has_all_tests_that_are_listed_for_its_parts(
    made_project: MadeProject,
) -> None:
    """A listed test that imports an excluded module would be excluded, too."""
    listed = {name for name in FILES if name.startswith("tests/") and TABLE.owners(name)}
    expected = {name for name in listed if TABLE.is_included(name, made_project.chosen)}
    assert expected
    missing = {
        name
        for name in expected
        if not (made_project.folder / name.replace("quartet", PACKAGE)).is_file()
    }
    assert missing == set()


def test_the_project_has_the_commands_that_its_parts_need(made_project: MadeProject) -> None:
    result = made_project.run("-m", "kedro", "--help")
    assert result.returncode == 0, result.stderr
    commands = set(re.findall(r"^  ([a-z-]+)", result.stdout, re.MULTILINE))
    assert "run" in commands
    assert "try" not in commands
    assert ("fetch" in commands) == bool({"digits", "faq", "style"} & made_project.chosen)


def test_the_project_passes_its_own_checks(
    made_project: MadeProject, types_of_libraries: Path
) -> None:
    contracts = "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])"
    for command in (
        ["-m", "ruff", "check", "--no-cache", "."],
        ["-m", "ruff", "format", "--no-cache", "--check", "."],
        ["-c", contracts],
        ["-m", "mypy", "--cache-dir", str(types_of_libraries)],
    ):
        result = made_project.run(*command)
        assert result.returncode == 0, result.stdout + result.stderr


def test_no_missing_file_is_read(made_project: MadeProject) -> None:
    """A text that is the path of a file of the repository is also one of the project."""
    paths = [
        path
        for path in made_project.files(".py")
        if path.relative_to(made_project.folder).parts[0] in {"src", "tests"}
    ]
    texts = {(path.name, text) for path in paths for text in code_of(path) if "/" in text}
    lost = [
        (name, text)
        for name, text in texts
        if text.replace(PACKAGE, "quartet") in FILES and not (made_project.folder / text).is_file()
    ]
    assert lost == []


def test_the_project_passes_its_own_tests(made_project: MadeProject, tmp_path: Path) -> None:
    """They run all pipelines on the samples, too.

    Of some projects all tests are run. Of the others all modules are imported, the fixtures of
    each test are looked up, and the pipelines are run.
    """
    is_whole = made_project.chosen in WHOLE
    options = [] if is_whole else ["--setup-plan"]
    result = made_project.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *options)
    assert result.returncode == 0, result.stdout
    if is_whole:
        passed = re.search(r"(\d+) passed", result.stdout)
        assert passed
        assert int(passed[1]) > 40
        return
    assert result.stdout.count("::test_") > 40
    given = ",".join(SHORT[name] for name in sorted(SHORT.keys() & made_project.chosen))
    copied = made_project._replace(folder=shutil.copytree(made_project.folder, tmp_path / "own"))
    result = copied.run("-m", "kedro", "run", *(["--params", given] if given else []))
    assert result.returncode == 0, result.stderr


def test_pages_of_the_project_link_only_to_its_files(made_project: MadeProject) -> None:
    readme = (made_project.folder / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# Own Fleet\n")
    for name in PIPELINES:
        assert (f"- {name}: " in readme) == (name in made_project.chosen)
    lost = []
    for page in made_project.files(".md"):
        text = page.read_text(encoding="utf-8")
        assert "<!-- " not in re.sub(r"<!-- [\w ]+: (begin|end) -->", "", text), page
        prose = re.sub(r"(?s)```.*?```|`[^`\n]+`", "", text)
        for target in re.findall(r"\]\((?![a-z]+:)([^)#\s]+)", prose):
            if not (page.parent / target).exists():
                lost.append((page.name, target))
    assert lost == []


def test_pages_of_the_project_name_only_commands_that_its_makefile_has(
    made_project: MadeProject,
) -> None:
    makefile = (made_project.folder / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"run", "test", "format", "lint"} <= targets
    for name in ("README.md", "CONTRIBUTING.md", ".github/workflows/test.yml"):
        text = (made_project.folder / name).read_text(encoding="utf-8")
        commands = set(re.findall(r"(?:^\$ |`|run: )make ([a-z-]+)", text, re.MULTILINE))
        assert commands <= targets, name
    for name in re.findall(r"^\t.*?([\w.-]+\.lock)", makefile, re.MULTILINE):
        assert (made_project.folder / name).exists()


def test_the_starter_and_tests_of_the_repository_are_excluded(
    made_project: MadeProject,
) -> None:
    own = {path.relative_to(ROOT / "starter/own") for path in (ROOT / "starter/own").rglob("*")}
    names = {path.relative_to(made_project.folder) for path in made_project.files()} - own
    left_out = {
        name.as_posix() for name in names if table.fits(name.as_posix(), TABLE.left_out["files"])
    }
    assert left_out == set()
    folders = {name.parts[1] for name in names if name.parts[0] == "tests"}
    assert {name for name in folders if "." not in name} == {PACKAGE}


def test_lock_files_have_exactly_the_packages_that_the_project_needs(
    made_project: MadeProject,
) -> None:
    names = locked(made_project.folder)
    for name in names:
        assert set(NEEDED[name]) <= names | {"setuptools"}, name
    assert ("torch" in names) == bool({"digits", "style"} & made_project.chosen)
    assert ("lightgbm" in names) == ("faq" in made_project.chosen)
    versions = "".join((ROOT / path).read_text("utf-8") for path in ROOT.glob("requirements*.lock"))
    for path in made_project.folder.glob("requirements*.lock"):
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        assert [line for line in lines if line not in versions] == []


@pytest.fixture(scope="module")
def digits_project(tmp_path_factory: pytest.TempPathFactory) -> MadeProject:
    """A project made by answering the questions, in which its pipeline has run."""
    folder = tmp_path_factory.mktemp("answered")
    result = start(folder, "--name", "My Digits", answers="digits\nno\n")
    assert result.returncode == 0, result.stderr
    assert "Any of them, with commas in between" in result.stdout
    project = folder / "my-digits"
    made = MadeProject(project, {"digits"}, make_python(project, folder / "environment"))
    result = made.run("-m", "kedro", "run", "--params", QUICK)
    assert result.returncode == 0, result.stderr
    return made


def test_a_registered_model_has_the_code_of_the_project_under_its_own_name(
    digits_project: MadeProject, tmp_path: Path
) -> None:
    (model, *_) = digits_project.folder.glob("mlartifacts/**/MLmodel")
    shutil.copytree(model.parent, tmp_path / "model")
    assert "loader_module: my_digits.digits.serving\n" in (model.read_text(encoding="utf-8"))
    alone = "import sys, mlflow; model = mlflow.pyfunc.load_model('model'); import my_digits.digits"
    shown = f"{alone}; print(my_digits.digits.__file__)"
    project = digits_project.folder / "src/my_digits"
    hidden = project.rename(project.with_name("hidden"))
    try:
        result = run_program(digits_project.python, "-c", shown, folder=tmp_path)
    finally:
        hidden.rename(project)
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).is_relative_to(tmp_path / "model/code")


def test_an_error_of_the_project_is_one_line(digits_project: MadeProject) -> None:
    result = digits_project.run("-m", "kedro", "run", "--params", "mnist_data=nowhere")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.stderr


def test_an_unknown_scenario_is_reported_with_the_known_ones_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    """At the prompt; tests of answers from a file are in test_starter_answers.py."""
    answered = start(tmp_path / "answered", "--name", "Own", answers="digitz\n")
    assert answered.returncode != 0
    assert "Known are digits, faq, sensors and style." in answered.stderr
    assert not (tmp_path / "answered/own").exists()


def test_the_prompt_accepts_only_the_scenarios_of_the_table() -> None:
    prompt = yaml.safe_load((ROOT / "starter/prompts.yml").read_text("utf-8"))["scenarios"]
    takes = re.compile(prompt["regex_validator"])
    for answer in ("all", *TABLE.scenarios, "digits,style", "faq , sensors", ",".join(PIPELINES)):
        assert takes.match(answer), answer
    for answer in ("", "digitz", "digits;faq", "digits,", "all,digits"):
        assert not takes.match(answer), answer
    assert all(f"\n{name} " in f"\n{prompt['text']}" for name in TABLE.scenarios)


def test_every_file_has_one_scenario_at_most() -> None:
    owners = {name: set(TABLE.owners(name)) - {table.AZURE} for name in FILES}
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    "folder", ["src/quartet/pipelines", "conf/base", "conf/azureml", "data/01_raw"]
)
def test_folders_of_pipelines_and_samples_belong_to_a_scenario(folder: str) -> None:
    inner = [name for name in FILES if re.match(rf"{folder}/(?!sample_data)\w+/", name)]
    assert inner
    assert [name for name in inner if not set(TABLE.owners(name)) - {table.AZURE}] == []


def test_every_glob_of_the_table_matches_a_file() -> None:
    found = [(name, glob) for name, part in TABLE.parts.items() for glob in part["files"]]
    found += [("left_out", glob) for glob in (*TABLE.left_out["files"], *TABLE.claimed_only)]
    assert [
        (name, glob) for name, glob in found if not any(table.fits(f, [glob]) for f in FILES)
    ] == []


@pytest.mark.parametrize("azure", [True, False], ids=["azure", "local"])
def test_every_part_that_the_table_removes_exists(azure: bool) -> None:
    """Of a file that the plugin's absence shortens first, what remains is meant."""
    missed = []
    for kind in table.CUTS:
        cut = blocks.with_swaps if kind == "swaps" else getattr(blocks, f"without_{kind}")
        names = TABLE.parts if not azure else [*TABLE.scenarios]
        for name, parts in TABLE.cuts(kind, names):
            text = (ROOT / name).read_text(encoding="utf-8")
            singles = [{old: new} for old, new in parts.items()] if kind == "swaps" else parts
            for part in singles:
                if cut(part if kind == "swaps" else [part], text) == text:
                    missed.append((kind, name, part))
    assert missed == []


def test_dependencies_of_the_table_are_declared() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    parts = (*TABLE.parts.values(), TABLE.left_out)
    named = {each for part in parts for each in part["dependencies"]}
    assert [
        name for name in named if not re.search(rf'^    "{name}[<>=\[]', declared, re.MULTILINE)
    ] == []


@pytest.mark.parametrize(
    "name", ["class", "2fleets", "Fleet", "größe", "json", "torch", "faq", "tests"]
)
def test_a_package_cannot_have_a_name_that_hides_another_module(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^python_package: '{name}' is "):
        naming.check_package(name, TABLE.scenarios, ROOT / "pyproject.toml")


def test_names_within_the_new_name_are_replaced_once(tmp_path: Path) -> None:
    put(tmp_path, "src/quartet/a.py", "tests/quartet/b.py")
    (tmp_path / "a.yml").write_text("quartet-jobs quartet.faq QUARTET_SQL Quartet quartet_raw\n")
    naming.rename(tmp_path, "my_quartet", "My Quartet")
    assert (tmp_path / "src/my_quartet/a.py").read_text() == "src/my_quartet/a.py"
    assert (tmp_path / "tests/my_quartet/b.py").is_file()
    assert (tmp_path / "a.yml").read_text() == (
        "my-quart-jobs my_quartet.faq MY_QUARTET_SQL My Quartet my_quartet_raw\n"
    )


def test_modules_are_removed_unless_code_or_configuration_uses_them(tmp_path: Path) -> None:
    put(tmp_path, *(f"src/quartet/datasets/{name}.py" for name in "abcd"))
    for name in "abcd":
        (tmp_path / f"src/quartet/datasets/{name}.py").write_text('"""See quartet.datasets.d."""\n')
    (tmp_path / "src/quartet/datasets/a.py").write_text("from quartet.datasets import b\n")
    (tmp_path / "catalog.yml").write_text("x: {type: quartet.datasets.a.Dataset}\n")
    (tmp_path / "src/quartet/run.py").write_text('RUNNER = "quartet.datasets.c.Runner"\n')
    leaving.prune(tmp_path, ["src/quartet/datasets/*"])
    left = sorted(path.stem for path in (tmp_path / "src/quartet/datasets").iterdir())
    assert left == ["a", "b", "c"]


def test_comments_are_removed_with_their_keys_only() -> None:
    before = """# Of all.
cloud:
  # Of the assets.
  assets:
    digits: {path: digits}   # kept
    # Of styles.
    style:
      path: style

  # What starts.
  trigger:
    every: 3   # seconds

  # The end.
  end: true
"""
    after = """# Of all.
cloud:
  # Of the assets.
  assets:
    digits: {path: digits}   # kept

  # The end.
  end: true
"""
    assert blocks.without_keys(["cloud.assets.st*", "cloud.trigger.*"], before) == after


def test_only_the_named_item_of_a_list_is_removed() -> None:
    before = """jobs:
  test:
    steps:
      - uses: checkout
      # Of a name.
      - name: Keep it
        with: {path: data}
      - name: Run
        run: make
"""
    after = before.replace(before[before.index("      # Of") : before.index("      - name: R")], "")
    assert blocks.without_keys(["jobs.test.steps.Keep *"], before) == after
    assert blocks.without_keys(["jobs.test.steps.Keep *"], after) == after


def test_links_to_removed_pages_become_text_and_pictures_are_removed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n## A part\n")
    text = (
        "See [a *part*](page.md#a-part), [none](page.md#b) and [other](lost.md#x).\n\n![P](p.png)\n"
    )
    assert pages.without_lost_links(text, page) == (
        "See [a *part*](page.md#a-part), none and other.\n\n"
    )
    within = "Text.\n\n[![All](lost.png)](page.md)\n\n[A](page.md)\n"
    assert pages.without_lost_links(within, page) == "Text.\n\n[A](page.md)\n"
    code = "````md\n[a](b.md)\n\n\n```\n[a](b.md)\n```\n````\n"
    left = pages.without_lost_parts(f"[a](b.md)\n{code}[a](b.md)\n", page)
    assert left == f"a\n{code}a\n"


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_a_project_has_the_tracked_files_of_a_clone(tmp_path: Path) -> None:
    put(tmp_path, "kept.py", "removed.py")
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    put(tmp_path, "disabled_tracking.py")
    (tmp_path / "removed.py").unlink()
    assert new_project.files(tmp_path) == ["kept.py"]


def test_a_project_has_the_files_of_a_plain_folder_that_git_would_not_ignore(
    tmp_path: Path,
) -> None:
    put(tmp_path, "kept.py", "results/a.csv", "src/b.py")
    (tmp_path / ".gitignore").write_text("results/\n")
    assert new_project.files(tmp_path) == [".gitignore", "kept.py", "src/b.py"]
    assert not (tmp_path / ".git").exists()
