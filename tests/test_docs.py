"""What a reader of the documentation would lose."""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from quartet.digits import settings
from support import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
MODELS = [
    model
    for name, model in vars(settings).items()
    if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel
    if not name.startswith("_")
]


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


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_reference_tells_every_parameter_with_default_range_and_reason(
    model: type[BaseModel], site: Path
) -> None:
    page = (site / "reference/mnist_training/index.html").read_text(encoding="utf-8")
    names = list(model.model_fields)
    rows = next(
        (table[1:] for table in tables(page) if [row[0] for row in table[1:]] == names), None
    )
    assert rows is not None, f"no table with the fields of {model.__name__}"
    for (_, default, limits, reason), field in zip(rows, model.model_fields.values(), strict=True):
        assert reason == (field.description or "").replace("`", "")
        assert reason
        assert limits
        if field.is_required():
            assert default.startswith("none")
        else:
            typed = yaml.safe_load(default)
            assert typed == (list(field.default) if isinstance(typed, list) else field.default)


def test_reference_ranges_are_those_that_are_checked(site: Path) -> None:
    page = (site / "reference/mnist_training/index.html").read_text(encoding="utf-8")
    ranges = {row[0]: row[2] for table in tables(page) for row in table if len(row) == 4}
    assert ranges["seed"] == "whole, ≥ 0 and < 4,294,967,296"
    assert ranges["images"] == "whole, ≥ 1 and ≤ 200"
    assert ranges["fraction"] == "> 0 and < 1"
    assert ranges["strengths"] == "a list of at least 1, each > 0"


def test_misspelt_marker_fails_the_build_instead_of_leaving_a_gap() -> None:
    code = "import hooks; hooks.on_page_markdown('<!-- parameters: Sweep -->')"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=DOCS, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "no parameters 'Sweep'" in result.stderr


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


def test_reference_names_every_dataset_of_the_catalog() -> None:
    text = (DOCS / "reference/mnist_training.md").read_text(encoding="utf-8")
    catalog = yaml.safe_load(
        (ROOT / "conf/base/mnist_training/catalog.yml").read_text(encoding="utf-8")
    )
    names = [name for name in catalog if not name.startswith("_")]
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


def test_reference_explains_every_metric_of_a_run(trained_workspace: Path) -> None:
    text = (DOCS / "reference/mnist_training.md").read_text(encoding="utf-8")
    metrics = trained_workspace / "data/08_reporting/mnist_training/metrics.json"
    names = json.loads(metrics.read_text(encoding="utf-8"))
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []
