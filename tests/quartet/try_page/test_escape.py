"""Questions, answers and messages must be displayed as they are, whatever they contain."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

pytest.importorskip("streamlit")

from quartet.try_page.project import escape

LINES = st.text("ab1 *_[]()<>#+-.!|~$&;:\\{}=@\"'/?^%,", min_size=1).map(str.strip)


def render(markdown):
    """Return what a browser displays of Markdown, and the code in it."""
    page = MarkdownIt("commonmark").render(markdown)
    code = [html.unescape(each) for each in re.findall("<code>(.*?)</code>", page)]
    return html.unescape(re.sub("<[^>]*>", "", page)).strip("\n"), code


@given(LINES)
def test_a_text_is_displayed_as_it_is(text):
    assert render(escape(text)) == (text, [])


def test_a_command_in_backticks_is_displayed_as_code():
    message = "model_a: no version; run `kedro run --pipelines faq_tuning` first"
    assert render(escape(message)) == (
        message.replace("`", ""),
        ["kedro run --pipelines faq_tuning"],
    )


def test_a_single_backtick_is_kept():
    assert render(escape("a ` b_c_")) == ("a ` b_c_", [])
