"""The static export of Kedro-Viz works on any web server and contains nothing private."""

import getpass
import json
import os
import re
import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from kedro.framework.project import pipelines
from playwright.sync_api import expect

from e2e.flowcharts import ELSEWHERE, UNFOLDED, open_flowchart
from support import ROOT, bootstrap, clean_environment, run_program

bootstrap()
NAMES = list(pipelines)
SECRET = "AccountKey=c2VjcmV0"
RUN_ERROR = "no file clandestine.csv"


def export(project, folder):
    """Run the export as the build of the documentation does."""
    command = (sys.executable, "-W", "ignore", "-m", "generators.static_viz", folder)
    added = {"PYTHONPATH": str(ROOT / "docs"), "AZURE_STORAGE_CONNECTION_STRING": SECRET}
    done = run_program(*command, folder=project, environment=clean_environment() | added)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def project(trained_workspace, tmp_path_factory):
    """A project with local parameters, whose last run has failed."""
    folder = tmp_path_factory.mktemp("private") / "project"
    shutil.copytree(trained_workspace, folder)
    (folder / "conf/local/parameters.yml").write_text("seed: 123454321\n")
    events = folder / ".viz/kedro_pipeline_events.json"
    content = json.loads(events.read_text())
    failed = {"event": "on_pipeline_error", "error": RUN_ERROR, "traceback": RUN_ERROR}
    events.write_text(json.dumps([*content, failed]))
    return folder


@pytest.fixture(scope="module")
def site(project, tmp_path_factory):
    """A folder with Kedro-Viz in a subfolder."""
    folder = tmp_path_factory.mktemp("site")
    export(project, folder / "quartet/docs/kedro-viz")
    return folder


@pytest.fixture(scope="module")
def address(site):
    """The URL of Kedro-Viz, below a path as on GitHub Pages."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{ELSEWHERE}:{server.server_port}/quartet/docs/kedro-viz/"
        server.shutdown()


@pytest.fixture
def requests(window):
    """A window, and the URLs that its pages request."""
    context = window()
    addresses = []
    context.on("request", lambda request: addresses.append(request.url))
    return context, addresses


def names_of(pipeline):
    """Return the names of a pipeline's nodes and datasets."""
    datasets = {name for name in pipeline.datasets() if not name.startswith("params:")}
    return datasets | {node.short_name for node in pipeline.nodes}


@pytest.mark.parametrize("name", NAMES)
def test_every_node_and_dataset_of_the_pipeline_is_exported(name, site):
    path = site / f"quartet/docs/kedro-viz/api/pipelines/{name}"
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
    found = {node["name"] for node in nodes if node["type"] in {"task", "data"}}
    assert found == names_of(pipelines[name])


@pytest.mark.parametrize("name", ["__default__", "mnist_training"])
def test_a_pipeline_opens_from_a_static_server(name, requests, address, complaints):
    """Where its names are does not depend on the server: that is tested with `kedro viz run`."""
    context, addresses = requests
    page = open_flowchart(context, f"{address}?pid={name}{UNFOLDED}")
    expected = names_of(pipelines[name])
    assert set(page.locator(".pipeline-node__text").all_text_contents()) == expected
    assert [each for each in addresses if not each.startswith((address, "data:", "blob:"))] == []
    assert complaints == []


def test_a_click_on_a_figure_shows_it(requests, address, complaints):
    page = open_flowchart(requests[0], f"{address}?pid=mnist_training{UNFOLDED}")
    figure = page.get_by_text("sweep_figure", exact=True)
    page.locator(".pipeline-node", has=figure).click()
    image = page.locator(".pipeline-metadata--visible").get_by_alt_text("Preview visualization")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert complaints == []


def test_a_first_visit_shows_the_chart_without_the_tour(browser, address):
    with browser.new_context() as context:
        page = open_flowchart(context, f"{address}?pid=mnist_training")
        expect(page.get_by_text("mnist_test_images").first).to_be_visible()
        expect(page.get_by_text("1 of 6")).to_have_count(0)


def files(site):
    return [path for path in (site / "quartet").rglob("*") if path.is_file()]


def test_no_private_text_is_exported(site, project):
    content = {
        path: path.read_text(encoding="utf-8") for path in files(site) if "api" in path.parts
    }
    assert len(content) > 200
    private = [str(project), project.parent.name, str(ROOT), str(Path.home()) + "/"]
    private += [sys.prefix, f"@{os.uname().nodename}", SECRET, RUN_ERROR, "123454321"]
    private += [f"{getpass.getuser()}@", "/home/", "/Users/", "/tmp/"]
    for path, text in content.items():
        assert [each for each in private if each in text] == [], path
        assert re.findall(r'"filepath": "/', text) == [], path


def test_nodes_refer_to_source_files_of_the_project(site, project):
    paths = {
        json.loads(path.read_text(encoding="utf-8")).get("filepath")
        for path in files(site)
        if path.parent.name == "nodes"
    } - {None}
    sources = [path for path in paths if path.endswith(".py")]
    assert len(sources) > 10
    assert all((project / path).is_file() for path in sources)


def test_a_project_without_runs_has_flowcharts(workspace, tmp_path):
    export(workspace, tmp_path / "viz")
    content = json.loads((tmp_path / "viz/api/main").read_text())
    assert [each["id"] for each in content["pipelines"]] == NAMES
    assert content["layers"][0] == "raw"
