"""Code and texts use one name for one thing: the term of the field."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

from support import ROOT

PLACES = (
    *("README.md", "Makefile", "Dockerfile*", "compose.yaml", "pyproject.toml", ".ci", ".github"),
    *("conf", "docs", "infra", "notebooks", "src", "starter", "tests"),
)
THIS = "tests/repository/test_language.py"
"""This file, whose examples are of rejected words."""
EXCEPTIONS = {
    (
        "docs/generators/commands.py",
        "pieces",
    ): "click's method collect_usage_pieces, and its result",
}
"""By file and word: why it is right there."""


def rejected_words() -> list[str]:
    """Return the words of the second column of the vocabulary in CONTRIBUTING.md."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("\n## Vocabulary\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .+ \| (.+) \|$", section, flags=re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def pattern_of(words: list[str]) -> re.Pattern[str]:
    """Return a pattern of the words as parts of identifiers or of sentences; … is any ending."""
    parts = (re.escape(word.removesuffix("…")).replace(r"\ ", r"\s+") for word in words)
    ends = ("" if word.endswith("…") else "(?![a-z])" for word in words)
    alternatives = "|".join(map("".join, zip(parts, ends, strict=True)))
    return re.compile(rf"(?<![a-z])(?:{alternatives})", re.IGNORECASE)


def occurrences(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Yield line and word of each match; humps of CamelCase count as separate words."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    for match in pattern.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].lower().split())


def test_code_and_texts_use_the_words_of_the_vocabulary() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *PLACES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    pattern = pattern_of(rejected_words())
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        if name == THIS or not (ROOT / name).is_file():
            continue
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and other binary files
        for line, word in occurrences(text, pattern):
            if (name, word) not in EXCEPTIONS:
                found.append(f"{name}:{line}: {word}")
    assert found == [], "see Vocabulary in CONTRIBUTING.md"


def test_rejected_words_are_found_in_identifiers_and_sentences() -> None:
    assert len(rejected_words()) > 30
    pattern = pattern_of(["told", "restyl…", "say it", "bank"])
    text = "class ToldList:\n  x_told = RESTYLED\n# Untold banks\n# say\n  it\n"
    assert list(occurrences(text, pattern)) == [
        (1, "told"),
        (2, "told"),
        (2, "restyl"),
        (4, "say it"),
    ]
