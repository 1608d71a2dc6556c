"""Remove parts of files by whole lines, so that other comments are kept."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

import yaml

Lines = list[str]


def without_keys(globs: Iterable[str], text: str) -> str:
    """Return a YAML file without some keys, their values and the comments above them.

    A mapping that loses all of its keys is removed as well.

    Args:
        globs: Dotted: `cloud.trigger`, `digit_sample_*`. A `*` does not match a dot.
        text: The file's content.
    """
    root = yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        return text
    lines = text.splitlines(keepends=True)
    gone: set[int] = set()
    parts = [glob.split(".") for glob in globs]
    for key, value in _outermost(root, parts):
        gone.update(_span(lines, key, value))
    return _joined(lines, gone)


def _outermost(root: yaml.Node, globs: list[list[str]]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Return the keys and values to remove, none inside another."""
    for name, key, value in _entries(root):
        below = [glob for glob in globs if fnmatchcase(name, glob[0])]
        if any(len(glob) == 1 for glob in below):
            yield key, value
        elif below:
            found = list(_outermost(value, [glob[1:] for glob in below]))
            if found and [key for key, _ in found] == [key for _, key, _ in _entries(value)]:
                yield key, value
            else:
                yield from found


def _entries(node: yaml.Node) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Return the items of a mapping by key, or of a list of mappings by `name`."""
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, key, value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            name = next((value.value for key, _, value in _entries(item) if key == "name"), "")
            yield name, item, item


def _span(lines: Lines, key: yaml.Node, value: yaml.Node) -> range:
    """Return the lines of a key, from the comment above to the last of its value."""
    first, last = key.start_mark.line, value.end_mark.line
    if value.end_mark.column == 0 or not lines[last][: value.end_mark.column].strip():
        last -= 1
    while last > first and (not lines[last].strip() or lines[last].lstrip().startswith("#")):
        last -= 1
    comment = " " * (len(lines[first]) - len(lines[first].lstrip())) + "#"
    while first > 0 and lines[first - 1].startswith(comment):
        first -= 1
    return range(first, last + 1)


def without_lines(patterns: Iterable[str], text: str) -> str:
    """Return a text without the lines that match one of the patterns."""
    pattern = re.compile("|".join(f"(?:{each})" for each in patterns))
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not pattern.search(line))


def without_paragraphs(patterns: Iterable[str], text: str) -> str:
    """Return a text without the paragraphs, between empty lines, that match a pattern."""
    pattern = re.compile("|".join(f"(?:{each})" for each in patterns), re.MULTILINE)
    paragraphs = text.rstrip("\n").split("\n\n")
    return "\n\n".join(each for each in paragraphs if not pattern.search(each)) + "\n"


def with_swaps(swaps: Mapping[str, str], text: str) -> str:
    """Return a text with replacements of some of its parts."""
    for old, new in swaps.items():
        text = text.replace(old, new)
    return text


def without_definitions(names: Iterable[str], text: str) -> str:
    """Return a Python file without functions and classes of these names."""
    lines = text.splitlines(keepends=True)
    gone: set[int] = set()
    for found in ast.parse(text).body:
        if getattr(found, "name", None) in set(names):
            first = min(part.lineno for part in (found, *found.decorator_list)) - 1
            while first > 0 and not lines[first - 1].strip():
                first -= 1
            gone.update(range(first, found.end_lineno))
    return "".join(line for number, line in enumerate(lines) if number not in gone)


def without_sections(headings: Iterable[str], text: str) -> str:
    """Return a page of Markdown without the sections that have these headings."""
    gone = set(headings)
    kept: Lines = []
    level = 0  # of the section that is being left out
    for line, heading in _with_headings(text):
        if heading:
            depth = len(heading[1])
            if not level or depth <= level:
                level = depth if heading[2] in gone else 0
        if not level:
            kept.append(line)
    return "".join(kept)


def _with_headings(text: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """Yield lines, each with its match as a heading; comments in code are not headings."""
    fenced = False
    for line in text.splitlines(keepends=True):
        fenced ^= line.lstrip().startswith("```")
        yield line, None if fenced else re.match(r"(#+) (.+?)\s*$", line)


def _joined(lines: Lines, gone: set[int]) -> str:
    """Return the lines to keep, with one of two empty lines around a gap."""
    kept: Lines = []
    for number, line in enumerate(lines):
        if number in gone:
            continue
        doubled = not line.strip() and (not kept or not kept[-1].strip())
        if not (doubled and number - 1 in gone):
            kept.append(line)
    text = "".join(kept).rstrip("\n")
    return f"{text}\n" if text else ""
