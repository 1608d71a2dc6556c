"""Tell the tags of an HTML body from text that only looks like them.

A text may be HTML, or plain text with `a<b`, `List<String>` or the name of an element,
`<section>`. No schema says which, so tags are recognised by how authors write them. Only names
of HTML elements are tags, and of these

- start tags whose end tag follows, and that end tag;
- in a text with such a pair, also tags with attributes, and those of elements that need no
  end tag, such as `<br>` and `<p>`.

A text without a pair is HTML only if `<br>`, `<hr>`, `<p>` or `<li>` is attached to a word, as
in `one<br>two`, or if there is nothing but such tags. Everything else is text.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Sequence


def _split(names: str) -> frozenset[str]:
    """Return names of elements as a set."""
    return frozenset(names.split())


BLOCK_TAGS = _split("p div li ul ol br hr tr td th blockquote pre h1 h2 h3 h4 h5 h6")
"""Elements that separate words, and that matter to what is removed."""
MAX_DEPTH = 200
"""Nested blocks that are kept; libxml2 fails at 256. Deeper ones only separate words."""
_SEPARATING_TAGS = _split(
    "address article aside body button caption center dd details dialog dir dl dt fieldset "
    "figcaption figure footer form frameset header hgroup html legend main menu nav optgroup "
    "option search section select summary table tbody textarea tfoot thead title"
)
_INLINE_TAGS = _split(
    "a abbr acronym applet area audio b base basefont bdi bdo big canvas cite code col colgroup "
    "data datalist del dfn em embed font frame head i iframe img input ins kbd label link map mark "
    "math meta meter noframes noscript object output param picture progress q rp rt ruby s samp "
    "slot small source span strike strong sub sup svg template time track tt u var video "
    "wbr"
)
_HIDDEN_TAGS = frozenset(["script", "style", _COMMENT := "!--"])
_UNCLOSED_TAGS = _split(
    "br hr wbr p li dt dd tr td th thead tbody tfoot colgroup rt rp html head body"
)
"""Elements that are written without an end tag, and without attributes."""
_ATTRIBUTE = r"""[^\s"'<>/=]++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'=<>`]++))"""
# Attributes without a value.
_FLAG = r"(?:allowfullscreen|async|autofocus|autoplay|checked|controls|defer|disabled|hidden|loop|"
_FLAG += r"multiple|muted|nofollow|nowrap|open|readonly|required|reversed|selected)(?=[\s/>])"
_NAMES = "|".join(
    # Longer names first, as `b` begins `br`.
    sorted(
        BLOCK_TAGS | _SEPARATING_TAGS | _INLINE_TAGS | _HIDDEN_TAGS - {_COMMENT},
        key=lambda name: (-len(name), name),
    )
)
_CANDIDATE = re.compile(
    rf"<!--|(?P<comment_end>-->)|(?P<doctype><!doctype\s[^<>]*+>)"
    rf"|<(?P<end>/)?(?P<name>{_NAMES})(?![\w:.-])"
    rf"(?P<attributes>(?:\s*+(?:{_ATTRIBUTE}|{_FLAG}))*+)\s*+/?\s*+>",
    re.I,
)
_REFERENCE = re.compile(r"&#?\w+;")
_TAG_START = re.compile(r"<(?=[a-z/!?])", re.I)


def escape_plain(text: str) -> str:
    """Return a plain text, such as a title, for use in HTML.

    Only what a reader of HTML would take for a tag or a character reference is escaped, so
    that most texts stay as they are. `&amp;` is left, since old data dumps encode ampersands.
    """
    return _TAG_START.sub("&lt;", _REFERENCE.sub(_escape_reference, text))


def _escape_reference(match: re.Match[str]) -> str:
    reference = match[0]
    is_literal = html.unescape(reference) in (reference, "&")
    return reference if is_literal else f"&amp;{reference[1:]}"


def reduce_markup(source: str) -> str | None:
    """Return HTML with the bare tags of blocks only; None if the text has no tags.

    Comments, scripts and style sheets are removed, and tags that do not affect the text.
    Every `<` that is not of a tag is escaped.
    """
    candidates = [_Candidate(match) for match in _CANDIDATE.finditer(source)]
    ends = _pair_tags(candidates)
    has_pair = any(candidates[start].name != _COMMENT for start in ends)
    if not (has_pair or _is_unpaired_html(source, candidates)):
        return None
    paired = ends.keys() | ends.values()
    parts, position, depth = [], 0, 0
    for index, candidate in enumerate(candidates):
        if candidate.start < position or not (index in paired or candidate.is_markup):
            continue
        parts.append(source[position : candidate.start].replace("<", "&lt;"))
        position = candidate.stop
        if candidate.name in _HIDDEN_TAGS and index in ends:
            parts.append(" ")
            position = candidates[ends[index]].stop
            continue
        tag, depth = _reduce_tag(candidate, depth)
        parts.append(tag)
    parts.append(source[position:].replace("<", "&lt;"))
    return "".join(parts)


class _Candidate:
    """What may be a tag.

    Attributes:
        name: The element in lower case; `!--` for the start or end of a comment.
        is_end: Whether it is an end tag.
        is_markup: Whether it is markup in HTML even if it is not part of a pair.
    """

    __slots__ = ("is_end", "is_markup", "name", "start", "stop")

    def __init__(self, match: re.Match[str]) -> None:
        self.start, self.stop = match.span()
        self.is_end = bool(match["end"] or match["comment_end"])
        if match["name"]:
            self.name = match["name"].lower()
            self.is_markup = self.name in _UNCLOSED_TAGS or bool(match["attributes"])
        else:
            self.is_markup = bool(match["doctype"])
            self.name = "!doctype" if self.is_markup else _COMMENT


def _pair_tags(candidates: Sequence[_Candidate]) -> dict[int, int]:
    """Return the index of the end tag of each start tag that is closed."""
    ends: dict[int, int] = {}
    started: dict[str, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        open_tags = started[candidate.name]
        if not candidate.is_end:
            open_tags.append(index)
        elif open_tags:
            ends[open_tags.pop()] = index
    return ends


def _is_unpaired_html(source: str, candidates: Sequence[_Candidate]) -> bool:
    """Return whether a text without a pair of tags is HTML."""
    if any(_is_attached(source, candidate) for candidate in candidates):
        return True
    tags = [candidate for candidate in candidates if candidate.name in _UNCLOSED_TAGS]
    return bool(tags) and sum(tag.stop - tag.start for tag in tags) == len("".join(source.split()))


def _is_attached(source: str, tag: _Candidate) -> bool:
    """Return whether a tag without a pair is attached to a word as only markup is."""
    before, after = source[max(0, tag.start - 1) : tag.start], source[tag.stop : tag.stop + 1]
    if tag.name in {"br", "hr"}:
        return before.isalnum() or before in set(".?!:,;") or after.isalnum()
    is_start = tag.name in {"p", "li"} and not tag.is_end
    return is_start and after.isalnum() and not before.isalnum()


def _reduce_tag(tag: _Candidate, depth: int) -> tuple[str, int]:
    """Return what replaces a tag, and the number of open blocks after it."""
    if tag.name in _INLINE_TAGS:
        return "", depth
    if tag.name not in BLOCK_TAGS:
        return " ", depth
    if tag.name in {"br", "hr"}:
        return f"<{tag.name}>", depth
    if tag.is_end:
        return (f"</{tag.name}>" if depth <= MAX_DEPTH else " "), max(0, depth - 1)
    return (f"<{tag.name}>" if depth < MAX_DEPTH else " "), depth + 1
