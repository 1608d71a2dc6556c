"""Which file of the configuration cannot be read, and where, which Kedro does not always tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from kedro_cloud.core.os_errors import format_os_error


def find_fault(source: Path) -> str | None:
    """The line for the first YAML file below a folder that cannot be read; None, if all can."""
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
        return f"{path}: its text is not UTF-8; save it anew as UTF-8"
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"{path}{line}: no YAML ({error.problem}); see the brackets and the indentation"
    except OSError as error:
        return format_os_error(error)
    except yaml.YAMLError as error:
        return f"{path}: cannot be read ({error})"


def _fault_of_text(path: Path, text: str) -> str | None:
    content = yaml.safe_load(text)
    twice = next(_repeated(yaml.compose(text, yaml.SafeLoader)), None)
    if twice is not None:
        return (
            f"{path}, line {twice.start_mark.line + 1}: '{twice.value}' stands here a second time"
        )
    if content is not None and not isinstance(content, Mapping):
        return f"{path}: expected entries such as `name: value`, found {type(content).__name__}"
    return None


def _repeated(node: Any) -> Iterator[Any]:
    """Keys that a mapping has already, of this node and all below it."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _repeated(each)
