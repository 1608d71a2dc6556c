"""Provide the project's catalog, models and error messages to the page."""

from __future__ import annotations

import json
import logging
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import streamlit as st
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from kedro_cloud.core.errors import describe, is_user_error

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from quartet.datasets.registered_model import Champion

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

_PREFIX = "quartet_try_"
"""Start of the names of temporary folders, which messages do not show."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|\$(?=\{)")
"""Control characters, lone surrogates, and the start of an interpolation by OmegaConf."""
_LINE_BREAK = re.compile(r"\s*[\r\n]\s*")
_NAME_BYTES = 200
"""Maximum length of a name, of which the end with the suffix is kept."""
_LOADING = threading.Lock()
"""Kedro inserts `--params` by a function that all threads share: one of them loads at a time."""
_NEW_VERSION_S = 60
"""Time after which a newer version of a model is used."""


@st.cache_resource(show_spinner=False)
def _bootstrap() -> Path:
    project = Path.cwd()
    bootstrap_project(project)
    return project


class Project(NamedTuple):
    """Parameters and data of the project, as a run with the same `--params` has them.

    Attributes:
        params: Parameters by name.
        catalog: Datasets.
        entries: Configuration of the datasets by name.
    """

    params: dict[str, Any]
    catalog: CatalogProtocol[Any, Any]
    entries: dict[str, Any]


def open_project(**runtime_params: Any) -> Project:
    """Return the project with the `--params` of the command, and others.

    Args:
        runtime_params: Further ones; a dictionary changes only what it names.
    """
    params = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    for name, value in runtime_params.items():
        params[name] = {**params.get(name, {}), **value} if isinstance(value, dict) else value
    session = KedroSession.create(_bootstrap(), runtime_params=params)
    with _LOADING, session:
        context = session.load_context()
        return Project(context.params, context.catalog, context.config_loader["catalog"])


@st.cache_resource(ttl=_NEW_VERSION_S, show_spinner="Loading the model …")
def load_model(name: str) -> Champion:
    """Return the registered model of a dataset of the catalog.

    Raises:
        DatasetError: None is registered; the message has the command that trains it.
    """
    champion: Champion = open_project().catalog.load(name)
    return champion


@contextmanager
def report_errors() -> Generator[None]:
    """Show an error of data or settings in one line; log any other, and show its class."""
    try:
        yield
    except Exception as error:
        if is_user_error(error):
            st.error(escape(re.sub(rf"\S*/{_PREFIX}[^/]+/", "", describe(error))))
            return
        logger.exception("the page failed")
        st.error(f"Failed with {type(error).__name__}; the terminal of `kedro try` has the reason.")


@contextmanager
def store_upload(upload: UploadedFile) -> Generator[Path]:
    """Provide the path of an uploaded file in a temporary folder; both are removed at the end."""
    with make_folder() as folder:
        path = Path(folder) / _make_file_name(upload.name)
        path.write_bytes(upload.getbuffer())
        yield path


def make_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a context manager with a temporary folder, which is removed at its end."""
    return tempfile.TemporaryDirectory(prefix=_PREFIX)


def _make_file_name(name: str) -> str:
    """Return a name that any file system accepts, and that the configuration does not interpret."""
    safe = _UNSAFE.sub("_", PurePath(name).name).encode()[-_NAME_BYTES:].decode(errors="ignore")
    return safe if safe.strip(".") else "upload"


def compute_once(slot: str, key: Hashable, compute: Callable[[], Result]) -> Result:
    """Return what `compute` returns, kept in the browser's session until the key changes."""
    kept = st.session_state.get(slot)
    if kept is None or kept[0] != key:
        st.session_state.pop(slot, None)
        kept = st.session_state[slot] = (key, compute())
    result: Result = kept[1]
    return result


def escape(text: str) -> str:
    """Return Markdown that displays a text as it is, except code in backticks and line breaks."""
    # Code ends with its paragraph, after which the rest of it would be Markdown.
    parts = _LINE_BREAK.sub(" ", text).split("`")
    if len(parts) % 2 == 0:  # an odd backtick quotes nothing
        parts = ["`".join(parts)]
    parts[::2] = [re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
