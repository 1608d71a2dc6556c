"""Log the raw data of a run as MLflow datasets, each with a digest."""

from __future__ import annotations

import hashlib
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from kedro_cloud.compat import dataset_file

MAX_BYTES = 2**28
"""Most bytes of a file or folder whose content is hashed: half a second."""
_DIGEST_LENGTH = 36
"""MLflow's longest digest."""


def log_input(name: str, dataset: Any, data: Any) -> None:
    """Log a dataset as input of the active run, if it is on this machine and was found.

    MLflow shows its name, location and digest; of a table also its columns and size. A run does not
    fail because a file cannot be read again, or because a server records no inputs.
    """
    import mlflow
    import pandas as pd
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.pandas_dataset import from_pandas

    protocol, path = dataset_file(dataset) or ("", "")
    if protocol != "file" or data is None:
        return
    # The folder, or the file that was given instead of one with such files.
    location = next((each for each in (Path(path), Path(path).parent) if each.exists()), None)
    if location is None:
        return
    layer = get_metadata(dataset, "kedro-viz").get("layer")
    with suppress(OSError, mlflow.MlflowException), warnings.catch_warnings():
        # Columns of integers without missing values are as they should be.
        warnings.filterwarnings("ignore", message=r".*Inferred schema contains integer column")
        source = CodeDatasetSource({"path": str(location)})
        digest = compute_digest(location)
        dataset = (
            from_pandas(data, source=source, name=name, digest=digest)
            if isinstance(data, pd.DataFrame)
            else MetaDataset(source, name=name, digest=digest)  # type: ignore[abstract]
        )
        mlflow.log_input(dataset, context=layer)


def get_metadata(dataset: Any, plugin: str) -> dict[str, Any]:
    """Return the entry of a plugin in a dataset's metadata; empty if there is none."""
    found: dict[str, Any] = (getattr(dataset, "metadata", None) or {}).get(plugin) or {}
    return found


def compute_digest(path: Path) -> str:
    """Return the beginning of the SHA-256 of a file, or of the files of a folder.

    It covers the content up to `MAX_BYTES`; of more, and of a folder also, names and sizes.
    """
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    sizes = {file: file.stat().st_size for file in files if file.is_file()}
    has_content = sum(sizes.values()) <= MAX_BYTES
    digest = hashlib.sha256()
    for file, size in sizes.items():
        if path.is_dir() or not has_content:
            digest.update(f"{file.relative_to(path).as_posix()}\0{size}\0".encode())
        if has_content:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:_DIGEST_LENGTH]
