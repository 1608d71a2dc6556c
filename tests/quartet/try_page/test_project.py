"""Texts are displayed as they are, and each visitor of the page gets their own upload."""

import html
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from support import make_workspace

pytest.importorskip("streamlit")

from quartet.try_page.project import escape, open_project

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


def test_projects_opened_at_once_do_not_exchange_their_parameters(tmp_path, monkeypatch):
    monkeypatch.chdir(make_workspace(tmp_path / "project"))
    monkeypatch.setattr("sys.argv", ["page.py"])

    def find_table(number):
        return open_project(sensor_table=f"table{number}.csv").entries["sensor_readings_source"]

    with ThreadPoolExecutor(4) as pool:
        found = [entry["table"] for entry in pool.map(find_table, range(4))]
    assert found == [f"table{number}.csv" for number in range(4)]
