"""Find the file and line of an error in the configuration; Kedro does not always name it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kedro_cloud.core.os_errors import format_os_error

_DUPLICATE = "found duplicate key "


def find_fault(source: Path) -> str | None:
    """Return a message for the first invalid YAML file below a folder; None if all are valid."""
    faults = (_find_fault(path) for path in sorted(source.rglob("*.yml")))
    return next(filter(None, faults), None)


def _find_fault(path: Path) -> str | None:
    where, fault = str(path), ""
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        if content is not None and not isinstance(content, dict):
            fault = f"expected entries such as `name: value`, found {type(content).__name__}"
        OmegaConf.load(StringIO(text))  # finds duplicate keys
    except IsADirectoryError:
        fault = "is a folder, expected a YAML file; move it away"
    except UnicodeDecodeError:
        fault = "not UTF-8; save the file as UTF-8"
    except yaml.MarkedYAMLError as error:
        where += f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        key = str(error.problem).removeprefix(_DUPLICATE)
        is_duplicate = key != error.problem
        invalid = f"invalid YAML ({error.problem}); check brackets and indentation"
        fault = f"key '{key}' appears twice; remove one" if is_duplicate else invalid
    except yaml.YAMLError as error:
        fault = f"cannot be read ({error})"
    except OSError as error:
        fault = fault or format_os_error(error).removeprefix(f"{path}: ")
    except OmegaConfBaseException:  # an interpolation, which Kedro reports with its key
        return None
    return f"{where}: {fault}" if fault else None
