"""A browser, and Kedro-Viz on the trained project, for the tests of what people see."""

import json
import os
import shutil
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import sync_playwright

from support import running_server, skip_or_fail

# The tour and the side bar would cover the chart that the tests look at and click on.
VIEW = {
    "showFeatureHints": False,
    "theme": "light",
    "visible": {"graph": True, "miniMap": False, "sidebar": False, "slicing": False},
}


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        skip_or_fail("no Chromium here: apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def viz(trained_workspace):
    """The address of `kedro viz run` on all pipelines of the trained project."""
    command = ["kedro", "viz", "run", "--no-browser"]
    with running_server(trained_workspace, command, "/api/main") as url:
        yield url


@pytest.fixture(scope="module")
def ask(viz):
    """What Kedro-Viz answers to a path of its API."""

    def ask(path):
        with urlopen(f"{viz}/api/{path}", timeout=60) as answer:
            return json.load(answer)

    return ask


@pytest.fixture
def errors():
    """What a page complains of, beside addresses outside this computer."""
    return []


@pytest.fixture
def flowchart(browser, viz, ask, errors):
    """Opens the page of a pipeline; its flowchart is then drawn and at rest."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000}, device_scale_factor=2)
    context.set_default_timeout(60_000)
    context.add_init_script(f"localStorage.KedroViz ??= {json.dumps(json.dumps(VIEW))}")
    # Without a network Kedro-Viz takes itself for outdated and covers the chart's corner.
    context.route(
        f"{viz}/api/version",
        lambda route: route.fulfill(json={**ask("version"), "is_outdated": False}),
    )

    def opened(pipeline):
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.extend(complaint(message, viz)))
        page.goto(f"{viz}/?pid={pipeline}")
        page.locator(".pipeline-node__text").first.wait_for()
        settle(page)
        return page

    yield opened
    context.close()


@pytest.fixture
def keep_screenshot():
    """For the documentation: keeps a picture in $QUARTET_SCREENSHOTS, if that is set."""

    def keep(page, name):
        if folder := os.environ.get("QUARTET_SCREENSHOTS"):
            settle(page)
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    return keep


def complaint(message, viz):
    elsewhere = message.location["url"].startswith("http") and viz not in message.location["url"]
    return [message.text] if message.type == "error" and not elsewhere else []


def settle(page):
    """Wait until D3 has moved everything to its place."""
    page.wait_for_function(
        "[...document.querySelectorAll('.pipeline-flowchart *')].every(e => !e.__transition)"
    )
