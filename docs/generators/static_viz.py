"""Export Kedro-Viz of the project as files for any web server.

`python -m generators.static_viz FOLDER`, run in the project, writes the pages of `kedro viz build`
without what belongs to this machine: absolute paths, conf/local, errors of runs. Previews show the
results of the last runs; without results there is only the graph.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGES = ("assets", "favicon.ico", "index.html")
"""Files of Kedro-Viz that a browser requests."""
FONT_LINK = re.compile(r"\s*<link[^>]*https?://[^>]*>")
"""Links to fonts on other servers; without them the page reads the same offline."""
FIRST_VISIT = """\
<script>
  localStorage.KedroViz ??= JSON.stringify({
    showFeatureHints: false,
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
  });
</script>
</head>"""
"""Switches off the tour, which covers the chart, and follows the browser's colour scheme."""
ABSOLUTE_PREFIX = re.compile(r"(?<![\w.:/])/(?:[^\s\"'\\:/]+/)+(?=data/0\d_)")
"""Start of an absolute path, up to the project's folders, in a result."""
RUN_STATUS_ADDRESS = '"/api/run-status"'
"""The only absolute address in Kedro-Viz's scripts; it fails below a folder of a server."""


def export(project: Path, target: Path) -> None:
    """Write the static Kedro-Viz of all pipelines, as conf/base configures them.

    Args:
        project: The project's folder, which must be the current one.
        target: A folder; its content is replaced.
    """
    import kedro_viz
    from kedro_viz import __version__
    from kedro_viz.api.rest.responses.metadata import get_metadata_response
    from kedro_viz.api.rest.responses.save_responses import (
        save_api_responses_to_fs,
        write_api_response_to_fs,
    )
    from kedro_viz.server import load_and_populate_data

    load_and_populate_data(project, env="base")
    logging.getLogger("kedro_viz").setLevel(logging.ERROR)  # warns for each result that is missing
    shutil.rmtree(target, ignore_errors=True)
    copy_pages(Path(kedro_viz.__file__).parent / "html", target)
    save_api_responses_to_fs(str(target), _files(), is_all_previews_enabled=True)
    # `kedro viz build` omits the first; the second has the time of the export.
    write_api_response_to_fs(f"{target}/api/metadata", get_metadata_response(), _files())
    published = {"timestamp": f"{datetime.now(UTC):%d.%m.%Y %H:%M:%S}", "version": __version__}
    (target / "api/deploy-viz-metadata").write_text(json.dumps(published), encoding="utf-8")
    for path in (target / "api").rglob("*"):
        if path.is_file():
            content = public(json.loads(path.read_text(encoding="utf-8")), project)
            if path.name == "run-status":
                content = without_errors(content)
            path.write_text(json.dumps(content), encoding="utf-8")


def _files() -> Any:
    import fsspec

    return fsspec.filesystem("file")


def copy_pages(source: Path, target: Path) -> None:
    """Copy Kedro-Viz's page and scripts so that they request no other server or folder."""
    target.mkdir(parents=True)
    for name in PAGES:
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy
        copy(source / name, target / name)
    index = target / "index.html"
    page = FONT_LINK.sub("", index.read_text(encoding="utf-8"))
    index.write_text(page.replace("</head>", FIRST_VISIT), encoding="utf-8")
    for script in target.glob("assets/index-*.js"):
        text = script.read_text(encoding="utf-8")
        script.write_text(text.replace(RUN_STATUS_ADDRESS, '"./api/run-status"'), encoding="utf-8")


def public(content: Any, project: Path) -> Any:
    """Return content of Kedro-Viz with paths relative to the project's folder."""
    if isinstance(content, dict):
        return {name: public(each, project) for name, each in content.items()}
    if isinstance(content, list):
        return [public(each, project) for each in content]
    if isinstance(content, str):
        content = ABSOLUTE_PREFIX.sub("", content.replace(f"{project}/", ""))
        return re.sub(rf"^{re.escape(project.name)}/(?=src/)", "", content)  # files of nodes
    return content


def without_errors(content: Any) -> Any:
    """Return the status of the last run without messages and tracebacks, which contain paths."""
    if not isinstance(content, dict):
        return content
    return {name: without_errors(each) for name, each in content.items() if name != "error"}


if __name__ == "__main__":
    export(Path.cwd().resolve(), Path(sys.argv[1]))
