"""What a reader of the documentation would lose."""

import ast
import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from quartet import downloads
from quartet.azure import cloud_settings
from quartet.azure.steps import TAG, step_of
from quartet.cli import cli
from quartet.digits import settings as digits
from quartet.faq import search_space
from quartet.faq import settings as faq
from quartet.faq.search_space import SearchSpace
from quartet.pipeline_registry import SAMPLE_RUN
from quartet.sensors import settings as sensors
from quartet.style import encoding_settings, transfer_settings
from quartet.style import settings as style
from support import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
PAGE_OF = {
    "mnist_training": "mnist_training",
    "faq_ingestion": "faq",
    "faq_tuning": "faq",
    "faq_matching": "faq",
    "sensor_ingestion": "sensors",
    "anomaly_training": "sensors",
    "anomaly_scoring": "sensors",
    "style_training": "style_training",
    "style_transfer": "style_transfer",
    "sample_data": "sample_data",
}
"""By pipeline: the page of the reference that tells all about it."""
SETTINGS = {
    "mnist_training": [digits],
    "faq": [faq, search_space],
    "sensors": [sensors],
    "style_training": [style],
    "style_transfer": [transfer_settings, encoding_settings],
    "configuration": [cloud_settings, downloads],
}
"""By page of the reference: the modules of the parameters that it tells of."""
PARTS = {"IntRange", "FloatRange", "Choices", "Baselines"}
"""Models that no pipeline takes by themselves: forms of one entry, and what tests compare with."""


def models(page: str) -> dict[str, type[BaseModel]]:
    """A scenario's parameters by the names of their models."""
    return {
        name: model
        for module in SETTINGS[page]
        for name, model in vars(module).items()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.model_fields
        if not name.startswith("_") and name not in PARTS
    }


DOCUMENTED = [(page, model) for page in SETTINGS for model in models(page).values()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built strictly: any warning fails it."""
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WARNING" not in result.stdout + result.stderr
    return folder


def tables(page: str) -> list[list[list[str]]]:
    """The text of every table of an HTML page: rows of cells."""
    return [
        [
            [
                html.unescape(re.sub(r"<[^>]+>", "", cell)).strip()
                for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL)
            ]
            for row in re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
        ]
        for table in re.findall(r"<table>(.*?)</table>", page, flags=re.DOTALL)
    ]


def parameter_rows(site: Path, page: str, names: list[str]) -> list[list[str]]:
    """Rows of the table on a page of the reference that has just these parameters."""
    text = (site / f"reference/{page}/index.html").read_text(encoding="utf-8")
    found = [table[1:] for table in tables(text) if [row[0] for row in table[1:]] == names]
    assert len(found) == 1, f"{len(found)} tables with the fields {', '.join(names)}"
    return found[0]


@pytest.mark.parametrize(
    ("page", "model"), DOCUMENTED, ids=lambda part: getattr(part, "__name__", part)
)
def test_reference_tells_every_parameter_with_default_range_and_reason(
    page: str, model: type[BaseModel], site: Path
) -> None:
    rows = parameter_rows(site, page, list(model.model_fields))
    for (_, default, limits, reason), field in zip(rows, model.model_fields.values(), strict=True):
        assert reason == " ".join((field.description or "").replace("`", "").split())
        assert reason
        assert limits
        if field.is_required():
            assert default.startswith("none")
            continue
        given = yaml.safe_load(default)
        if isinstance(field.default, BaseModel):
            given = type(field.default)(**given)
        assert given == (list(field.default) if isinstance(given, list) else field.default)


@pytest.mark.parametrize(
    ("page", "model", "ranges"),
    [
        (
            "mnist_training",
            digits.Exploration,
            {"seed": "whole, ≥ 0 and < 4,294,967,296", "images": "whole, ≥ 1 and ≤ 200"},
        ),
        ("mnist_training", digits.ValidationSplit, {"fraction": "> 0 and < 1"}),
        (
            "mnist_training",
            digits.RegularisationSweep,
            {"strengths": "a list of at least 1, each > 0"},
        ),
        ("faq", faq.DumpReading, {"tag": r"text that matches ^\S+$"}),
        ("faq", faq.Cleaning, {"min_duplicates": "whole, ≥ 3", "keep_code": "true or false"}),
        ("faq", faq.StudySettings, {"sampler": "one of tpe, random", "caution": "≥ 0"}),
        (
            "faq",
            SearchSpace,
            {
                "word_ngrams": "choices or one value",
                "trees": "a range, choices or one value",
                "weighting": "choices or one value",
            },
        ),
        (
            "sensors",
            sensors.SensorModels,
            {
                "nu": "> 0 and ≤ 0.5",
                "gamma": "tuned or > 0",
                "threshold": "one of tuned, machine",
            },
        ),
        (
            "sensors",
            sensors.TrainingWindows,
            {"until": "text or null", "sensors": "a list of text"},
        ),
        (
            "style_training",
            style.StyleTraining,
            {"learning_rate": "> 0 and ≤ 0.1", "width": "whole, ≥ 4 and ≤ 64"},
        ),
        (
            "style_transfer",
            transfer_settings.StyleTransfer,
            {"smoothing": "≥ 0 and ≤ 0.95", "accept_truncated": "true or false"},
        ),
        (
            "style_transfer",
            encoding_settings.Encoding,
            {
                "tune": "one of film, animation, grain, stillimage or null",
                "quality": "≥ 0 and ≤ 51",
            },
        ),
        (
            "configuration",
            cloud_settings.Cloud,
            {
                "identity": "text that matches ^$|^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$",
                "endpoints": "by name, each an Endpoint",
                "primary_metrics": "by name, each text",
            },
        ),
        (
            "configuration",
            cloud_settings.Input,
            {"default": "true or false, whole, a number, text or null"},
        ),
    ],
    ids=lambda part: getattr(part, "__name__", None),
)
def test_reference_ranges_are_those_that_are_checked(
    page: str, model: type[BaseModel], ranges: dict[str, str], site: Path
) -> None:
    rows = parameter_rows(site, page, list(model.model_fields))
    told = {row[0]: row[2] for row in rows}
    assert {name: told[name] for name in ranges} == ranges


def test_limits_of_the_search_space_are_those_that_are_checked(site: Path) -> None:
    """Beyond what a range's form allows, each parameter has limits of its own."""
    text = (site / "reference/faq/index.html").read_text(encoding="utf-8")
    table = next(t for t in tables(text) if t[0] == ["Parameter", "Lowest", "Highest"])
    limits = {name: (number(low), number(high)) for name, low, high in table[1:]}
    assert limits.keys() == SearchSpace.model_fields.keys() - {"weighting", "objective"}
    for name, (low, high) in limits.items():
        step = 1 if isinstance(low, int) else low / 2 or 1e-9
        for inside in (low, high):
            SearchSpace(**{name: inside})
        for outside in (low - step, high + step):
            with pytest.raises(ValidationError, match=name):
                SearchSpace(**{name: outside})


def number(text: str) -> int | float:
    """A number as the documentation writes it."""
    plain = text.replace(",", "")
    return float(plain) if "." in plain or "e" in plain else int(plain)


def test_no_two_scenarios_have_parameters_of_one_name() -> None:
    """The marker in a page names a model, not its module."""
    names = [name for page in SETTINGS for name in models(page)]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("parameters: Sweep", "no parameters 'Sweep' in any of quartet.digits.settings"),
        ("command: kedro cloud plane", "no command 'kedro cloud plane'"),
        ("pipeline: faq", "no pipeline 'faq'; known: anomaly_scoring, "),
        ("run_parameters: azure", "nothing in conf/azure asks for what --params says"),
        ("pipelines: faq_tuning", "no marker 'pipelines'; known: parameters, command, pipeline, "),
    ],
    ids=lambda part: part.partition(":")[0],
)
def test_misspelt_marker_fails_the_build_instead_of_leaving_a_gap(marker: str, told: str) -> None:
    code = f"import hooks; hooks.on_page_markdown({f'<!-- {marker} -->'!r})"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=DOCS, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert told in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("left", "line"), [("It takes «TIME».", 3), ("```text\n«ERRORS»\n```", 4), ("no end»", 3)]
)
def test_page_with_something_still_to_be_written_fails_the_build(
    left: str, line: int, tmp_path: Path
) -> None:
    folder = tmp_path / "docs/how-to"
    folder.mkdir(parents=True)
    (folder / "page.md").write_text(f"# A page\n\n{left}\n\nThe end.\n", encoding="utf-8")
    config = {"site_name": "Site", "hooks": [str(DOCS / "hooks.py")], "plugins": []}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert f"how-to/page.md:{line}: " in result.stdout + result.stderr


def leaves(nav: Any) -> Iterator[str]:
    """The pages of a navigation tree."""
    if isinstance(nav, str):
        yield nav
    else:
        for branch in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(branch)


def test_every_page_can_be_found_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(leaves(nav)) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_every_picture_of_a_page_is_there(page: Path) -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)", page.read_text(encoding="utf-8"))
    assert [name for name in pictures if not (page.parent / name).is_file()] == []


def test_site_reads_without_a_network(site: Path) -> None:
    """Scripts, styles and pictures come with the site; links may lead elsewhere."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)  # and the page for addresses that do not exist
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img)[^>]*\bsrc=\"?([^\s\">]+)", text)
        fetched += re.findall(r"<link[^>]*rel=\"?stylesheet[^>]*href=\"?([^\s\">]+)", text)
        assert fetched
        assert [url for url in fetched if re.match(r"(https?:)?//", url)] == []


def test_commands_of_the_documentation_exist_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    texts = [page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "CONTRIBUTING.md"]]
    named = {name for text in texts for name in re.findall(r"(?:`|\$ )make ([a-z]+)", text)}
    assert named
    assert named <= targets


def test_every_pipeline_has_its_page_of_the_reference() -> None:
    folders = {path.parent.name for path in (ROOT / "conf/base").glob("*/catalog.yml")}
    assert folders == PAGE_OF.keys()


@pytest.mark.parametrize("pipeline", PAGE_OF)
def test_reference_names_every_dataset_of_the_catalog(pipeline: str) -> None:
    text = reference_of(pipeline)
    catalog = yaml.safe_load(
        (ROOT / f"conf/base/{pipeline}/catalog.yml").read_text(encoding="utf-8")
    )
    names = [name for name in catalog if not name.startswith("_")]
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("pipeline", PAGE_OF)
def test_reference_names_every_entry_of_the_parameters(pipeline: str) -> None:
    text = reference_of(pipeline)
    path = ROOT / f"conf/base/{pipeline}/parameters.yml"
    names = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("pipeline", SAMPLE_RUN)
def test_reference_explains_every_metric_of_a_run(pipeline: str, trained_workspace: Path) -> None:
    text = reference_of(pipeline)
    metrics = trained_workspace / f"data/08_reporting/{pipeline}/metrics.json"
    names = json.loads(metrics.read_text(encoding="utf-8"))
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


def reference_of(pipeline: str) -> str:
    """The page that tells of a pipeline, as it is written."""
    return (DOCS / f"reference/{PAGE_OF[pipeline]}.md").read_text(encoding="utf-8")


def built(site: Path, page: str) -> str:
    """A page of the reference, as it is built."""
    return (site / f"reference/{page}/index.html").read_text(encoding="utf-8")


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, each as one types it."""
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, click.Context(below, info_name=name, parent=context))


@pytest.fixture(scope="module")
def own_commands() -> dict[str, click.Command]:
    """By what one types: every command that the project adds or changes."""
    found = dict(commands(cli, click.Context(cli, info_name="kedro")))
    del found["kedro"]
    return found


def test_reference_has_every_command_with_every_option_and_its_default(
    own_commands: dict[str, click.Command], site: Path
) -> None:
    headed = re.split(r"<h[2-6] id=[^>]*>", built(site, "cli"))
    sections = {html.unescape(re.sub(r"<[^>]+>", "", text)).split("¶")[0]: text for text in headed}
    assert own_commands.keys() >= {"kedro run", "kedro fetch", "kedro cloud schedule create"}
    for path, command in own_commands.items():
        assert path in sections, f"no heading '{path}'"
        told = {row[0]: row[1:] for table in tables(sections[path]) for row in table}
        for option in command.params:
            if not isinstance(option, click.Option):
                assert f"{option.make_metavar(click.Context(command))}" in sections[path], path
                continue
            name = ", ".join([*option.opts, *option.secondary_opts])
            assert name in told, f"{path}: no option {name}"
            _, default, said = told[name]
            assert said == " ".join((option.help or "").replace("`", "").split()), f"{path} {name}"
            if option.required:
                assert default == "none: say it"
            elif option.show_default:
                assert default == str(option.default)


def test_reference_shows_the_examples_of_the_commands_help(
    own_commands: dict[str, click.Command], site: Path
) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", "", built(site, "cli")))
    examples = [
        line.strip()
        for command in own_commands.values()
        for block in re.findall(r"\x08\n(.*?)(?:\n\n|\Z)", command.help or "", flags=re.DOTALL)
        for line in block.strip().splitlines()
    ]
    assert len(examples) > 30
    assert [line for line in examples if f"$ {line}" not in text] == []


VARIABLE = re.compile(
    r"(?:QUARTET|AZURE|AZUREML|AZURITE|APPLICATIONINSIGHTS|KEDRO|MLFLOW|OMP|OMPI|MPI|PMI|PMIX)"
    r"_[A-Z_]+|DEFAULT_IDENTITY_CLIENT_ID|MSI_ENDPOINT"
)
"""Names of environment variables."""


def variables_of_the_code() -> set[str]:
    """Environment variables that the source names as texts of their own."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py")]
    texts = {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if VARIABLE.fullmatch(text)}


def variables_of_the_configuration() -> set[str]:
    """Environment variables that files of the configuration ask for."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "conf").glob("[ab]*/**/*.yml")]
    return {name for text in texts for name in re.findall(r"\$\{(?:oc\.)?env:(\w+)", text)}


def test_reference_describes_every_environment_variable_once(site: Path) -> None:
    known = variables_of_the_code() | variables_of_the_configuration()
    assert known >= {"QUARTET_TRACEBACK", "AZURE_TENANT_ID", "QUARTET_SENSOR_DATABASE"}
    rows = [
        row
        for table in tables(built(site, "cli"))
        if table[0][0] == "Variable"
        for row in table[1:]
    ]
    assert all(row[1] for row in rows)
    told = [name for row in rows for name in row[0].split(", ")]
    assert sorted(told) == sorted(known)


def test_no_environment_variable_is_read_by_a_name_that_the_reference_cannot_know() -> None:
    """What is read with the name in place is found by the test above, whatever it is called."""
    read = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(
            r"(?:environ(?:\.get\(|\.setdefault\(|\[)|getenv\()\"([^\"]+)\"",
            path.read_text(encoding="utf-8"),
        )
    }
    assert "KEDRO_ENV" in read
    assert read - {"PATH"} <= variables_of_the_code()


def test_reference_tells_every_file_and_key_of_the_configuration() -> None:
    text = (DOCS / "reference/configuration.md").read_text(encoding="utf-8")
    for environment in ("base", "azureml"):
        part = text.partition(f"\n## `conf/{environment}`\n")[2].partition("\n## ")[0]
        for path in sorted((ROOT / "conf" / environment).rglob("*.yml")):
            if path.parent.name != environment:
                assert f"`PIPELINE/{path.name}`" in part
                continue
            rows = [row for row in part.splitlines() if row.startswith(f"| `{path.name}` |")]
            assert len(rows) == 1, path
            keys = yaml.safe_load(path.read_text(encoding="utf-8"))
            assert [key for key in keys if f"`{key}`" not in rows[0]] == []
            if path.name in ("azureml.yml", "planning.yml") and environment == "azureml":
                inner = [f"`{key}.{name}`" for key in keys for name in keys[key]]
                assert [name for name in inner if name not in part] == []


def test_reference_names_everything_that_a_run_may_be_given(site: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "conf/base").rglob("*.yml")]
    asked = {name for text in texts for name in re.findall(r"runtime_params:(\w+)", text)}
    assert "mnist_data" in asked
    table = next(t for t in tables(built(site, "configuration")) if t[0][:2] == ["Name", "Default"])
    assert {row[0] for row in table[1:]} == asked
    told = {(row[0], row[1]) for row in table[1:]}
    assert told >= {
        ("mnist_data", "data/01_raw/mnist"),
        ("style_weights", "data/06_models/style/STYLE.safetensors"),
        ("style", "my_style"),
        ("style", "starry_night"),
    }


@pytest.mark.parametrize("pipeline", PAGE_OF)
def test_reference_lists_nodes_in_order_with_step_and_tags(pipeline: str, site: Path) -> None:
    nodes = nodes_of(pipeline)
    rows = rows_of(site, pipeline, "Node", "What it returns")
    assert [row[0] for row in rows] == [node.name for node in nodes]
    for (_, said, step, tags), node in zip(rows, nodes, strict=True):
        assert said == node.func.__doc__.split("\n\n")[0].replace("`", "").strip()
        assert step == step_of(node)
        others = sorted(tag for tag in node.tags if not tag.startswith(TAG))
        assert tags == ", ".join(others)


@pytest.mark.parametrize("pipeline", PAGE_OF)
def test_reference_tells_where_every_dataset_lies_in_both_environments(
    pipeline: str, site: Path
) -> None:
    nodes = nodes_of(pipeline)
    used = {name for node in nodes for name in (*node.inputs, *node.outputs)}
    rows = rows_of(site, pipeline, "Dataset", "Type")
    assert {row[0] for row in rows} == {name for name in used if not name.startswith("params:")}
    entries = yaml.safe_load((ROOT / f"conf/base/{pipeline}/catalog.yml").read_text("utf-8"))
    own = ROOT / f"conf/azureml/{pipeline}/catalog.yml"
    handed_on = yaml.safe_load(own.read_text("utf-8")) if own.exists() else {}
    for name, kind, layer, places in rows:
        here, _, there = places.partition(" / ")
        assert here
        assert "$" not in here + there
        if name in entries:  # the others are of another pipeline's catalog
            assert entries[name]["type"].endswith(kind.split(" of ")[0])
            assert layer == entries[name]["metadata"]["kedro-viz"]["layer"]
        if name in handed_on:
            file = handed_on[name]["dataset"]["filepath"]
            assert there == f"the step's folder: {file}"
        elif here.startswith("data/"):
            assert there.startswith("abfs://")


def nodes_of(pipeline: str) -> list[Any]:
    """A pipeline's nodes, in the order they run."""
    return import_module(f"quartet.pipelines.{pipeline}").create_pipeline().nodes


def rows_of(site: Path, pipeline: str, *header: str) -> list[list[str]]:
    """Rows of the table below the heading `Steps and places` that tells of a pipeline."""
    parts = re.split(r"<h[23] id=", built(site, PAGE_OF[pipeline]))
    of_several = f"Steps and places of <code>{pipeline}</code>"
    alone = "Steps and places<"
    part = next(text for text in parts if of_several in text or alone in text)
    part = re.sub(r"<br ?/?>", " / ", part)
    return next(t[1:] for t in tables(part) if tuple(t[0][: len(header)]) == header)
