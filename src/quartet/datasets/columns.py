"""Names of columns in the header of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from kedro.io.core import DatasetError
from pydantic import BaseModel, ConfigDict, ValidationError

from kedro_cloud.core.validation_errors import format_errors

_MAX_NAMES = 20
"""Names in an error message; a file that is not a table may have thousands."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
"""A word of `readingTime`, `reading_time` or `Reading time (s)`."""


class TableOptions(BaseModel):
    """How to read a table: names of its columns, and what else a scenario needs to know.

    A subclass has a field for each column, whose default is the name that is looked for.
    """

    # A name such as 2019 arrives as a number from the command line.
    model_config = ConfigDict(
        frozen=True, extra="forbid", coerce_numbers_to_str=True, defer_build=True
    )


Options = TypeVar("Options", bound=TableOptions)


def parse_options(model: type[Options], given: Mapping[str, Any] | None, parameter: str) -> Options:
    """Return the options of a table; those that are missing or None have their defaults.

    Raises:
        DatasetError: An option does not exist, or its value is invalid.
    """
    values = {name: value for name, value in (given or {}).items() if value is not None}
    try:
        return model(**values)
    except ValidationError as error:
        raise DatasetError(f"{parameter}: {format_errors(error)}") from error


def match_columns(
    dataset: str,
    found: Sequence[str],
    names: Mapping[str, str],
    parameter: str,
    synonyms: Mapping[str, Sequence[str]] | None = None,
    optional: Collection[str] = (),
) -> dict[str, str]:
    """Return the name in a file of each column, which may be written in another case.

    A column with another name is never guessed: the error proposes the parameter to set.

    Args:
        dataset: Name of the dataset, or path of the file.
        found: The header of the file.
        names: The name to look for of each column, by field: `{"time": "TS"}`.
        parameter: The parameter with these fields, for messages.
        synonyms: Common names of each column in lower case, by field, the most likely first.
        optional: Fields whose column may be missing; it is then missing in the result, too.

    Returns:
        Names in the file by field.

    Raises:
        DatasetError: A column is missing, appears twice, or is that of two fields.
    """
    matches = {field: _find_name(dataset, found, name) for field, name in names.items()}
    missing = [field for field, match in matches.items() if match is None and field not in optional]
    matched = {field: match for field, match in matches.items() if match is not None}
    if missing:
        free = [name for name in found if name not in matched.values()]
        proposals = dict(_propose_names(missing, free, synonyms or {}))
        settings = ",".join(
            f"{parameter}.{field}={proposals.get(field, 'NAME')}" for field in missing
        )
        lacking = ", ".join(names[field] for field in missing)
        raise DatasetError(
            f"{dataset}: {'columns' if len(missing) > 1 else 'column'} {lacking} "
            f"{'are' if len(missing) > 1 else 'is'} missing; found {format_columns(found)}; "
            f'set --params "{settings}", or rename the columns'
        )
    for name, count in Counter(matched.values()).items():
        if count > 1:
            fields = " and ".join(field for field, match in matched.items() if match == name)
            raise DatasetError(
                f"{dataset}: column '{name}' is both {fields}; set {parameter} to different columns"
            )
    return matched


def check_unique_columns(dataset: str, names: Iterable[object]) -> None:
    """Check that no column of a dataset or file appears twice.

    Raises:
        DatasetError: A name appears twice.
    """
    repeated = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if repeated:
        raise DatasetError(
            f"{dataset}: column '{repeated[0]}' appears twice; rename or remove one of them"
        )


def format_columns(names: Iterable[object]) -> str:
    """Return the names of columns for an error message."""
    texts = [str(name)[:100] for name in names]
    others = len(texts) - _MAX_NAMES
    listed = ", ".join(texts[:_MAX_NAMES]) or "no column"
    return f"{listed} and {others:,} others" if others > 0 else listed


def _find_name(dataset: str, found: Sequence[str], name: str) -> str | None:
    """Return the column with a name, exactly or in another case; None if there is none."""
    same = [each for each in found if each == name] or [
        each for each in found if _simplify(each) == _simplify(name)
    ]
    if len(same) > 1:
        names = " and ".join(f"'{each}'" for each in dict.fromkeys(same))
        what = "twice" if len(set(same)) == 1 else f"in several cases, {names}"
        raise DatasetError(
            f"{dataset}: column '{name}' appears {what}; rename or remove all but one"
        )
    return same[0] if same else None


def _simplify(name: str) -> str:
    """Return a name without case and surrounding whitespace."""
    return name.strip().casefold()


def _propose_names(
    fields: Sequence[str], found: Sequence[str], synonyms: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str]]:
    """Yield fields and the column that each may be, every column at most once.

    Complete names come before single words, so that of `time` and `time_zone` the former is the
    time, and `sensor_time` a time only if nothing else is.
    """
    free = list(found)
    pending = list(fields)
    for get_words in (lambda name: [_simplify(name)], _split_words):
        for field in list(pending):
            candidates = [
                name
                for synonym in synonyms.get(field, ())
                for name in free
                if synonym in get_words(name)
            ]
            if candidates:
                yield field, candidates[0]
                free.remove(candidates[0])
                pending.remove(field)


def _split_words(name: str) -> list[str]:
    """Return the words of a name in lower case, and all of them together."""
    words = [word.lower() for word in _WORD.findall(name)]
    return [*words, "".join(words)]
