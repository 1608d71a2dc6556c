"""Find the file and line of an error in the configuration; Kedro does not always name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from kedro_cloud.core.os_errors import format_os_error


def find_fault(source: Path) -> str | None:
    """Return a message for the first invalid YAML file below a folder; None if all are valid."""
    for path in sorted(source.rglob("*.yml")):
        if fault := _fault(path):
            return fault
    return None


def _fault(path: Path) -> str | None:
    if path.is_dir():
        return f"{path}: is a folder, expected a YAML file; move it away"
    try:
        return _fault_of_text(path, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        return f"{path}: not UTF-8; save the file as UTF-8"
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"{path}{line}: invalid YAML ({error.problem}); check brackets and indentation"
    except OSError as error:
        return format_os_error(error)
    except yaml.YAMLError as error:
        return f"{path}: cannot be read ({error})"


def _fault_of_text(path: Path, text: str) -> str | None:
    content = yaml.safe_load(text)
    duplicate = next(_find_duplicates(yaml.compose(text, yaml.SafeLoader)), None)
    if duplicate is not None:
        line = duplicate.start_mark.line + 1
        return f"{path}, line {line}: key '{duplicate.value}' appears twice; remove one"
    if content is not None and not isinstance(content, Mapping):
        return f"{path}: expected entries such as `name: value`, found {type(content).__name__}"
    return None


def _find_duplicates(node: Any) -> Iterator[Any]:
    """Yield the duplicate keys of all mappings in a node."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _find_duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _find_duplicates(each)
