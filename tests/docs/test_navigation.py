"""A reader must find every page, and arrive where a link leads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

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
"""Where a link may lead outside the site: projects, papers, Microsoft's pages, photographers."""


@dataclass
class Read(HTMLParser):
    """What can be arrived at on a page, and where its links lead.

    Attributes:
        anchors: Identifiers that an address may end with.
        links: All addresses, as they are written.
        text_links: Those in the text of the page, as against menus around it.
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


def read(path: Path) -> Read:
    page = Read()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Read]:
    """What every page of the site says; that for unknown addresses counts from the root."""
    paths = (path.resolve() for path in site.rglob("*.html") if path.name != "404.html")
    return {path: read(path) for path in paths}


def goal(page: Path, link: str) -> tuple[Path, str] | None:
    """The file and the anchor that a link leads to; None if it leads outside."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return (path / "index.html" if path.is_dir() else path), unquote(parts.fragment)


def broken(pages: dict[Path, Read]) -> Iterator[str]:
    """In words: links within the site that lead to no page, or to no place on it."""
    for path, page in pages.items():
        for link in page.links:
            found = goal(path, link)
            if found is None:
                continue
            file, anchor = found
            if not file.is_file():
                yield f"{path}: {link}: no such page"
            elif anchor and file in pages and anchor not in pages[file].anchors | {"__top"}:
                yield f"{path}: {link}: nothing there has this name"


def orphans(pages: dict[Path, Read], home: Path) -> set[Path]:
    """Pages that the text of no other page leads to."""
    reached = {home}
    for path, page in pages.items():
        found = {there[0] for link in page.text_links if (there := goal(path, link))}
        reached |= found - {path}
    return pages.keys() - reached


def test_every_link_and_anchor_of_the_site_leads_somewhere(pages: dict[Path, Read]) -> None:
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert list(broken(pages)) == []


def test_every_page_is_linked_in_the_text_of_another(pages: dict[Path, Read], site: Path) -> None:
    assert orphans(pages, site.resolve() / "index.html") == set()


def test_links_lead_outside_only_to_hosts_that_are_known(pages: dict[Path, Read]) -> None:
    links = {link for page in pages.values() for link in page.links if "://" in link}
    assert {link for link in links if urlsplit(link).hostname not in HOSTS} == set()


def test_what_is_broken_or_led_to_by_nothing_is_found_out(tmp_path: Path) -> None:
    texts = {
        "index": '<a href="lost.html">menu</a><article><a href="there.html#part">x</a></article>',
        "there": '<article id="part"><a href="gone.html">x</a><a href="#nothing">x</a></article>',
        "lost": '<article><a href="lost.html">itself</a> <a href="https://a.b">x</a></article>',
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
    pages = {path: read(path) for path in tmp_path.glob("*.html")}
    assert {line.split(": ", 1)[1] for line in broken(pages)} == {
        "gone.html: no such page",
        "#nothing: nothing there has this name",
    }
    assert orphans(pages, tmp_path / "index.html") == {tmp_path / "lost.html"}


def leaves(nav: Any) -> Iterator[str]:
    """The pages of a navigation tree."""
    if isinstance(nav, str):
        yield nav
    else:
        for branch in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(branch)


def test_every_page_can_be_found_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    notebooks = [f"notebooks/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")]
    pages = [page.relative_to(DOCS).as_posix() for page in PAGES]
    assert sorted(leaves(nav)) == sorted(pages + notebooks)
