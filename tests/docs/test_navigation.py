"""Readers find every page, and every link leads to a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from docs.pages import DOCS, PAGES
from support import ROOT

HOSTS = {
    "arxiv.org",
    "cli.github.com",
    "creativecommons.org",
    "distill.pub",
    "docs.kedro.org",
    "github.com",
    "kedro-azureml.readthedocs.io",
    "kedro-mlflow.readthedocs.io",
    "learn.microsoft.com",
    "optuna.org",
    "optuna.readthedocs.io",
    "peach.blender.org",
    "pypi.org",
    "scikit-learn.org",
    "squidfunk.github.io",
    "www.flickr.com",
}
"""Hosts of links outside the site: projects, papers, Microsoft's pages, photographers."""


@dataclass
class ParsedPage(HTMLParser):
    """The anchors and links of a page.

    Attributes:
        anchors: Identifiers to which a link can lead.
        links: Addresses of all links, as written.
        text_links: Those in the text of the page, without menus.
    """

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    text_links: list[str] = field(default_factory=list)
    _in_text: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._in_text |= tag == "article"
        self.anchors |= {name for name in (given.get("id"), given.get("name")) if name}
        if tag == "a" and (link := given.get("href")):
            self.links.append(link)
            if self._in_text:
                self.text_links.append(link)

    def handle_endtag(self, tag: str) -> None:
        self._in_text &= tag != "article"


def read(path: Path) -> ParsedPage:
    page = ParsedPage()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, ParsedPage]:
    """Return the pages of the site by path, without 404.html, whose links start at the root."""
    paths = (path.resolve() for path in site.rglob("*.html") if path.name != "404.html")
    return {path: read(path) for path in paths}


def find_target(page: Path, link: str) -> tuple[Path, str] | None:
    """Return file and anchor of a link; None if it leads outside the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return (path / "index.html" if path.is_dir() else path), unquote(parts.fragment)


def find_broken_links(pages: dict[Path, ParsedPage]) -> Iterator[str]:
    """Yield a message for each link within the site to a missing page or anchor."""
    for path, page in pages.items():
        for link in page.links:
            target = find_target(path, link)
            if target is None:
                continue
            file, anchor = target
            if not file.is_file():
                yield f"{path}: {link}: no such page"
            elif anchor and file in pages and anchor not in pages[file].anchors | {"__top"}:
                yield f"{path}: {link}: no such anchor"


def find_orphans(pages: dict[Path, ParsedPage], home: Path) -> set[Path]:
    """Return pages that are linked in the text of no other page."""
    reached = {home}
    for path, page in pages.items():
        targets = (find_target(path, link) for link in page.text_links)
        reached |= {target[0] for target in targets if target} - {path}
    return pages.keys() - reached


def test_every_link_of_the_site_leads_to_a_page_and_anchor(pages: dict[Path, ParsedPage]) -> None:
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert list(find_broken_links(pages)) == []


def test_every_page_is_linked_in_the_text_of_another(
    pages: dict[Path, ParsedPage], site: Path
) -> None:
    assert find_orphans(pages, site.resolve() / "index.html") == set()


def test_links_lead_outside_only_to_known_hosts(pages: dict[Path, ParsedPage]) -> None:
    links = {link for page in pages.values() for link in page.links if "://" in link}
    assert {link for link in links if urlsplit(link).hostname not in HOSTS} == set()


def test_broken_links_and_orphans_are_detected(tmp_path: Path) -> None:
    texts = {
        "index": '<a href="lost.html">menu</a><article><a href="there.html#part">x</a></article>',
        "there": '<article id="part"><a href="gone.html">x</a><a href="#nothing">x</a></article>',
        "lost": '<article><a href="lost.html">itself</a> <a href="https://a.b">x</a></article>',
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
    pages = {path: read(path) for path in tmp_path.glob("*.html")}
    assert {line.split(": ", 1)[1] for line in find_broken_links(pages)} == {
        "gone.html: no such page",
        "#nothing: no such anchor",
    }
    assert find_orphans(pages, tmp_path / "index.html") == {tmp_path / "lost.html"}


def leaves(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation tree."""
    if isinstance(nav, str):
        yield nav
    else:
        for branch in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(branch)


def test_every_page_is_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    notebooks = [f"notebooks/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")]
    pages = [page.relative_to(DOCS).as_posix() for page in PAGES]
    assert sorted(leaves(nav)) == sorted(pages + notebooks)


def test_the_page_on_exploring_links_every_pipeline_of_the_static_kedro_viz(site: Path) -> None:
    links = read(site / "explore/index.html").text_links
    asked = [urlsplit(link) for link in links if link.startswith("../kedro-viz/")]
    assert (site / "kedro-viz/index.html").is_file()
    assert {each.path for each in asked} == {"../kedro-viz/"}
    linked = {name for each in asked for name in parse_qs(each.query).get("pid", [])}
    content = json.loads((site / "kedro-viz/api/main").read_text(encoding="utf-8"))
    assert linked == {each["id"] for each in content["pipelines"]}


def test_every_pipeline_has_its_picture_on_its_page_of_the_reference() -> None:
    folders = (path.parent.name for path in (ROOT / "conf/base").glob("*/catalog.yml"))
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md")]
    for name in folders:
        assert sum(f"](../images/kedro_viz_{name}.png)" in page for page in pages) == 1, name
