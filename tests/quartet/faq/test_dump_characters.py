"""A character that XML forbids must not lose a post, or the duplicates of an original."""

import io

import pytest

from faq.test_dump import (
    XmlFile,
    answer,
    document,
    ingest_rows,
    link,
    question,
    read_pairs,
    read_table,
)
from quartet.faq.dump import ingest
from quartet.faq.dump_figures import plot_ingested_duplicates
from quartet.faq.settings import DumpSelection

LINKS = [link(2, 1), link(3, 1)]


def original(body: bytes) -> bytes:
    return b'  <row Id="1" PostTypeId="1" Title="one" Body="' + body + b'" Tags="|js|" />\n'


@pytest.mark.parametrize(
    "character",
    [
        b"&#x1F;",
        b"&#0;",
        b"&#x0000B;",
        b"&#xD800;",
        b"&#xFFFF;",
        b"&#x110000;",
        b"&#999999999999;",
        b"\x1f",
        b"\x00",
        b"\xef\xbf\xbf",
    ],
)
def test_forbidden_character_is_replaced_and_counted(character: bytes) -> None:
    posts = [original(b"be" + character + b"fore"), answer(10, 1), question(2), question(3)]
    result = ingest_rows(posts, LINKS)
    assert read_pairs(result.originals) == [(1, 10)]
    assert read_pairs(result.duplicates) == [(2, 10), (3, 10)]
    assert read_table(result.originals)["Text0"].item() == "one. be\ufffdfore"
    assert result.counts["replaced_characters"] == 1
    assert result.counts["malformed_rows"] == 0
    assert result.faults.empty


def test_allowed_references_of_a_row_with_a_forbidden_one_are_decoded() -> None:
    body = b"&#x1F;&#13;&#x26;&amp;&#128512;&#0;"
    posts = [original(body), answer(10, 1), question(2), question(3)]
    result = ingest_rows(posts, LINKS)
    assert read_table(result.originals)["Text0"].item() == "one. \ufffd &&\U0001f600\ufffd"
    assert result.counts["replaced_characters"] == 2


def test_a_post_of_more_than_ten_megabytes_is_kept() -> None:
    posts = [original(b"x" * 11_000_000), answer(10, 1), question(2), question(3)]
    result = ingest_rows(posts, LINKS)
    assert len(read_table(result.originals)["Text0"].item()) == 11_000_005


def test_counts_of_each_file_are_checked_before_anything_else() -> None:
    """Without reasons, a file of which no row is valid would be taken for one without links."""
    checked = []

    def check(name, accepted, rejected, example):
        checked.append((name, accepted, rejected, example))
        raise ValueError("too few")

    bad = [link(number, 1).replace(b'"1"', b'"one"') for number in range(2, 5)]
    files = [XmlFile("Posts.xml", []), XmlFile("PostLinks.xml", document("postlinks", *bad))]
    with pytest.raises(ValueError, match="too few"):
        ingest(*files, DumpSelection(tag="js"), check)
    (name, accepted, rejected, example), *others = checked
    assert (name, accepted, rejected) == (
        "PostLinks.xml",
        0,
        {"RelatedPostId is not a whole number": 3},
    )
    assert example.startswith("line 3: <row Id=")
    assert not others


def test_tag_with_dollar_signs_is_shown_as_it_is() -> None:
    result = ingest_rows(
        [question(1, "|$\\frac{$|"), answer(10, 1), question(2)], [link(2, 1)], "$\\frac{$"
    )
    counts = result.counts
    figure = plot_ingested_duplicates(result.duplicates_per_original, counts, "$\\frac{$")
    figure.savefig(io.BytesIO())
