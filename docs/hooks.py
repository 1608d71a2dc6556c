"""Add Mermaid and the static Kedro-Viz to the site that MkDocs builds.

Kedro-Viz of all pipelines, made by `generators.static_viz`, belongs to the page `explore.md`.
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
PIPELINE_CELL = re.compile(r"^\| \[?`(?P<name>\w+)`(\]\([^)]+\))?", re.MULTILINE)
"""First cell of the table of pipelines: its name, with or without a link to its page."""


def on_config(config: Any, **kwargs: Any) -> Any:
    """Let the theme draw blocks of Mermaid; a browser without a network shows their text."""
    fence = {"name": "mermaid", "class": "mermaid", "format": fence_code_format}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def on_files(files: Files, config: Any = None, **kwargs: Any) -> Files:
    """Add the static Kedro-Viz to the site's files if `explore.md` is one of them."""
    if files.get_file_from_path("explore.md"):
        folder = Path(static_viz().name)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                target = f"kedro-viz/{path.relative_to(folder).as_posix()}"
                files.append(File.generated(config, target, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Add links to the static Kedro-Viz, which only the site has, after names of pipelines."""
    if page.file.src_uri != "explore.md":
        return markdown
    link = "[graph](kedro-viz/index.html?pid="
    return PIPELINE_CELL.sub(rf"\g<0> {link}\g<name>)", markdown)


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
