"""Fixtures of the e2e tests: a browser, and Kedro-Viz on a project with all results."""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from e2e.flowcharts import ELSEWHERE, SIZE, UNFOLDED, VIEW, complaint, open_flowchart, settle
from style_inputs import random_vgg, stripes
from support import GUARD_S, run_kedro, running_server, skip_or_fail

SHORT_TRAINING = (
    "style_training.steps=2,style_training.width=4,style_training.crop=64,"
    "style_training.painting_side=64,style_training.preview_every=1,"
    "style_training.verify_vgg=false"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        skip_or_fail("no Chromium here: apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync"]
    # Of a server elsewhere Kedro-Viz asks more than of one on this machine.
    flags += [f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"]
    expect.set_options(timeout=1000 * GUARD_S)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def complete_project(trained_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which a short style_training has run, too."""
    folder = tmp_path_factory.mktemp("everything") / "project"
    shutil.copytree(trained_workspace, folder)
    Image.fromarray(stripes()).save(folder / "stripes.png")
    weights = {name: torch.tensor(array) for name, array in random_vgg().items()}
    torch.save(weights, folder / "vgg.pth")
    given = f"painting=stripes.png,vgg_weights=vgg.pth,{SHORT_TRAINING}"
    done = run_kedro(folder, "run", "--pipelines", "style_training", "--params", given)
    assert done.returncode == 0, done.stderr
    (folder / "stripes.png").rename(folder / "data/01_raw/style/painting.jpg")
    # Kedro-Viz takes what `--pipelines` names for a run of all.
    shutil.copytree(trained_workspace / ".viz", folder / ".viz", dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def server_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log file of the Kedro-Viz server."""
    return tmp_path_factory.mktemp("server_log") / "server_log.txt"


@pytest.fixture(scope="module")
def viz(complete_project: Path, server_log: Path) -> Iterator[str]:
    """The URL of `kedro viz run` on all pipelines of the project."""
    command = ["kedro", "viz", "run", "--no-browser"]
    with running_server(complete_project, command, "/api/main", server_log) as url:
        yield url


@pytest.fixture(scope="module")
def ask(viz: str) -> Callable[[str], Any]:
    """Return the response of Kedro-Viz to a path of its API."""

    def ask(path: str) -> Any:
        with urlopen(f"{viz}/api/{path}", timeout=GUARD_S) as answer:
            return json.load(answer)

    return ask


@pytest.fixture
def complaints() -> list[str]:
    """Errors and warnings of pages, and failed requests."""
    return []


@pytest.fixture
def window(browser: Browser, complaints: list[str]) -> Iterator[Callable[..., BrowserContext]]:
    """Open windows whose pages add to the complaints."""
    windows = []

    def open_window(size: tuple[int, int] = SIZE) -> BrowserContext:
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=1.5
        )
        windows.append(context)
        context.add_init_script(
            "if (location.protocol != 'about:') "
            f"localStorage.KedroViz ??= {json.dumps(json.dumps(VIEW))}"
        )
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda message: complaints.extend(complaint(message)))
        context.on("requestfailed", lambda request: complaints.append(request.url))
        return context

    yield open_window
    for context in windows:
        context.close()


@pytest.fixture
def flowchart(
    window: Callable[..., BrowserContext], viz: str, ask: Callable[[str], Any]
) -> Callable[..., Page]:
    """Open the page of a pipeline, unfolded or as it opens, and wait until it is drawn."""

    def open_pipeline(pipeline: str, size: tuple[int, int] = SIZE, unfolded: bool = True) -> Page:
        context = window(size)
        # Kedro-Viz falls back on other fonts where these cannot be had.
        context.route("https://fonts.googleapis.com/**", lambda route: route.fulfill(body=""))
        # Without a network Kedro-Viz takes itself for outdated and covers the chart's corner.
        context.route(
            f"{viz}/api/version",
            lambda route: route.fulfill(json={**ask("version"), "is_outdated": False}),
        )
        return open_flowchart(context, f"{viz}/?pid={pipeline}{UNFOLDED if unfolded else ''}")

    return open_pipeline


@pytest.fixture
def keep_screenshot() -> Callable[[Page, str], None]:
    """Save a screenshot for the documentation in $QUARTET_SCREENSHOTS, if set."""

    def keep(page: Page, name: str) -> None:
        if folder := os.environ.get("QUARTET_SCREENSHOTS"):
            settle(page)
            taken = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
            few_colours = taken.convert("RGB").quantize(
                256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
            )
            few_colours.save(Path(folder) / f"{name}.png", optimize=True)

    return keep
