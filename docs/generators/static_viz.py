"""Kedro-Viz of the project as files that any web server can show.

In comes the folder to write, by `python -m generators.static_viz FOLDER` in the project. Out go
the pages of `kedro viz build`, less what is of this machine alone: absolute paths, conf/local, how
a run failed. Previews are of the results that the last runs have left; without any there is but the
graph.
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
"""Of Kedro-Viz's own files those that a browser asks for."""
ELSEWHERE = re.compile(r"\s*<link[^>]*https?://[^>]*>")
"""Fonts from elsewhere; the page has others to fall back on, and reads the same offline."""
FIRST_VISIT = """\
<script>
  localStorage.KedroViz ??= JSON.stringify({
    showFeatureHints: false,
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
  });
</script>
</head>"""
"""Without the tour, which covers the chart, and in the colours that the reader has chosen."""
OF_A_MACHINE = re.compile(r"(?<![\w.:/])/(?:[^\s\"'\\:/]+/)+(?=data/0\d_)")
"""What comes before the project's folders in a path that a run has written into a result."""
AT_THE_ROOT = '"/api/run-status"'
"""The one address in Kedro-Viz's scripts that a site in a folder of a server does not have."""


def export(project: Path, target: Path) -> None:
    """Write the static Kedro-Viz of all pipelines, as conf/base configures them.

    Args:
        project: The project's folder, which has to be the current one.
        target: A folder; what is in it is replaced.
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
    logging.getLogger("kedro_viz").setLevel(logging.ERROR)  # what has not run cannot be previewed
    shutil.rmtree(target, ignore_errors=True)
    copy_pages(Path(kedro_viz.__file__).parent / "html", target)
    save_api_responses_to_fs(str(target), _files(), is_all_previews_enabled=True)
    # `kedro viz build` leaves out the first, and the second says when it was.
    write_api_response_to_fs(f"{target}/api/metadata", get_metadata_response(), _files())
    published = {"timestamp": f"{datetime.now(UTC):%d.%m.%Y %H:%M:%S}", "version": __version__}
    (target / "api/deploy-viz-metadata").write_text(json.dumps(published), encoding="utf-8")
    for path in (target / "api").rglob("*"):
        if path.is_file():
            told = public(json.loads(path.read_text(encoding="utf-8")), project)
            if path.name == "run-status":
                told = without_errors(told)
            path.write_text(json.dumps(told), encoding="utf-8")


def _files() -> Any:
    import fsspec

    return fsspec.filesystem("file")


def copy_pages(source: Path, target: Path) -> None:
    """Kedro-Viz's page and its scripts, which then ask no other server and no other folder."""
    target.mkdir(parents=True)
    for name in PAGES:
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy
        copy(source / name, target / name)
    index = target / "index.html"
    page = ELSEWHERE.sub("", index.read_text(encoding="utf-8"))
    index.write_text(page.replace("</head>", FIRST_VISIT), encoding="utf-8")
    for script in target.glob("assets/index-*.js"):
        text = script.read_text(encoding="utf-8")
        script.write_text(text.replace(AT_THE_ROOT, '"./api/run-status"'), encoding="utf-8")


def public(told: Any, project: Path) -> Any:
    """What Kedro-Viz tells, with paths from the project's folder on."""
    if isinstance(told, dict):
        return {name: public(each, project) for name, each in told.items()}
    if isinstance(told, list):
        return [public(each, project) for each in told]
    if isinstance(told, str):
        told = OF_A_MACHINE.sub("", told.replace(f"{project}/", ""))
        return re.sub(rf"^{re.escape(project.name)}/(?=src/)", "", told)  # files of nodes
    return told


def without_errors(told: Any) -> Any:
    """How the last run went, less messages and tracebacks, which name what is on this machine."""
    if not isinstance(told, dict):
        return told
    return {name: without_errors(each) for name, each in told.items() if name != "error"}


if __name__ == "__main__":
    export(Path.cwd().resolve(), Path(sys.argv[1]))
