"""Words between `<` and `>` must not be lost, and no size or depth of HTML may lose a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.faq.cleaning import clean_text
from quartet.faq.dump import format_question
from quartet.faq.markup import escape_plain

PLAIN = [
    "What is the difference between <section> and <article>?",
    "What is the difference between <b> and <strong>?",
    "Why does if (i<limit) stop my loop early",
    "Why is a<b false?",
    "if (a<b && b>c) return",
    "How do I sort a List<String> or a Map<String, List<Integer>>?",
    "React.FC<Props> or Component<P, S>?",
    "std::vector<a> and Array<Object>",
    "undefined reference with #include <stdio.h>",
    "Is </section> needed?",
    'Why does <input type="text"> not submit?',
    "How do I write <!-- a comment --> in a page?",
    "Is <!DOCTYPE html> needed, and <?php ?>",
    "Where do I put the <script> tag?",
    "Why does the <br> tag not work?",
    "I <3 arrows <- and -> and <=>",
    "< and > and <> and << and >>",
]


def lower(text: str) -> str:
    return " ".join(text.lower().split())


def test_plain_text_keeps_all_its_words() -> None:
    assert [clean_text(text) for text in PLAIN] == [lower(text) for text in PLAIN]


PAIRED = ["What is <b>x</b> good for?", "How do I nest <div></div>?", "one<br>two", "<p>one<p>two"]
REFERENCES = ["How do I replace &nbsp; by a space?", "Is &lt; the same as &#60;?", "Q & A & more"]


def test_title_of_a_dump_keeps_all_its_words_before_an_html_body() -> None:
    body = '<p>Use <code>List&lt;String&gt;</code><br>or <a href="http://x.y">this</a>.</p>'
    for title in (*PLAIN, *PAIRED, *REFERENCES):
        text = format_question({"Title": title, "Body": body})
        assert clean_text(text) == f"{lower(title)}. use list<string> or this."


@given(st.text("ab <>/;=!-\"'#pbrulitxscom"))
def test_any_plain_text_survives_as_a_title(title: str) -> None:
    cleaned = clean_text(f"{escape_plain(title)} <p>x</p>", remove_banner=False)
    assert cleaned == lower(f"{title} x")


def test_title_without_tags_stays_as_it_is() -> None:
    for title in ("AT&T < 24 hrs <-> CAD", "How &amp; why?", "a&b;c"):
        assert escape_plain(title) == title


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>a<b and c>d</p>", "a<b and c>d"),
        ("<p>Use List<String> and <T>.</p>", "use list<string> and <t>."),
        ("<p>x</p><custom-element>y</custom-element>", "x <custom-element>y</custom-element>"),
        ("<P CLASS='x'>one</P><BR/><Em>two</eM>", "one two"),
        ('<p>cut <a href="http://x.y/z">link', "cut link"),
        ("<p>one</p><section>two</section>", "one two"),
        ("<dl><dt>one<dd>two</dl>", "one two"),
        ("<p>a</p><!-- hidden <b>x</b> -->b<script>if (a<b) {}</script>c", "a b c"),
        ("<p>a</p><!-- not closed", "a <!-- not closed"),
        ("<p>a</p> the <script> tag", "a the <script> tag"),
        ("<!DOCTYPE html><html><head><title>T</title></head><body>x</body></html>", "t x"),
    ],
)
def test_only_known_elements_of_an_html_body_are_tags(body: str, expected: str) -> None:
    assert clean_text(body) == expected


@pytest.mark.parametrize("tag", ["b", "p", "ul"])
@pytest.mark.parametrize("depth", [255, 256, 20_000])
def test_deeply_nested_html_keeps_its_words(tag: str, depth: int) -> None:
    nested = f"before {f'<{tag}>' * depth}inside{f'</{tag}>' * depth} after"
    assert clean_text(nested) == "before inside after"


def test_huge_attributes_and_texts_keep_the_words() -> None:
    size = 11_000_000
    assert clean_text(f'<p title="{"x" * size}">one <b>two</b></p>') == "one two"
    assert len(clean_text(f"<p>{'y' * size}</p>")) == size


PARTS = ["a.", "/ a-", "<", "<!--", "-->", "<script>", "<b>", "</b>", "<p>", '<a b="', "<p x=1 "]


@pytest.mark.parametrize("part", PARTS)
def test_time_grows_with_the_length_of_a_text_only(part: str) -> None:
    """With quadratic time this test would take hours."""
    assert isinstance(clean_text("/ " + part * 50_000), str)
    assert isinstance(clean_text("<p>x</p>" + part * 50_000), str)
