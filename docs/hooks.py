"""Add Mermaid, the static Kedro-Viz and the notebooks to the site that MkDocs builds.

Kedro-Viz of all pipelines, made by `generators.static_viz`, belongs to the page `explore.md`. The
notebooks are run in this project if the variable `EXECUTE_NOTEBOOKS` is 1, after `kedro run`.
`SITE_URL` is the address of the site, for whoever publishes it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from pymdownx.superfences import fence_code_format

DOCS = Path(__file__).parent
NOTEBOOKS = sorted((DOCS.parent / "notebooks").glob("*.ipynb"))
NOTEBOOK_LINK = re.compile(r"\]\((?:\.\./)+notebooks/(\w+)\.ipynb\)")
PIPELINE_CELL = re.compile(r"^\| \[?`(?P<name>\w+)`(\]\([^)]+\))?", re.MULTILINE)
"""First cell of the table of pipelines: its name, with or without a link to its page."""


def on_config(config: Any, **kwargs: Any) -> Any:
    """Let the theme draw blocks of Mermaid; a browser without a network shows their text.

    Also take the site's address from the environment.
    """
    config.site_url = os.environ.get("SITE_URL", config.site_url)
    fence = {"name": "mermaid", "class": "mermaid", "format": fence_code_format}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def on_files(files: Files, config: Any = None, **kwargs: Any) -> Files:
    """Add the notebooks to the site's files, and the static Kedro-Viz if it has `explore.md`."""
    for path in NOTEBOOKS:
        text, pictures = notebook_page(path)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    if files.get_file_from_path("explore.md"):
        folder = Path(static_viz().name)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                target = f"kedro-viz/{path.relative_to(folder).as_posix()}"
                files.append(File.generated(config, target, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Link what only the site has: pages of notebooks, and the static Kedro-Viz of a pipeline."""
    up = "../" * page.file.src_uri.count("/")
    markdown = NOTEBOOK_LINK.sub(rf"]({up}notebooks/\1.md)", markdown)
    if page.file.src_uri != "explore.md":
        return markdown
    link = "[graph](kedro-viz/index.html?pid="
    return PIPELINE_CELL.sub(rf"\g<0> {link}\g<name>)", markdown)


@cache
def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as a page and its pictures, once for all builds of `mkdocs serve`.

    Raises:
        PluginError: A cell fails.
    """
    if str(DOCS) not in sys.path:
        sys.path.append(str(DOCS))
    from generators.notebooks import to_page
    from nbclient.exceptions import CellExecutionError

    execute = os.environ.get("EXECUTE_NOTEBOOKS") == "1"
    try:
        return to_page(path, DOCS.parent if execute else None)
    except CellExecutionError as error:
        raise PluginError(f"{path.name}: {error}\nrun `kedro run` first") from error


@cache
def static_viz() -> tempfile.TemporaryDirectory[str]:
    """Export Kedro-Viz of all pipelines, once for all builds of `mkdocs serve`.

    Raises:
        PluginError: The export failed; contains its output.
    """
    folder = tempfile.TemporaryDirectory()
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "generators.static_viz", folder.name],
        cwd=DOCS.parent,
        # Without the variables of this shell, which may point to another database.
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        | {"PYTHONPATH": str(DOCS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise PluginError(f"Kedro-Viz export failed:\n{result.stderr}")
    return folder
