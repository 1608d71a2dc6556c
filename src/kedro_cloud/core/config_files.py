"""Find the file and line of an error in the configuration; Kedro does not always name them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from kedro_cloud.core.os_errors import format_os_error
from kedro_cloud.core.validation_errors import format_errors

if TYPE_CHECKING:
    from pydantic import ValidationError

_SUFFIXES = {".yml", ".yaml", ".json"}
_DUPLICATE = "found duplicate key "


def find_fault(
    folders: Iterable[Path],
    error: BaseException | None = None,
    patterns: Iterable[str] = ("*",),
) -> str | None:
    """Return a message with the file of a fault in the configuration; None if none is found.

    Args:
        folders: Folders with files of the configuration.
        error: If OmegaConf raised it for an interpolation, the file with this is found; if Kedro
            raised it for a key, the file with a key that is not text.
        patterns: Kedro's patterns of the files that were read, such as `**/catalog*`.
    """
    names = {part for pattern in patterns for part in pattern.split("/") if part != "**"}
    files = [path for folder in folders for path in _list_files(folder, names)]
    fault = next(filter(None, map(_find_fault_in, files)), None)
    if isinstance(error, AttributeError) and not fault:  # Kedro takes every key for text
        return next(filter(None, map(_find_invalid_key, files)), None)
    if fault or not isinstance(error, OmegaConfBaseException) or error.child_node is None:
        return fault
    # The last one, as a value that refers to `base` is valid there, and not as its copy.
    places = (_locate_interpolation(path, error) for path in reversed(files))
    where = next(filter(None, places), None)
    return where and f"{where}: {_format_entry(error)}"


def find_setting(folders: Iterable[Path], pattern: str, keys: Iterable[str | int]) -> Path | None:
    """Return the file that sets a key; None if none does.

    Args:
        folders: Folders with files of the configuration; later ones override earlier ones.
        pattern: Pattern of the files' names.
        keys: The nested keys.
    """
    keys, found = list(keys), None
    for path in (path for folder in folders for path in _list_files(folder)):
        if path.match(pattern) and _contains(yaml.safe_load(path.read_bytes()), keys):
            found = path
    return found


def format_invalid(folders: Sequence[Path], pattern: str, error: ValidationError) -> str:
    """Return a message with the files of invalid settings, and all their errors.

    Args:
        folders: Folders with files of the configuration; later ones override earlier ones.
        pattern: Pattern of the files' names, such as `mlflow*`.
        error: What validation raised.
    """
    faults = error.errors()
    others = [fault for fault in faults if fault["type"] != "missing"]
    # What is missing belongs into the mapping around it.
    keys = (fault["loc"] if fault in others else fault["loc"][:-1] for fault in faults)
    files = (find_setting(folders, pattern, each) for each in keys)
    where = " and ".join(map(str, dict.fromkeys(filter(None, files)))) or f"{pattern[:-1]}.yml"
    return f"{where}: {format_errors(error)}; {'fix or remove it' if others else 'add it'}"


def _contains(content: Any, keys: Iterable[str | int]) -> bool:
    for key in keys:
        if not isinstance(content, dict):
            return isinstance(content, list)  # an invalid item of the list
        if key not in content:
            return False
        content = content[key]
    return True


def _list_files(folder: Path, names: Iterable[str] = ("*",)) -> Iterator[Path]:
    """Yield the files that Kedro may read, by patterns of names; it ignores hidden ones."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_hidden = any(part.startswith(".") for part in parts)
        is_named = any(fnmatch(part, name) for part in parts for name in names)
        if path.suffix in _SUFFIXES and is_named and not is_hidden:
            yield path


def _find_invalid_key(path: Path) -> str | None:
    """Return a message for the first key that is not text; None if all of a valid file are."""
    keys = [key for key in yaml.safe_load(path.read_bytes()) or () if not isinstance(key, str)]
    return f"{path}: key {keys[0]} is not text; write it in quotes" if keys else None


def _locate_interpolation(path: Path, error: OmegaConfBaseException) -> str | None:
    """Return the file and line of an interpolation; None if the file does not contain it."""
    try:
        scalars = (
            token
            for token in yaml.scan(path.read_text(encoding="utf-8"))
            if isinstance(token, yaml.ScalarToken)
        )
        for key, value in pairwise(scalars):
            is_item = isinstance(error.key, int)
            if value.value == str(error.child_node) and (is_item or key.value == error.key):
                return f"{path}, line {value.start_mark.line + 1}"
    except (OSError, ValueError, yaml.YAMLError):  # of a file that was not read
        pass
    return None


def _format_entry(error: OmegaConfBaseException) -> str:
    message = str(error).splitlines()[0]
    return f"{error.full_key}: {message}" if error.full_key else message


def _find_fault_in(path: Path) -> str | None:
    """Return a message with the first fault of a file, and its line if known; None if valid."""
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
        fault = _format_invalid(error)
    except ReaderError as error:  # its position counts characters of the text
        where += f", line {text.count(chr(10), 0, error.position) + 1}"
        fault = f"character #x{error.character:04x} is not allowed in YAML; remove it"
    except yaml.YAMLError as error:
        fault = f"cannot be read ({error})"
    except OSError as error:
        fault = fault or format_os_error(error).removeprefix(f"{path}: ")
    except GrammarParseError as error:
        fault = f"{_format_entry(error)}; close each ${{ with }}"
    except OmegaConfBaseException as error:
        fault = f"{_format_entry(error)}; write a number, text, list or mapping"
    except (ValueError, AttributeError, KeyError):  # from the constructor of a tag
        fault = "a value does not match its tag, such as !!int; remove the tag"
    except RecursionError:
        fault = "nested too deeply; use fewer levels of lists and mappings"
    return f"{where}: {fault}" if fault else None


def _format_invalid(error: yaml.MarkedYAMLError) -> str:
    """Return what is wrong in a file that is not valid YAML, and what to do."""
    key = str(error.problem).removeprefix(_DUPLICATE)
    if key != error.problem:
        return f"key '{key}' appears twice; remove one"
    problem, remedy = str(error.problem), "check brackets and indentation"
    if problem.startswith("but "):
        problem = f"{error.context}, {problem}"
    if isinstance(error, ConstructorError):
        remedy = "write plain values and keys, without tags such as !name"
    return f"invalid YAML ({problem}); {remedy}"
