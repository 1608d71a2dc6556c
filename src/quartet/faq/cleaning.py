"""From the HTML of a post to the words that a person reads."""

from __future__ import annotations

import html
import re

from lxml import etree
from lxml.html import HtmlElement, fragment_fromstring

BANNER = re.compile(r"^\s*(this question (already has|has been)\b|possible duplicates?\s*:)", re.I)
"""How the notice begins that Stack Exchange used to put above a duplicate."""
_BANNER_HINT = re.compile(r"possible duplicate|this question (already )?has", re.I)
_BLOCKS = {"p", "div", "li", "ul", "ol", "br", "hr", "tr", "td", "th", "blockquote", "pre"}
_BLOCKS |= {f"h{level}" for level in range(1, 7)}
_UNSEEN = {"script", "style", "comment"}
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_URL = re.compile(r"\b(?:[a-z][a-z+.-]*://|www\.)\S+", re.I)
_SPACE = re.compile(r"\s+")
_PLAIN_BANNER = re.compile(r"\bpossible duplicates?\s*:[^\n.?!]*[.?!]?", re.I)


def clean_text(text: str, *, remove_banner: bool = True, keep_code: bool = True) -> str:
    """Words of a post: lower case, one space between them.

    Tags go and entities are read; a link keeps its words unless they are an
    address; blocks of code stay if `keep_code`; the banner of a duplicate, which
    names the original, goes if `remove_banner`.

    Args:
        text: HTML or plain text, such as a title followed by a body.
        remove_banner: Remove `Possible Duplicate: …` and its links.
        keep_code: Keep what stands between `<pre>` and `</pre>`.
    """
    if "<" in text:
        text = _text_of(text, remove_banner, keep_code)
    else:
        text = html.unescape(text) if "&" in text else text
        if remove_banner and "uplicate" in text:
            text = _PLAIN_BANNER.sub(" ", text)
    if "/" in text or "www" in text:
        text = _URL.sub(" ", text)
    return _SPACE.sub(" ", text).strip().lower()


def has_banner(text: str) -> bool:
    """Whether a post carries the banner of a duplicate."""
    if not _BANNER_HINT.search(text):
        return False
    return clean_text(text, remove_banner=True) != clean_text(text, remove_banner=False)


def _text_of(source: str, remove_banner: bool, keep_code: bool) -> str:
    try:
        root = fragment_fromstring(_readable(source), create_parent="div")
    except (etree.ParserError, ValueError):  # nothing in it that could be parsed
        return ""
    for element in list(root.iterdescendants()):
        tag = element.tag if isinstance(element.tag, str) else "comment"
        if tag in _BLOCKS or tag in _UNSEEN:
            element.tail = " " + (element.tail or "")
            element.text = " " + (element.text or "")
        if (
            tag in _UNSEEN
            or (tag == "pre" and not keep_code)
            or (remove_banner and tag in {"blockquote", "p", "div"} and _is_banner(element))
        ):
            element.drop_tree()
    return str(root.text_content())


def _is_banner(element: HtmlElement) -> bool:
    return BANNER.match(element.text_content()) is not None


def _readable(source: str) -> str:
    """The source less the characters that no document may hold."""
    return _FORBIDDEN.sub(" ", source)
