"""Check the types of entries in an environment's configuration before anything reads them.

Kedro and OmegaConf report a list where a mapping belongs without file and key, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KINDS = ("parameters", "catalog", "credentials", "globals", "mlflow")
_SUFFIXES = {".yml", ".yaml", ".json"}
_ENTRIES = "a mapping of entries, as in `name: value`"
_DATASET = "a mapping of a dataset, with `type` and `filepath`"
_NAMES = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}


def check_types(conf_source: Path, base_env: str, env: str) -> None:
    """Check that mappings in `base` are mappings in the files of an environment, too.

    Files that are not valid YAML are skipped: Kedro reports these.

    Args:
        conf_source: The folder of the configuration.
        base_env: Folder in it with the configuration of every environment.
        env: Folder in it with the changes of the environment.

    Raises:
        ValueError: A file or an entry is a list, text or empty where a mapping belongs, or
            changes a parameter that others refer to.
    """
    if env == base_env:
        return
    files = list(_list_files(conf_source / env))
    base: dict[str, dict[Any, Any]] = {kind: {} for _, kind in files}
    for path, kind in _list_files(conf_source / base_env):
        if kind in base and isinstance(content := _read(path), Mapping):
            base[kind] |= content
    for path, kind in files:
        content = _read(path)
        if content is None:
            continue
        if not isinstance(content, Mapping):
            raise ValueError(_format_error(path, "", content, _ENTRIES))
        for key, value in content.items():
            _check_entry(path, kind, str(key), value, base[kind].get(key))
            if kind == "parameters" and value != base[kind].get(key):
                _check_references(path, str(key), value, base[kind])


def _check_entry(path: Path, kind: str, key: str, value: Any, expected: Any) -> None:
    """Raise if an entry of a file is not a mapping and has to be one, or the reverse."""
    if isinstance(value, str) and "${" in value:
        return  # of a type that only Kedro knows
    needs_mapping = isinstance(expected, Mapping) or (
        kind in {"catalog", "credentials"} and not key.startswith("_")
    )
    if needs_mapping and not isinstance(value, Mapping):
        example = _DATASET if kind == "catalog" else _ENTRIES
        raise ValueError(_format_error(path, key, value, example))
    if kind == "globals" and isinstance(value, Mapping | list) and isinstance(expected, str):
        raise ValueError(_format_error(path, key, value, "text"))
    if kind == "parameters":
        _check_parameters(path, key, value, expected)


def _check_parameters(path: Path, key: str, value: Any, expected: Any) -> None:
    """Raise if a parameter is a list where `base` has a mapping, or the reverse.

    Other values may take the place of a mapping, such as a number that of a range.
    """
    if isinstance(value, list) and isinstance(expected, Mapping):
        raise ValueError(_format_error(path, key, value, _ENTRIES))
    if isinstance(value, Mapping) and isinstance(expected, list):
        raise ValueError(_format_error(path, key, value, "values, as in `[1, 2]`"))
    if isinstance(value, Mapping) and isinstance(expected, Mapping):
        for name, item in value.items():
            _check_parameters(path, f"{key}.{name}", item, expected.get(name))


def _check_references(path: Path, key: str, value: Any, base: Mapping[str, Any]) -> None:
    """Raise if parameters of `base` refer to this one: Kedro gives them its value of `base`."""
    references = list(_find_references(f"${{{key}}}", base, ""))
    if references:
        raise ValueError(
            f"{path}: '{key}' is {value}, which would not change {', '.join(references)}, as "
            f"these get it from 'base'; set it with --params {key}={value}, or set each of them "
            "here"
        )


def _find_references(reference: str, values: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    """Yield the names of the parameters whose value is the reference."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _find_references(reference, value, f"{prefix}{name}.")
        elif value == reference:
            yield f"{prefix}{name}"


def _format_error(path: Path, key: str, value: Any, expected: str) -> str:
    where = f"{path}: '{key}'" if key else f"{path}: the file"
    found = _NAMES.get(type(value), str(value))
    return f"{where} is {found}, expected {expected}; fix or remove it"


def _list_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of an environment whose entries are known, with their kind."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        kinds = (kind for kind in _KINDS if any(part.startswith(kind) for part in parts))
        kind = next(kinds, None)
        if kind and path.suffix in _SUFFIXES and path.is_file():
            yield path, kind


def _read(path: Path) -> Any:
    """Return the content of a file; None if it is empty or cannot be parsed."""
    try:
        return yaml.load(path.read_bytes(), _LOADER)
    except (OSError, yaml.YAMLError, ValueError, AttributeError, KeyError):  # of a value's tag
        return None
