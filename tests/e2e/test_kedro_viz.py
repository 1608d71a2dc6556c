"""Kedro-Viz is where people look at a pipeline and its results: all of it must really show up."""

import base64
import json

import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from playwright.sync_api import expect

from support import ROOT

bootstrap_project(ROOT)
FIGURES = {
    "mnist_training": "convnet_confusion_figure",
    "faq_ingestion": "ingested_duplicates_figure",
    "faq_tuning": "study_history_figure",
    "faq_matching": "top_probabilities_figure",
    "sensor_ingestion": "readings_over_time_figure",
    "anomaly_training": "false_alarms_figure",
    "anomaly_scoring": "worst_sensors_figure",
    "style_transfer": "contact_sheet_figure",
}
"""By pipeline that is opened here: the figure that is clicked on."""
LAYERS = ["raw", "primary", "model_input", "models", "model_output", "reporting", "registry"]
PREVIEWS = {
    "matplotlib.MatplotlibDataset": "ImagePreview",
    "pandas.CSVDataset": "TablePreview",
    "json.JSONDataset": "JSONPreview",
    "quartet.datasets.raw.ImageBytesDataset": "ImagePreview",
}
"""By type of a dataset: how Kedro-Viz previews it."""


def catalog(name):
    """What the catalog says of the datasets of a pipeline's folder."""
    entries = yaml.safe_load((ROOT / f"conf/base/{name}/catalog.yml").read_text())
    return {key: entry for key, entry in entries.items() if not key.startswith("_")}


REPORTS = {
    dataset: (name, entry)
    for name in FIGURES
    for dataset, entry in catalog(name).items()
    if entry["type"] in PREVIEWS and entry["filepath"].startswith("${globals:reporting}/")
}


def datasets_of(name):
    return {each for each in pipelines[name].datasets() if not each.startswith("params:")}


@pytest.fixture(scope="module")
def shown(ask):
    """Kedro-Viz's nodes, by pipeline, kind and name."""
    found = {name: {"task": {}, "data": {}, "parameters": {}} for name in FIGURES}
    for name, kinds in found.items():
        for node in ask(f"pipelines/{name}")["nodes"]:
            kinds[node["type"]][node["name"]] = node
    return found


def open_panel(page, dataset):
    page.locator(".pipeline-node", has=page.get_by_text(dataset, exact=True)).click()
    panel = page.locator(".pipeline-metadata--visible")
    expect(panel.locator(".pipeline-metadata__title")).to_have_text(dataset)
    return panel


def report(workspace, dataset):
    """The file of a report."""
    inside = REPORTS[dataset][1]["filepath"].removeprefix("${globals:reporting}/")
    return workspace / "data/08_reporting" / inside


def shows(kind, preview, file):
    """Whether a preview is that of this file and no other."""
    if kind == "ImagePreview":
        return base64.b64decode(preview) == file.read_bytes()
    if kind == "JSONPreview":
        return json.loads(preview) == json.loads(file.read_text())
    header, *rows = file.read_text().splitlines()
    return preview["columns"] == header.split(",") and bool(preview["data"]) == bool(rows)


@pytest.mark.parametrize("name", FIGURES)
def test_every_node_and_dataset_of_the_pipeline_is_listed(name, shown):
    assert shown[name]["task"].keys() == {node.name for node in pipelines[name].nodes}
    assert shown[name]["data"].keys() == datasets_of(name)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_made_in_an_earlier_layer_than_what_it_is_made_of(name, ask):
    entries = {key: entry for other in FIGURES for key, entry in catalog(other).items()}
    datasets = datasets_of(name)
    layer = {each: entries[each]["metadata"]["kedro-viz"]["layer"] for each in datasets}
    place = {each: number for number, each in enumerate(ask(f"pipelines/{name}")["layers"])}
    for node in pipelines[name].nodes:
        for given in datasets & set(node.inputs):
            for made in node.outputs:
                assert place[layer[given]] <= place[layer[made]], (given, made)


def test_the_layers_stand_in_the_order_of_the_data_folders(flowchart):
    names = flowchart("mnist_training").locator(".pipeline-layer-name")
    expect(names).to_have_count(len(LAYERS))
    heights = {name.inner_text(): name.bounding_box()["y"] for name in names.all()}
    assert sorted(heights, key=heights.__getitem__) == LAYERS


@pytest.mark.parametrize("name", FIGURES)
def test_the_page_opens_without_errors_and_shows_the_whole_flowchart(
    name, flowchart, errors, keep_screenshot
):
    page = flowchart(name)
    labels = page.locator(".pipeline-node__text")
    expected = [node.name for node in pipelines[name].nodes] + list(datasets_of(name))
    expect(labels).to_have_count(len(expected))
    assert sorted(labels.all_text_contents()) == sorted(expected)
    for label in labels.all():
        expect(label).to_be_visible()
        expect(label).to_be_in_viewport(ratio=1)
    keep_screenshot(page, f"kedro_viz_{name}")
    assert errors == []


@pytest.mark.parametrize(("name", "figure"), FIGURES.items())
def test_a_click_on_a_figure_shows_it(name, figure, flowchart, errors, keep_screenshot):
    page = flowchart(name)
    panel = open_panel(page, figure)
    expect(panel.get_by_text(figure.replace("_", " ").title())).to_be_visible()
    image = panel.get_by_alt_text("Preview visualization")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    keep_screenshot(page, f"kedro_viz_{figure}")
    assert errors == []


def test_a_click_on_the_metrics_shows_their_values(flowchart, errors, trained_workspace):
    metrics = json.loads(report(trained_workspace, "mnist_training_metrics").read_text())
    panel = open_panel(flowchart("mnist_training"), "mnist_training_metrics")
    rows = panel.locator(".variable-row")
    expect(rows).to_have_count(len(metrics))
    assert json.loads("{" + ",".join(rows.all_inner_texts()) + "}") == metrics
    assert errors == []


@pytest.mark.parametrize("dataset", REPORTS)
def test_a_report_is_previewed_with_its_own_content(dataset, ask, shown, trained_workspace):
    name, entry = REPORTS[dataset]
    kind, file = PREVIEWS[entry["type"]], report(trained_workspace, dataset)
    answer = ask(f"nodes/{shown[name]['data'][dataset]['id']}")
    assert answer.get("preview_type") == kind
    assert shows(kind, answer["preview"], file)


@pytest.mark.parametrize("name", FIGURES)
def test_the_last_run_is_shown_with_how_each_node_went(name, ask, shown):
    states = {key: node["status"] for key, node in ask("run-status")["nodes"].items()}
    assert {states[node["id"]] for node in shown[name]["task"].values()} == {"success"}
