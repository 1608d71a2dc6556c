"""Kedro-Viz is part of the site."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from docs.test_navigation import read
from support import ROOT


def test_the_page_on_exploring_leads_to_every_pipeline_of_the_static_kedro_viz(site: Path) -> None:
    links = read(site / "explore/index.html").text_links
    asked = [urlsplit(link) for link in links if link.startswith("../kedro-viz/")]
    assert (site / "kedro-viz/index.html").is_file()
    assert {each.path for each in asked} == {"../kedro-viz/"}
    led_to = {name for each in asked for name in parse_qs(each.query).get("pid", [])}
    content = json.loads((site / "kedro-viz/api/main").read_text(encoding="utf-8"))
    assert led_to == {each["id"] for each in content["pipelines"]}


def test_every_pipeline_has_its_picture_on_its_page_of_the_reference() -> None:
    folders = (path.parent.name for path in (ROOT / "conf/base").glob("*/catalog.yml"))
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md")]
    for name in folders:
        assert sum(f"](../images/kedro_viz_{name}.png)" in page for page in pages) == 1, name


def test_the_navigation_has_the_page_on_exploring() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert "explore.md" in str(nav)
