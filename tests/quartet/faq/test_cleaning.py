"""Cleaning must keep the visible text of a post and remove what leaks its original."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.faq.cleaning import clean_text, extract_text, has_banner, normalise_text

BANNER = (
    "<blockquote>\n  <p><strong>Possible Duplicate:</strong><br>\n"
    '  <a href="https://stackoverflow.com/questions/1">What is a closure?</a>  </p>\n</blockquote>'
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Plain Text", "plain text"),
        ("<p>one</p><p>two</p>", "one two"),
        ("<ul><li>one<li>two</ul>", "one two"),
        ("a<br>b", "a b"),
        ("<b>bo</b>ld", "bold"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("use <code>a &lt; b</code> here", "use a < b here"),
        ('see <a href="http://x.y/z">the manual</a>.', "see the manual."),
        ('see <a href="http://x.y/z">http://x.y/z</a> and <a href="/q">this</a>', "see and this"),
        ('<a href="http://a">http://a</a> keep me <a href="http://b">http://b</a>', "keep me"),
        ("look at https://x.y/z?a=b#c now", "look at now"),
        ("<script>alert(1)</script>x<style>p{}</style><!-- y -->z", "x z"),
        ("two  spaces\tand\nlines", "two spaces and lines"),
        ("a < b and b > c", "a < b and b > c"),
        ("ÜBER çà", "über çà"),
        ("", ""),
        ("<p></p>", ""),
        ("nul\x00byte <b>x</b>", "nul byte x"),
    ],
)
def test_words_are_kept_and_markup_is_removed(source, expected):
    assert clean_text(source) == expected


def test_code_can_be_removed():
    source = 'before<pre class="lang-js"><code>var a;\nvar b;</code></pre>after'
    assert clean_text(source) == "before var a; var b; after"
    assert clean_text(source, keep_code=False) == "before after"


@pytest.mark.parametrize(
    "banner",
    [
        BANNER,
        BANNER.replace("blockquote", "div"),
        '<p><strong>Possible Duplicates:</strong> <a href="#">What is a closure?</a></p>',
        '<div>This question already has an answer here: <a href="#">What is a closure?</a></div>',
    ],
)
def test_the_banner_that_names_the_original_is_removed(banner):
    text = f"My title. {banner}\n<p>My own words.</p>"
    assert clean_text(text) == "my title. my own words."
    assert "closure" in clean_text(text, remove_banner=False)
    assert has_banner(text)


def test_a_plain_text_banner_is_removed_up_to_the_end_of_its_sentence():
    assert clean_text("Possible Duplicate: What is a closure? My words") == "my words"


def test_a_quotation_is_not_a_banner():
    text = "<blockquote><p>TypeError: x is undefined</p></blockquote><p>why a duplicate?</p>"
    assert clean_text(text) == "typeerror: x is undefined why a duplicate?"
    assert not has_banner(text)


@given(st.text(max_size=200))
def test_any_text_can_be_cleaned(text):
    cleaned = clean_text(text)
    assert cleaned == " ".join(cleaned.split())
    assert "\x00" not in cleaned or "<" not in text


@given(st.recursive(st.text("ab &<>;", max_size=5), lambda part: st.lists(part, max_size=3)))
def test_any_nesting_of_tags_can_be_cleaned(tree):
    def html(part):
        return part if isinstance(part, str) else f"<p><b>{''.join(map(html, part))}"

    assert isinstance(clean_text(html(tree)), str)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("How do I reset  my PIN?\nIt is LOST.", "How do I reset my PIN? It is LOST."),
        (
            "<p>Is <code>List&lt;String&gt;</code> OK?</p><p>See https://x.y/Z</p>",
            "Is List<String> OK? See https://x.y/Z",
        ),
    ],
)
def test_the_visible_text_is_as_written(source, expected):
    assert extract_text(source) == expected
    assert normalise_text(expected) == clean_text(source)
