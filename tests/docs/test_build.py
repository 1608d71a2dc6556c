"""A page that is not whole must fail the build, and the built site must stand alone."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from docs.pages import DOCS, PAGES
from docs.test_navigation import HOSTS, read


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


def test_marker_in_a_block_of_code_is_shown_as_it_is() -> None:
    page = "```markdown\n<!-- pipeline: mine -->\n```\n\n<!-- run_parameters: base -->\n"
    code = f"import hooks; print(hooks.on_page_markdown({page!r}))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=DOCS, capture_output=True, text=True, check=True
    )
    assert "<!-- pipeline: mine -->" in result.stdout
    assert "`mnist_data`" in result.stdout


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


def test_no_host_is_allowed_that_no_link_leads_to(site: Path) -> None:
    links = {link for path in site.rglob("*.html") for link in read(path).links}
    assert {urlsplit(link).hostname for link in links} >= HOSTS
