"""Extract the visible text of a post from its HTML, and normalise it for comparisons."""

from __future__ import annotations

import html
import re

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, fragment_fromstring

from quartet.faq.markup import BLOCK_TAGS, reduce_markup

_BANNER = re.compile(r"^\s*(this question (already has|has been)\b|possible duplicates?\s*:)", re.I)
"""Start of the notice that Stack Exchange used to show above a duplicate."""
_BANNER_HINT = re.compile(r"possible duplicate|this question (already )?has", re.I)
_INVALID_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
# The length of the scheme is limited, as the time would otherwise grow with that of a word squared.
_URL = re.compile(r"\b(?:[a-z][a-z+.-]{0,60}://|www\.)\S+", re.I)
_SPACE = re.compile(r"\s+")
# In plain text the banner ends with the sentence, the title of the original.
_PLAIN_BANNER = re.compile(r"\bpossible duplicates?\s*:[^\n.?!]*[.?!]?", re.I)


def clean_text(text: str, *, remove_banner: bool = True, keep_code: bool = True) -> str:
    """Return the words of a post in lower case, separated by single spaces.

    Tags are removed and entities decoded. A link keeps its text unless that is a URL. What only
    looks like a tag, such as `a<b` or `List<String>`, is text; see `quartet.faq.markup`.

    Args:
        text: HTML or plain text, such as a title followed by a body.
        remove_banner: Remove `Possible Duplicate: …`, which names the original, and its links.
        keep_code: Keep the content of `<pre>` blocks.
    """
    return normalise_text(extract_text(text, remove_banner=remove_banner, keep_code=keep_code))


def extract_text(text: str, *, remove_banner: bool = True, keep_code: bool = True) -> str:
    """Return the visible text of a post as written, with single spaces; arguments as above."""
    markup = reduce_markup(text) if "<" in text else None
    if markup is not None:
        text = _parse_markup(markup, remove_banner, keep_code)
    else:
        text = html.unescape(text) if "&" in text else text
        if remove_banner and "uplicate" in text:  # quicker than the pattern, for most texts
            text = _PLAIN_BANNER.sub(" ", text)
    return _SPACE.sub(" ", text).strip()


def normalise_text(text: str) -> str:
    """Return a visible text in lower case and without URLs, as it is compared."""
    if "/" in text or "www" in text:
        text = _SPACE.sub(" ", _URL.sub(" ", text)).strip()
    return text.lower()


def has_banner(text: str) -> bool:
    """Return whether a post contains the banner of a duplicate."""
    if not _BANNER_HINT.search(text):
        return False
    return clean_text(text, remove_banner=True) != clean_text(text, remove_banner=False)


def _parse_markup(markup: str, remove_banner: bool, keep_code: bool) -> str:
    """Return the text of HTML that `reduce_markup` returned."""
    # Without `huge_tree` the parser drops texts of more than 10 MB.
    parser = HTMLParser(huge_tree=True)
    try:
        root = fragment_fromstring(
            _INVALID_IN_XML.sub(" ", markup), create_parent="div", parser=parser
        )
    except (etree.ParserError, ValueError):  # the source has no content to parse
        return ""
    for element in list(root.iterdescendants()):
        tag = element.tag
        if tag in BLOCK_TAGS:
            element.tail = " " + (element.tail or "")
            element.text = " " + (element.text or "")
        if (tag == "pre" and not keep_code) or (
            remove_banner and tag in {"blockquote", "p", "div"} and _is_banner(element)
        ):
            element.drop_tree()
    return str(root.text_content())


def _is_banner(element: HtmlElement) -> bool:
    return _BANNER.match(element.text_content()) is not None
