"""Extract the visible text of a post from its HTML."""

from __future__ import annotations

import html
import re

from lxml import etree
from lxml.html import HtmlElement, fragment_fromstring

BANNER = re.compile(r"^\s*(this question (already has|has been)\b|possible duplicates?\s*:)", re.I)
"""Start of the notice that Stack Exchange used to show above a duplicate."""
_BANNER_HINT = re.compile(r"possible duplicate|this question (already )?has", re.I)
_BLOCK_TAGS = {"p", "div", "li", "ul", "ol", "br", "hr", "tr", "td", "th", "blockquote", "pre"}
_BLOCK_TAGS |= {f"h{level}" for level in range(1, 7)}
_HIDDEN_TAGS = {"script", "style", "comment"}
_INVALID_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_URL = re.compile(r"\b(?:[a-z][a-z+.-]*://|www\.)\S+", re.I)
_SPACE = re.compile(r"\s+")
_PLAIN_BANNER = re.compile(r"\bpossible duplicates?\s*:[^\n.?!]*[.?!]?", re.I)


def clean_text(text: str, *, remove_banner: bool = True, keep_code: bool = True) -> str:
    """Return the words of a post in lower case, separated by single spaces.

    Tags are removed and entities decoded. A link keeps its text unless that is a URL.

    Args:
        text: HTML or plain text, such as a title followed by a body.
        remove_banner: Remove `Possible Duplicate: …`, which names the original, and its links.
        keep_code: Keep the content of `<pre>` blocks.
    """
    if "<" in text:
        text = _extract_text(text, remove_banner, keep_code)
    else:
        text = html.unescape(text) if "&" in text else text
        if remove_banner and "uplicate" in text:
            text = _PLAIN_BANNER.sub(" ", text)
    if "/" in text or "www" in text:
        text = _URL.sub(" ", text)
    return _SPACE.sub(" ", text).strip().lower()


def has_banner(text: str) -> bool:
    """Return whether a post contains the banner of a duplicate."""
    if not _BANNER_HINT.search(text):
        return False
    return clean_text(text, remove_banner=True) != clean_text(text, remove_banner=False)


def _extract_text(source: str, remove_banner: bool, keep_code: bool) -> str:
    try:
        root = fragment_fromstring(_INVALID_IN_XML.sub(" ", source), create_parent="div")
    except (etree.ParserError, ValueError):  # the source has no content to parse
        return ""
    for element in list(root.iterdescendants()):
        tag = element.tag if isinstance(element.tag, str) else "comment"
        if tag in _BLOCK_TAGS or tag in _HIDDEN_TAGS:
            element.tail = " " + (element.tail or "")
            element.text = " " + (element.text or "")
        if (
            tag in _HIDDEN_TAGS
            or (tag == "pre" and not keep_code)
            or (remove_banner and tag in {"blockquote", "p", "div"} and _is_banner(element))
        ):
            element.drop_tree()
    return str(root.text_content())


def _is_banner(element: HtmlElement) -> bool:
    return BANNER.match(element.text_content()) is not None
