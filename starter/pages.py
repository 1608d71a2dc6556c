"""Adapt pages to the files that a project has."""

from __future__ import annotations

import re
from pathlib import Path

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:)([^)\s#\[\]]*)(#[^)\s]*)?\)")
_CODE = re.compile(r"(^(`{3,})[^`\n]*\n.*?^\2$)", re.MULTILINE | re.DOTALL)
_FENCE = 2
"""Remainder, modulo 3, of the indices at which a page split by its code has only a fence."""
_MARKER = re.compile(r"^<!-- (?:\w+: .*|end) -->\n\n?", re.MULTILINE)
"""Begin and end of a generated block."""
_COMMANDS = re.compile(r"^```console\n((?:\$ .*\n)+)```\n+", re.MULTILINE)
_PAGE = re.compile(r"^ +- (?:(.*): )?([\w./-]+\.md)$")
_GROUP = re.compile(r"^( +)- ([^:]+):$")
_HEADING = re.compile(r"^#+ (.+?)\s*$", re.MULTILINE)


def fix(project: Path, navigation: str) -> None:
    """Remove links, pictures and list entries of files that the project does not have.

    Args:
        project: The project's folder.
        navigation: mkdocs.yml of the repository, whose groups the list of all pages has.
    """
    index = project / "docs/index.md"
    listed = contents(without_lost_pages(navigation, project / "docs"))
    index.write_text(
        index.read_text(encoding="utf-8").replace("CONTENTS", listed), encoding="utf-8"
    )
    for folder in ("docs", "infra"):
        for page in (project / folder).rglob("*.md"):
            text = page.read_text(encoding="utf-8")
            page.write_text(without_lost_parts(text, page), encoding="utf-8")


def without_lost_parts(text: str, page: Path) -> str:
    """Return a page without links and pictures of lost files, and without markers of blocks."""
    parts = _CODE.split(text)
    for number in range(0, len(parts), 3):  # the code is one part, its fence another
        parts[number] = without_lost_links(_MARKER.sub("", parts[number]), page)
    return "".join(part for number, part in enumerate(parts) if number % 3 != _FENCE)


def without_commands(named: re.Pattern[str], text: str) -> str:
    """Return a page without the commands that match a pattern, where blocks have only commands."""

    def kept(found: re.Match[str]) -> str:
        lines = found[1].splitlines(keepends=True)
        gone = [line for line in lines if named.search(line)]
        rest = "".join(line for line in lines if line not in gone)
        return found[0].replace(found[1], rest) if rest else ""

    return _COMMANDS.sub(kept, text)


def without_lost_links(text: str, page: Path) -> str:
    """Return a text with links to missing files as plain text, and without missing pictures."""

    def fixed(found: re.Match[str]) -> str:
        picture, label, target, anchor = found.groups()
        inner = label if picture else _LINK.sub(fixed, label)
        if label and not inner:
            return ""  # a link around a lost picture
        there = (page.parent / target).resolve() if target else page
        if there.exists() and not (anchor and _is_lost(there, anchor)):
            return found[0].replace(label, inner, 1)
        return "" if picture else inner

    return re.sub(r"\n{3,}", "\n\n", _LINK.sub(fixed, text))


def _is_lost(page: Path, anchor: str) -> bool:
    """Return whether a page has no such heading."""
    if page.suffix != ".md":
        return False
    text = page.read_text(encoding="utf-8")
    slugs = {_slug(heading) for heading in _HEADING.findall(text)}
    return anchor[1:] not in slugs and f'id="{anchor[1:]}"' not in text


def _slug(heading: str) -> str:
    """Return the anchor that Python-Markdown generates for a heading."""
    plain = re.sub(r"[^\w\s-]", "", heading).strip().lower()
    return re.sub(r"[-\s]+", "-", plain)


def without_lost_pages(text: str, docs: Path) -> str:
    """Return mkdocs.yml without missing pages and empty groups."""
    kept: list[str] = []
    for line in text.splitlines():
        found = _PAGE.match(line)
        if not (found and not (docs / found[2]).is_file()):
            kept.append(line)
    following = [*kept[1:], ""]
    lines = [
        line
        for line, after in zip(kept, following, strict=True)
        if not ((group := _GROUP.match(line)) and not after.startswith(group[1] + "  "))
    ]
    return "\n".join(lines) + "\n"


def contents(listed: str) -> str:
    """Return all pages of mkdocs.yml except the first, as lists under the names of their groups."""
    navigation = re.search(r"^nav:\n((?: .*\n)*)", listed, re.MULTILINE)
    lines: list[str] = []
    for line in navigation[1].splitlines() if navigation else ():
        if group := _GROUP.match(line):
            lines += ["", f"**{group[2]}**", ""]
        elif (found := _PAGE.match(line)) and found[2] != "index.md":
            link = f"[{found[1]}]({found[2]})"
            lines += [f"- {link}"] if line.startswith("   ") else ["", f"**{link}**"]
    return "\n".join(lines).strip()
