"""The FAQ's pipelines must open in Kedro-Viz too, with layers in order and every report shown."""

import base64
import json
import os
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from playwright.sync_api import expect

from support import ROOT, running_server

bootstrap_project(ROOT)
NAMES = ["faq_ingestion", "faq_tuning", "faq_matching"]
PREVIEWS = {
    "matplotlib.MatplotlibDataset": "ImagePreview",
    "pandas.CSVDataset": "TablePreview",
    "json.JSONDataset": "JSONPreview",
}


def catalog(name):
    entries = yaml.safe_load((ROOT / f"conf/base/{name}/catalog.yml").read_text())
    return {key: entry for key, entry in entries.items() if not key.startswith("_")}


REPORTS = [
    (name, dataset, entry)
    for name in NAMES
    for dataset, entry in catalog(name).items()
    if entry["type"] in PREVIEWS
]


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


@pytest.fixture(scope="module")
def shown(ask):
    """By pipeline: its answer, and its nodes by name."""
    answers = {name: ask(f"pipelines/{name}") for name in NAMES}
    return {
        name: (answer, {node["name"]: node for node in answer["nodes"]})
        for name, answer in answers.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_node_and_dataset_is_there_and_layers_are_in_order(name, shown):
    answer, nodes = shown[name]
    pipeline = pipelines[name]
    assert {node.name for node in pipeline.nodes} <= nodes.keys()
    datasets = {dataset for dataset in pipeline.datasets() if not dataset.startswith("params:")}
    assert datasets <= nodes.keys()
    entries = {key: entry for other in NAMES for key, entry in catalog(other).items()}
    layer = {dataset: entries[dataset]["metadata"]["kedro-viz"]["layer"] for dataset in datasets}
    place = {name: number for number, name in enumerate(answer["layers"])}
    for node in pipeline.nodes:
        for given in datasets & set(node.inputs):
            for made in node.outputs:
                assert place[layer[given]] <= place[layer[made]], (given, made)


@pytest.mark.parametrize(
    ("name", "dataset", "entry"), REPORTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_report_is_previewed_with_its_own_content(
    name, dataset, entry, shown, ask, trained_workspace
):
    answer = ask(f"nodes/{shown[name][1][dataset]['id']}")
    kind = PREVIEWS[entry["type"]]
    inside = entry["filepath"].removeprefix("${globals:reporting}/")
    file = trained_workspace / "data/08_reporting" / inside
    if kind == "TablePreview" and file.read_text().count("\n") < 2:
        return  # a table without rows, such as a quarantine, has nothing to preview
    assert answer.get("preview_type") == kind
    preview = answer["preview"]
    if kind == "ImagePreview":
        assert base64.b64decode(preview) == file.read_bytes()
    elif kind == "JSONPreview":
        assert json.loads(preview) == json.loads(file.read_text())
    else:
        assert preview["columns"] == file.read_text().splitlines()[0].split(",")
        assert preview["data"]


def test_the_tuning_pipeline_is_drawn_and_a_plot_of_the_study_shown(browser, viz):
    context = browser.new_context(viewport={"width": 1800, "height": 1200})
    context.set_default_timeout(60_000)
    view = {"showFeatureHints": False, "theme": "light"}
    context.add_init_script(f"localStorage.KedroViz ??= {json.dumps(json.dumps(view))}")
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{viz}/?pid=faq_tuning")
    page.locator(".pipeline-node__text").first.wait_for()
    labels = set(page.locator(".pipeline-node__text").all_text_contents())
    assert {"tune_ranker", "study_history_figure", "faq_tuning_metrics"} <= labels
    node = page.locator(".pipeline-node", has=page.get_by_text("study_history_figure", exact=True))
    node.dispatch_event("click")
    image = page.locator(".pipeline-metadata--visible").get_by_alt_text("Preview visualization")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    if folder := os.environ.get("QUARTET_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "kedro_viz_faq_tuning.png", animations="disabled")
    assert faults == []
    context.close()
