"""Kedro-Viz shows all pipelines, datasets, reports and the status of the last run."""

import base64
import json
import re
from html import unescape

import pytest
from kedro.framework.project import pipelines, settings
from playwright.sync_api import expect

from e2e.flowcharts import SIZE, UNFOLDED, hidden_names, settle
from support import ROOT, bootstrap

bootstrap()
NAMES = list(pipelines)
LOADER = settings.CONFIG_LOADER_CLASS(str(ROOT / "conf"), env="base", **settings.CONFIG_LOADER_ARGS)
CATALOG = {name: entry for name, entry in LOADER["catalog"].items() if name[0] != "_"}
LAYERS = [
    *("raw", "intermediate", "primary", "model_input", "models", "model_output", "reporting"),
    *("registry", "serving"),  # made from reports, so after them; see conf/base/faq_tuning
]
"""In the order of the folders of data/."""
FIGURES = {
    "mnist_training": "convnet_confusion_figure",
    "faq_ingestion": "ingested_duplicates_figure",
    "faq_tuning": "study_history_figure",
    "faq_matching": "top_probabilities_figure",
    "sensor_ingestion": "readings_over_time_figure",
    "anomaly_training": "false_alarms_figure",
    "anomaly_scoring": "worst_sensors_figure",
    "style_transfer": "contact_sheet_figure",
    "style_training": "style_losses_figure",
}
"""By pipeline: the figure to click on."""
SHOWN = {"mnist_training", "faq_matching"}
"""Pipelines whose clicked figure is shown in the documentation."""
SIZES = {
    "__default__": (3200, 1800),
    "mnist_training": (2000, 1800),
    "faq_tuning": (1920, 2100),
}
"""By pipeline with many datasets: a window in which names are readable."""
PREVIEWS = {
    "matplotlib.MatplotlibDataset": "ImagePreview",
    "pandas.CSVDataset": "TablePreview",
    "json.JSONDataset": "JSONPreview",
    "plotly.JSONDataset": "PlotlyPreview",
    "quartet.datasets.live_picture.LivePictureDataset": "ImagePreview",
    "quartet.datasets.raw.ImageBytesDataset": "ImagePreview",
    "quartet.datasets.report.ReportDataset": "TablePreview",
    "quartet.datasets.text.TextReportDataset": "HTMLPreview",
}
"""By type of a report: its preview in Kedro-Viz."""
REPORTS = sorted(
    name
    for name, entry in CATALOG.items()
    if entry.get("filepath", "").startswith("data/08_reporting/")
    or entry["metadata"]["kedro-viz"]["layer"] == "reporting"
)


def layer_of(dataset):
    return CATALOG[dataset]["metadata"]["kedro-viz"]["layer"]


def datasets_of(name):
    return {each for each in pipelines[name].datasets() if not each.startswith("params:")}


def layers_of(name):
    """Return the layers of a pipeline's datasets, in order."""
    return sorted({layer_of(each) for each in datasets_of(name)}, key=LAYERS.index)


@pytest.fixture(scope="module")
def shown(ask):
    """Return the nodes of Kedro-Viz, by pipeline, kind and name."""
    kinds = ("task", "data", "parameters", "modularPipeline")
    found = {name: {kind: {} for kind in kinds} for name in NAMES}
    for name, kinds in found.items():
        for node in ask(f"pipelines/{name}")["nodes"]:
            kinds[node["type"]][node["name"]] = node
    return found


@pytest.fixture(scope="module")
def answers(ask, shown):
    """Return the responses of Kedro-Viz to a click on each dataset, by name."""
    nodes = {name: node for kinds in shown.values() for name, node in kinds["data"].items()}
    return {name: ask(f"nodes/{node['id']}") for name, node in nodes.items()}


def open_panel(page, dataset):
    page.locator(".pipeline-node", has=page.get_by_text(dataset, exact=True)).click()
    panel = page.locator(".pipeline-metadata--visible")
    expect(panel.locator(".pipeline-metadata__title")).to_have_text(dataset)
    return panel


def shows(kind, preview, file):
    """Return whether a preview has the content of a file."""
    if kind == "ImagePreview":
        return base64.b64decode(preview) == file.read_bytes()
    if kind == "JSONPreview":
        return json.loads(preview) == json.loads(file.read_text())
    if kind == "PlotlyPreview":
        return preview == json.loads(file.read_text())
    if kind == "HTMLPreview":
        return file.read_text(encoding="utf-8") in unescape(preview)
    header, *rows = file.read_text().splitlines()
    return preview["columns"] == header.split(",") and bool(preview["data"]) == bool(rows)


def test_pipelines_are_listed_by_name(ask):
    assert [each["id"] for each in ask("main")["pipelines"]] == NAMES == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_not_in_an_earlier_layer_than_inputs(name):
    datasets = datasets_of(name)
    for node in pipelines[name].nodes:
        for given in datasets & set(node.inputs):
            for made in node.outputs:
                places = [LAYERS.index(layer_of(each)) for each in (given, made)]
                assert places == sorted(places), (given, made)


@pytest.mark.parametrize("name", SIZES)
def test_a_pipeline_opens_as_a_few_boxes_with_readable_names(
    name, flowchart, complaints, keep_screenshot
):
    """A box per pipeline; beside it, what other pipelines read, or all but the figures."""
    page = flowchart(name, unfolded=False)
    labels = page.locator(".pipeline-node__text")
    boxes = {node.namespace.partition(".")[0] for node in pipelines[name].nodes}
    assert set(labels.all_text_contents()) & set(NAMES) == boxes
    heights = labels.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert min(heights) >= 9
    if name == "__default__":
        assert len(heights) <= 12
        assert hidden_names(page) == []
        keep_screenshot(page, "kedro_viz_default")
    assert complaints == []


def test_a_box_unfolds_to_its_stages_and_a_stage_to_its_nodes(
    flowchart, complaints, keep_screenshot
):
    page = flowchart("__default__", unfolded=False)
    labels = page.locator(".pipeline-node__text")
    unfold(page, "faq_tuning")
    stages = {node.namespace for node in pipelines["faq_tuning"].nodes}
    assert {name for name in labels.all_text_contents() if "." in name} == stages
    assert hidden_names(page) == []
    keep_screenshot(page, "kedro_viz_default_unfolded")
    unfold(page, "faq_tuning.tune")
    found = labels.all_text_contents()
    assert {"tune_ranker", "refit_ranker", "study_history_figure", "faq_tuning.prepare"} < {*found}
    assert "faq_tuning.tune" not in found
    assert complaints == []


def unfold(page, box):
    """Double-click on a box, and wait until it is replaced by its content."""
    node = page.locator(".pipeline-node", has=page.get_by_text(box, exact=True))
    node.dblclick()
    expect(node).to_have_count(0)
    settle(page)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_the_complete_flowchart_and_a_clicked_figure(
    name, flowchart, complaints, keep_screenshot
):
    page = flowchart(name, SIZES.get(name, SIZE))
    expected = [node.short_name for node in pipelines[name].nodes] + list(datasets_of(name))
    labels = page.locator(".pipeline-node__text")
    expect(labels).to_have_count(len(expected))
    assert sorted(labels.all_text_contents()) == sorted(expected)
    assert hidden_names(page) == []
    layers = page.locator(".pipeline-layer-name")
    expect(layers).to_have_count(len(layers_of(name)))
    heights = {layer.inner_text(): layer.bounding_box()["y"] for layer in layers.all()}
    assert sorted(heights, key=heights.__getitem__) == layers_of(name)
    if name != "__default__":  # too wide to be read in a page
        keep_screenshot(page, f"kedro_viz_{name}")
    if figure := FIGURES.get(name):
        check_figure(page, figure)
        if name in SHOWN:
            page.set_viewport_size(dict(zip(("width", "height"), SIZE, strict=True)))
            keep_screenshot(page, f"kedro_viz_{figure}")
    assert complaints == []


def check_figure(page, figure):
    """Click on a figure and check the title and the image in its panel."""
    panel = open_panel(page, figure)
    expect(panel.get_by_text(figure.replace("_", " ").title())).to_be_visible()
    image = panel.get_by_alt_text("Preview visualization")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


INTERACTIVE = {
    "study_history_interactive_figure": "faq_tuning",
    "gains_interactive_figure": "faq_tuning",
    "fleet_heat_map_interactive_figure": "anomaly_scoring",
    "convnet_confusion_interactive_figure": "mnist_training",
}
"""By interactive figure, one of each kind of chart: its pipeline."""


@pytest.mark.parametrize("figure", INTERACTIVE)
def test_an_expanded_figure_shows_values_at_the_pointer(
    figure, flowchart, complaints, keep_screenshot
):
    page = flowchart(INTERACTIVE[figure])
    panel = open_panel(page, figure)
    expect(panel.locator(".js-plotly-plot")).to_be_visible()
    panel.get_by_text("Expand preview").click()
    plot = page.locator(".pipeline-metadata-modal .js-plotly-plot")
    mark = plot.locator(".hm image, .points path").last
    mark.hover(force=True)  # the layer above it gets the pointer
    expect(plot.locator(".hovertext").first).to_be_visible()
    if figure == "fleet_heat_map_interactive_figure":
        keep_screenshot(page, f"kedro_viz_{figure}")
    assert complaints == []


def test_pretty_names_are_readable(window, viz, complaints):
    """With the setting of Kedro-Viz that formats names."""
    context = window()
    context.add_init_script(
        "if (location.protocol != 'about:') localStorage.KedroViz = JSON.stringify("
        "{...JSON.parse(localStorage.KedroViz), isPrettyName: true})"
    )
    page = context.new_page()
    page.goto(f"{viz}/?pid=mnist_training{UNFOLDED}")
    for words in ("Pair Images With Labels", "Release Better Classifier", "Sweep Figure"):
        expect(page.locator(".pipeline-node__text").get_by_text(words, exact=True)).to_be_visible()


def test_a_click_on_the_metrics_shows_their_values(flowchart, complaints, complete_project):
    file = complete_project / CATALOG["mnist_training_metrics"]["filepath"]
    metrics = json.loads(file.read_text())
    panel = open_panel(flowchart("mnist_training"), "mnist_training_metrics")
    rows = panel.locator(".variable-row")
    expect(rows).to_have_count(len(metrics))
    assert json.loads("{" + ",".join(rows.all_inner_texts()) + "}") == metrics
    assert complaints == []


def test_a_click_on_the_model_card_shows_its_text(flowchart, complaints):
    panel = open_panel(flowchart("style_training"), "style_card")
    expect(panel.get_by_text("# The style")).to_be_visible()
    assert complaints == []


def test_a_missing_dataset_is_shown_without_a_preview(flowchart, complaints, complete_project):
    file = complete_project / CATALOG["style_previews_figure"]["filepath"]
    kept = file.rename(file.with_suffix(".kept"))
    try:
        panel = open_panel(flowchart("style_training"), "style_previews_figure")
        expect(panel.get_by_text("matplotlib.MatplotlibDataset")).to_be_visible()
        expect(panel.get_by_alt_text("Preview visualization")).to_have_count(0)
    finally:
        kept.rename(file)
    assert complaints == []


def test_reports_are_previewed_with_their_content(answers, complete_project):
    wrong = []
    for dataset in REPORTS:
        entry, answer = CATALOG[dataset], answers[dataset]
        kind, file = PREVIEWS[entry["type"]], complete_project / entry["filepath"]
        if answer.get("preview_type") != kind or not shows(kind, answer["preview"], file):
            wrong.append(dataset)
    assert wrong == []


def test_the_last_run_is_shown_with_the_status_of_each_node(ask, shown):
    states = {key: node["status"] for key, node in ask("run-status")["nodes"].items()}
    assert {states[node["id"]] for node in shown["__default__"]["task"].values()} == {"success"}


def test_the_server_logs_no_warnings(answers, server_log):
    assert answers.keys() >= set(REPORTS)
    warnings = re.findall(r"^.*(?:warning|error|traceback).*$", server_log.read_text(), re.I | re.M)
    assert [line for line in warnings if "style_previews_figure" not in line] == []
