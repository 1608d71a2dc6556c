"""Kedro-Viz is where people look at a pipeline and its results: all of it must really show up."""

import base64
import json
import os
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from playwright.sync_api import expect

from quartet.pipelines.mnist_training import create_pipeline
from support import ROOT, running_server

LAYERS = ["raw", "primary", "model_input", "models", "model_output", "reporting", "registry"]
PREVIEWS = {
    "matplotlib.MatplotlibDataset": "ImagePreview",
    "pandas.CSVDataset": "TablePreview",
    "json.JSONDataset": "JSONPreview",
}
ENTRIES = yaml.safe_load((ROOT / "conf/base/mnist_training/catalog.yml").read_text())
CATALOG = {name: entry for name, entry in ENTRIES.items() if not name.startswith("_")}
# The tour and the side bar would cover the chart that the tests look at and click on.
VIEW = {
    "showFeatureHints": False,
    "theme": "light",
    "visible": {"graph": True, "miniMap": False, "sidebar": False, "slicing": False},
}


@pytest.fixture(scope="module")
def viz(trained_workspace):
    """The address of `kedro viz run` on the trained project."""
    command = ["kedro", "viz", "run", "--no-browser", "--pipeline", "mnist_training"]
    with running_server(trained_workspace, command, "/api/main") as url:
        yield url


@pytest.fixture(scope="module")
def ask(viz):
    """What Kedro-Viz answers to a path of its API."""

    def ask(path):
        with urlopen(f"{viz}/api/{path}", timeout=60) as answer:
            return json.load(answer)

    return ask


@pytest.fixture(scope="module")
def shown(ask):
    """Nodes and datasets in Kedro-Viz's answer, by kind and name."""
    kinds = {"task": {}, "data": {}, "parameters": {}}
    for node in ask("pipelines/mnist_training")["nodes"]:
        kinds[node["type"]][node["name"]] = node
    return kinds


@pytest.fixture
def errors():
    """What the page complains of, beside addresses outside this computer."""
    return []


@pytest.fixture
def page(browser, viz, ask, errors):
    """The flowchart, drawn and at rest."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000}, device_scale_factor=2)
    context.set_default_timeout(60_000)
    context.add_init_script(f"localStorage.KedroViz ??= {json.dumps(json.dumps(VIEW))}")
    # Without a network Kedro-Viz takes itself for outdated and covers the chart's corner.
    context.route(
        f"{viz}/api/version",
        lambda route: route.fulfill(json={**ask("version"), "is_outdated": False}),
    )
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.extend(complaint(message, viz)))
    page.goto(viz)
    page.locator(".pipeline-node__text").first.wait_for()
    settle(page)
    yield page
    context.close()


def complaint(message, viz):
    elsewhere = message.location["url"].startswith("http") and viz not in message.location["url"]
    return [message.text] if message.type == "error" and not elsewhere else []


def settle(page):
    """Wait until D3 has moved everything to its place."""
    page.wait_for_function(
        "[...document.querySelectorAll('.pipeline-flowchart *')].every(e => !e.__transition)"
    )


def keep_screenshot(page, name):
    """For the documentation: a picture in $QUARTET_SCREENSHOTS, if that is set."""
    if folder := os.environ.get("QUARTET_SCREENSHOTS"):
        settle(page)
        page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")


def open_panel(page, dataset):
    page.locator(".pipeline-node", has=page.get_by_text(dataset, exact=True)).click()
    panel = page.locator(".pipeline-metadata--visible")
    expect(panel.locator(".pipeline-metadata__title")).to_have_text(dataset)
    return panel


def report(workspace, name):
    inside = CATALOG[name]["filepath"].removeprefix("${globals:reporting}/")
    return workspace / "data/08_reporting" / inside


def shows(kind, preview, file):
    """Whether a preview is that of this file and no other."""
    if kind == "ImagePreview":
        return base64.b64decode(preview) == file.read_bytes()
    text = file.read_text()
    if kind == "JSONPreview":
        return json.loads(preview) == json.loads(text)
    return preview["data"] and preview["columns"] == text.splitlines()[0].split(",")


def test_every_node_and_dataset_of_the_pipeline_is_listed(shown):
    pipeline = create_pipeline()
    datasets = {name for name in pipeline.datasets() if not name.startswith("params:")}
    assert shown["task"].keys() == {node.name for node in pipeline.nodes}
    assert shown["data"].keys() == datasets
    assert shown["data"].keys() >= CATALOG.keys()


def test_the_page_opens_without_errors_and_shows_the_whole_flowchart(page, errors):
    labels = page.locator(".pipeline-node__text")
    expected = {node.name for node in create_pipeline().nodes} | CATALOG.keys()
    assert sorted(labels.all_text_contents()) == sorted(expected)
    for label in labels.all():
        expect(label).to_be_visible()
        expect(label).to_be_in_viewport(ratio=1)
    keep_screenshot(page, "kedro_viz_mnist_training")
    assert errors == []


def test_the_layers_stand_in_the_order_of_the_data_folders(page):
    names = page.locator(".pipeline-layer-name")
    expect(names).to_have_count(len(LAYERS))
    heights = {name.inner_text(): name.bounding_box()["y"] for name in names.all()}
    assert sorted(heights, key=heights.__getitem__) == LAYERS


def test_a_click_on_a_figure_shows_it(page, errors):
    panel = open_panel(page, "convnet_confusion_figure")
    expect(panel.get_by_text("Convnet Confusion Figure")).to_be_visible()
    image = panel.get_by_alt_text("Preview visualization")
    expect(image).to_be_visible()
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => image.naturalWidth") > 0
    keep_screenshot(page, "kedro_viz_preview")
    assert errors == []


def test_a_click_on_the_metrics_shows_their_values(page, errors, trained_workspace):
    metrics = json.loads(report(trained_workspace, "mnist_training_metrics").read_text())
    rows = open_panel(page, "mnist_training_metrics").locator(".variable-row")
    expect(rows).to_have_count(len(metrics))
    assert json.loads("{" + ",".join(rows.all_inner_texts()) + "}") == metrics
    assert errors == []


@pytest.mark.parametrize(
    "name", [name for name, entry in CATALOG.items() if entry["type"] in PREVIEWS]
)
def test_a_report_is_previewed_with_its_own_content(name, ask, shown, trained_workspace):
    kind = PREVIEWS[CATALOG[name]["type"]]
    answer = ask(f"nodes/{shown['data'][name]['id']}")
    assert answer.get("preview_type") == kind
    assert shows(kind, answer["preview"], report(trained_workspace, name))


def test_the_last_run_is_shown_with_how_each_node_went(ask, shown):
    states = {name: node["status"] for name, node in ask("run-status")["nodes"].items()}
    assert {node["id"] for node in shown["task"].values()} <= states.keys()
    assert set(states.values()) == {"success"}
