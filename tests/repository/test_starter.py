"""`kedro new --starter=<this repository>` makes a project that works, with no more than asked."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import QUICK, ROOT, clean_environment

sys.path.append(str(ROOT / "starter"))  # where the hook of `kedro new` finds these as well
blocks, leaving, new_project, pages, table = map(
    importlib.import_module, ("blocks", "leaving", "new_project", "pages", "table")
)
sys.path.pop()

TABLE = table.Table.read(ROOT / "starter/scenarios.yml")
FILES = new_project.files(ROOT)
PIPELINES = {
    "digits": {"mnist_training"},
    "faq": {"faq_ingestion", "faq_tuning", "faq_matching"},
    "sensors": {"sensor_ingestion", "anomaly_training", "anomaly_scoring"},
    "style": {"style_training", "style_transfer"},
}
CHOICES = [*PIPELINES, "digits, style"]


def start(
    folder: Path, *arguments: str, answers: str = "", starter: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """`kedro new` in a folder, by somebody who has made nothing before."""
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


def configured(folder: Path, scenarios: str) -> subprocess.CompletedProcess[str]:
    """The same with answers from a file."""
    folder.mkdir(exist_ok=True)
    answers = {"project_name": "Own Name", "repo_name": "own", "scenarios": scenarios}
    (folder / "answers.yml").write_text(yaml.safe_dump(answers))
    return start(folder, "--config", "answers.yml")


@pytest.fixture(scope="module", params=CHOICES)
def chosen(request: pytest.FixtureRequest) -> list[str]:
    return list(TABLE.chosen(request.param))


@pytest.fixture(scope="module")
def made_project(chosen: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("_".join(chosen))
    result = configured(folder, ",".join(chosen))
    assert result.returncode == 0, result.stderr
    return folder / "own"


def inside(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a project, whose source comes before the installed one."""
    # Of pytest's own: a run of tests inside is not this worker's.
    here = {name: text for name, text in clean_environment().items() if "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env={**here, "PYTHONPATH": str(project / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


OPEN = """
import json, pathlib, sys
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
here = pathlib.Path.cwd()
bootstrap_project(here)
import quartet
with KedroSession.create(here) as session:
    catalog = session.load_context().catalog
    wanted = {name for each in pipelines.values() for name in each.datasets()}
    lost = sorted(name for name in wanted if catalog.get(name) is None)
print(json.dumps([quartet.__file__, sorted(pipelines), lost]))
"""


def test_the_project_has_the_pipelines_that_were_chosen_and_all_of_their_datasets(
    made_project: Path, chosen: list[str]
) -> None:
    result = inside(made_project, "-c", OPEN)
    assert result.returncode == 0, result.stderr
    source, found, lost = json.loads(result.stdout.splitlines()[-1])
    assert Path(source).is_relative_to(made_project)
    wanted = set[str]().union(*(PIPELINES[name] for name in chosen))
    assert set(found) == wanted | {"__default__", "sample_data"}
    assert lost == []


def code_of(path: Path) -> Iterator[str]:
    """Names and texts of a Python file or of a configuration, less comments and docstrings."""
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


def test_nothing_in_code_and_configuration_names_what_was_not_chosen(
    made_project: Path, chosen: list[str]
) -> None:
    named = TABLE.names(set(PIPELINES) - set(chosen))
    paths = [
        path
        for folder in ("src", "conf", "tests")
        for path in (made_project / folder).rglob("*")
        if path.suffix in {".py", ".yml"}
        if not table.fits(path.relative_to(made_project).as_posix(), TABLE.stay)
    ]
    assert len(paths) > 100
    found = [(path, text) for path in paths for text in code_of(path) if named.search(text)]
    assert found == []


def test_no_module_is_imported_that_is_not_there(made_project: Path) -> None:
    lost = set()
    for path in (*made_project.glob("src/**/*.py"), *made_project.glob("docs/**/*.py")):
        where = path.relative_to(made_project).as_posix()
        for name in leaving.imported(where, path.read_text(encoding="utf-8")):
            parts = name.split(".")
            if parts[:1] == ["quartet"] and not exists(made_project / "src", parts):
                lost.add(name)
    assert lost == set()


def exists(source: Path, parts: list[str]) -> bool:
    """Whether there is such a module, or one that may have something of the last name."""
    module = source.joinpath(*parts)
    holder = module.parent
    return (
        module.with_suffix(".py").is_file()
        or module.is_dir()
        or holder.with_suffix(".py").is_file()
        or bool(
            re.search(rf"\b{parts[-1]}\b", (holder / "__init__.py").read_text(encoding="utf-8"))
        )
    )


def test_the_project_is_laid_out_as_its_own_checks_want_it(made_project: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        result = inside(made_project, "-m", "ruff", *command, "--no-cache", ".")
        assert result.returncode == 0, result.stdout


def test_the_project_keeps_its_import_contracts(made_project: Path) -> None:
    result = inside(made_project, str(Path(sys.executable).parent / "lint-imports"), "--no-cache")
    assert result.returncode == 0, result.stdout
    assert " kept, 0 broken." in result.stdout


def test_the_project_bears_its_own_name_and_tells_what_it_holds(
    made_project: Path, chosen: list[str]
) -> None:
    readme = (made_project / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# Own Name\n")
    for name in PIPELINES:
        assert (f"- {name}: " in readme) == (name in chosen)
    assert "\nsite_name: Own Name\n" in "\n" + (made_project / "mkdocs.yml").read_text(
        encoding="utf-8"
    )
    assert '\nproject_name = "Own Name"\n' in (made_project / "pyproject.toml").read_text("utf-8")


def test_generated_blocks_of_its_pages_agree_with_its_code(made_project: Path) -> None:
    result = inside(made_project, "docs/generate.py", "--check")
    assert result.returncode == 0, result.stderr


def test_what_makes_projects_stays_behind(made_project: Path) -> None:
    here = {
        path.relative_to(made_project).as_posix()
        for path in made_project.rglob("*")
        if path.is_file()
    }
    assert {name for name in here if table.fits(name, TABLE.starter)} == {
        "README.md",  # its own
        "docs/benchmarks.md",
        "docs/index.md",
    }
    assert not (made_project / "starter").exists()
    assert "starter" not in (made_project / ".amlignore").read_text(encoding="utf-8")


def test_files_of_a_job_are_locked_as_here(made_project: Path) -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "Dockerfile"):
        assert (made_project / name).read_bytes() == (ROOT / name).read_bytes()


@pytest.fixture(scope="module")
def digits_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project made as one does who answers the question."""
    folder = tmp_path_factory.mktemp("answered")
    result = start(folder, "--name", "My Digits", answers="digits\n")
    assert result.returncode == 0, result.stderr
    assert "Any of them, with commas in between" in result.stdout
    return folder / "my-digits"


def test_digits_alone_can_be_learned(digits_project: Path) -> None:
    result = inside(digits_project, "-m", "kedro", "run", "--params", QUICK)
    assert result.returncode == 0, result.stderr
    assert (digits_project / "data/08_reporting/mnist_training/metrics.json").is_file()


def test_the_science_of_digits_passes_its_tests_alone(digits_project: Path) -> None:
    # The four that train for long are left out: the files are the same that are tested here.
    quick = "not strength and not learned and not bfloat16"
    options = ["-q", "-p", "no:cacheprovider", "-k", quick]
    result = inside(digits_project, "-m", "pytest", *options, "tests/quartet/digits")
    assert result.returncode == 0, result.stdout
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed
    assert int(passed[1]) > 40


def test_the_configuration_and_pages_of_digits_alone_pass_the_checks_of_the_house(
    digits_project: Path,
) -> None:
    # That of the guide takes minutes, and does the same as here.
    options = ["-q", "-p", "no:cacheprovider", "-k", "not guide_says_can_be_done"]
    checks = (
        "tests/quartet/test_configuration.py",
        "tests/repository/test_import_contracts.py",
        "tests/repository/test_workflows.py",
        "tests/docs",
    )
    result = inside(digits_project, "-m", "pytest", *options, *checks)
    assert result.returncode == 0, result.stdout


def test_a_benchmark_of_digits_alone_can_write_its_page(digits_project: Path) -> None:
    result = inside(digits_project, "-c", MEASURE)
    assert result.returncode == 0, result.stderr
    page = (digits_project / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert "| what | – | 1 | – | – |" in page


MEASURE = """
import pathlib, sys
sys.path.insert(0, "tests")
from figures import write_figure
row = {"reference": "–", "quartet": "1", "target": "–", "reached": "–"}
file = pathlib.Path("tests/benchmarks/test_mnist.py").resolve()
write_figure("A section", "what", file=file, **row)
"""


def test_the_documentation_of_digits_alone_has_no_lost_link(
    digits_project: Path, tmp_path: Path
) -> None:
    result = inside(
        digits_project, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", str(tmp_path)
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_unknown_scenario_is_reported_with_the_known_ones_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    by_file = configured(tmp_path / "file", "digits, digitz")
    message = "Error: scenarios: there is no 'digitz'; known are digits, faq, sensors, style, with "
    assert by_file.returncode != 0
    assert message in by_file.stderr
    answered = start(tmp_path / "answered", "--name", "Own", answers="digitz\n")
    assert answered.returncode != 0
    assert "Known are digits, faq, sensors and style." in answered.stderr
    assert not (tmp_path / "file/own").exists()
    assert not (tmp_path / "answered/own").exists()


def test_the_prompt_takes_the_scenarios_of_the_table_and_nothing_else() -> None:
    prompt = yaml.safe_load((ROOT / "starter/prompts.yml").read_text("utf-8"))["scenarios"]
    takes = re.compile(prompt["regex_validator"])
    for answer in ("all", *TABLE.scenarios, "digits,style", "faq , sensors", ",".join(PIPELINES)):
        assert takes.match(answer), answer
    for answer in ("", "digitz", "digits;faq", "digits,", "all,digits"):
        assert not takes.match(answer), answer
    assert all(f"\n{name} " in f"\n{prompt['text']}" for name in TABLE.scenarios)


def test_every_file_has_one_owner() -> None:
    owners = {name: TABLE.owners(name) for name in FILES}
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


def test_what_is_right_only_beside_all_scenarios_comes_with_all_of_them() -> None:
    for glob in TABLE.whole:
        assert TABLE.is_wanted(glob, TABLE.chosen("all"))
        assert not TABLE.is_wanted(glob, TABLE.chosen("digits, faq, style"))


@pytest.mark.parametrize(
    "folder", ["src/quartet/pipelines", "conf/base", "conf/azureml", "data/01_raw"]
)
def test_folders_of_pipelines_and_samples_belong_to_a_scenario(folder: str) -> None:
    inner = [name for name in FILES if re.match(rf"{folder}/(?!sample_data)\w+/", name)]
    assert inner
    assert [name for name in inner if not TABLE.owners(name)] == []


def globs() -> Iterator[tuple[str, str]]:
    """Every glob of the table, with what it stands under."""
    for name, parts in TABLE.scenarios.items():
        yield from ((name, glob) for glob in parts["files"])
    for name, listed in TABLE.shared.items():
        yield from ((name, glob) for glob in listed)
    for name in ("whole", "starter", "leave_with", "stay"):
        yield from ((name, glob) for glob in getattr(TABLE, name))


def test_no_glob_of_the_table_is_left_over() -> None:
    assert [
        (name, glob) for name, glob in globs() if not any(table.fits(f, [glob]) for f in FILES)
    ] == []


def cuts() -> Iterator[tuple[str, str, str]]:
    """Every part of a shared file that the table gives to a scenario."""
    for kind in ("keys", "lines", "sections", "definitions"):
        for name, parts in TABLE.parts(kind, TABLE.scenarios):
            yield from ((kind, name, part) for part in parts)
    for name, parts in TABLE.starter_lines.items():
        yield from (("lines", name, part) for part in parts)


def test_what_the_table_takes_out_of_a_file_is_in_it() -> None:
    missed = []
    for kind, name, part in cuts():
        text = (ROOT / name).read_text(encoding="utf-8")
        without: Any = getattr(blocks, f"without_{kind}")
        if len(without(text, [part])) == len(text):
            missed.append((kind, name, part))
    assert missed == []


def test_dependencies_of_the_table_are_declared() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = {each for parts in TABLE.scenarios.values() for each in parts["dependencies"]}
    assert [name for name in named if not re.search(rf'^    "{name}[<>=]', declared, re.M)] == []


def test_comments_of_what_stays_are_kept_and_those_of_what_leaves_are_not() -> None:
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
    assert blocks.without_keys(before, ["cloud.assets.st*", "cloud.trigger.*"]) == after


def test_of_a_list_leaves_what_has_the_name_and_nothing_around_it() -> None:
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
    assert blocks.without_keys(before, ["jobs.test.steps.Keep *"]) == after
    assert blocks.without_keys(after, ["jobs.test.steps.Keep *"]) == after


def test_a_link_to_a_page_that_left_becomes_text_and_a_picture_goes(tmp_path: Path) -> None:
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
    left = pages.without_lost_parts(f"[a](b.md)\n{code}[a](b.md)\n", page, tmp_path)
    assert left == f"a\n{code}a\n"


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_a_clone_gives_what_git_keeps_as_it_is_in_the_working_tree(tmp_path: Path) -> None:
    put(tmp_path, "kept.py", "removed.py")
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    put(tmp_path, "disabled_tracking.py")
    (tmp_path / "removed.py").unlink()
    assert new_project.files(tmp_path) == ["kept.py"]


def test_a_plain_folder_gives_what_git_would_keep(tmp_path: Path) -> None:
    put(tmp_path, "kept.py", "results/a.csv", "src/b.py")
    (tmp_path / ".gitignore").write_text("results/\n")
    assert new_project.files(tmp_path) == [".gitignore", "kept.py", "src/b.py"]
    assert not (tmp_path / ".git").exists()
