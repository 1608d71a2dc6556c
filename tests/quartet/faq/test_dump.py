"""A dump must be ingested completely; a malformed row must not affect other rows."""

import tracemalloc
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartet.datasets.dump import DumpFileDataset
from quartet.faq import dump_figures, dump_store
from quartet.faq.dump import has_tag, ingest
from quartet.faq.dump_links import resolve_chains
from quartet.faq.dump_rows import RowErrors, parse_rows
from quartet.faq.settings import DumpSelection
from support import real_data

LEFT_OUT = [
    "repeated_links",
    "cyclic_links",
    "duplicates_without_text",
    "duplicates_of_other_tags",
    "duplicates_without_answer",
]


class XmlFile:
    """A file of the dump whose lines are generated on demand."""

    def __init__(self, name, lines):
        self.name = name
        self._lines = lines

    def lines(self):
        return iter(self._lines() if callable(self._lines) else self._lines)


def row(**attributes):
    written = " ".join(f"{name}={quoteattr(str(value))}" for name, value in attributes.items())
    return f"  <row {written} />\r\n".encode()


def question(number, tags="|js|", **others):
    texts = {"Title": f"title {number}", "Body": f"<p>body {number}</p>"}
    return row(Id=number, PostTypeId=1, **{**texts, "Tags": tags, **others})


def answer(number, parent, score=0, **others):
    texts = {"Score": score, "Body": f"answer {number}"}
    return row(Id=number, PostTypeId=2, ParentId=parent, **{**texts, **others})


def link(duplicate, original, kind=3):
    return row(
        Id=9, CreationDate="2020-01-01", PostId=duplicate, RelatedPostId=original, LinkTypeId=kind
    )


def document(kind, *lines):
    return [
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n',
        f"<{kind}>\r\n".encode(),
        *lines,
        f"</{kind}>".encode(),
    ]


def ingest_rows(posts, links, tag="js", **options):
    reading = DumpSelection(tag=tag, **options)
    return ingest(
        XmlFile("Posts.xml", document("posts", *posts)),
        XmlFile("PostLinks.xml", document("postlinks", *links)),
        reading,
    )


def read_table(chunks):
    parts = list(chunks)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def read_pairs(chunks, columns=("Id", "AnswerId")):
    return list(read_table(chunks)[list(columns)].itertuples(index=False, name=None))


def all_links_are_counted(result):
    kept = result.counts["duplicates"]
    left_out = sum(result.counts[name] for name in LEFT_OUT)
    return result.counts["duplicate_links"] == kept + left_out


def test_a_question_is_ingested_as_title_and_body_in_one_line():
    posts = [
        b'<row Id="1" PostTypeId="1" Title="How &amp;amp; why?" Body="&lt;p&gt;one&#xA;two&#x9;'
        b'three&#xD;&#xA;&lt;/p&gt;" CreationDate="2011-06-21T20:49:19.747" Tags="|js|" />\n',
        answer(2, 1, Body="yes&#xA;no\n"),
        question(3),
    ]
    result = ingest_rows(posts, [link(3, 1)])
    (original,) = read_table(result.originals).to_dict("records")
    assert original == {
        "Id": 1,
        "AnswerId": 2,
        "Text0": "How &amp; why?. <p>one two three  </p>",
        "CreationDate": "2011-06-21T20:49:19.747",
    }
    assert read_table(result.duplicates).to_dict("records") == [
        {"Id": 3, "AnswerId": 2, "Text0": "title 3. <p>body 3</p>", "CreationDate": ""}
    ]
    assert "\n" not in read_table(result.answers)["Text0"].item()


def test_a_duplicate_of_a_duplicate_gets_the_original_at_the_end_of_the_chain():
    posts = [question(1), answer(10, 1), question(2), question(3), question(4)]
    result = ingest_rows(posts, [link(2, 1), link(3, 2), link(4, 3)])
    assert read_pairs(result.duplicates) == [(2, 10), (3, 10), (4, 10)]
    assert read_pairs(result.originals) == [(1, 10)]
    assert result.duplicates_per_original.tolist() == [3]


def test_repeated_links_and_those_into_a_cycle_are_dropped_and_counted():
    links = [link(100, 101), link(101, 102), link(102, 100), link(50, 100)]
    posts = [question(number) for number in (1, 2, 50, 100, 101, 102)]
    result = ingest_rows([*posts, answer(10, 1)], [*links, link(2, 1), link(2, 50)])
    assert read_pairs(result.duplicates) == [(2, 10)]
    assert result.counts["cyclic_links"] == 4
    assert result.counts["repeated_links"] == 1
    assert all_links_are_counted(result)


@settings(max_examples=100)
@given(
    links=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=40),
    scale=st.sampled_from([1, 79_000_003, 10**15]),
)
def test_chains_equal_those_of_brute_force(links, scale):
    first = {}
    for duplicate, target in links:
        first.setdefault(duplicate, target)
    expected = {}
    for duplicate in first:
        post, steps = duplicate, 0
        while post in first and steps <= len(first):
            post, steps = first[post], steps + 1
        if post not in first:
            expected[duplicate * scale] = post * scale
    ids = np.array(links, dtype=np.int64) * scale
    found = resolve_chains(ids[:, 0], ids[:, 1])
    assert dict(zip(found.duplicates.tolist(), found.roots.tolist(), strict=True)) == expected
    assert found.total == len(links) == len(expected) + found.repeated + found.cyclic


@pytest.mark.parametrize("tags", ["|js|html|", "<html><js>", "|JS|"])
def test_originals_are_selected_by_tag_and_their_duplicates_regardless_of_tag(tags):
    posts = [
        question(1, tags),
        answer(10, 1),
        question(2, "|python|"),
        question(3, "|node.js|jsp|"),
        answer(30, 3),
        question(4, tags),
    ]
    result = ingest_rows(posts, [link(2, 1), link(4, 3)])
    assert read_pairs(result.originals) == [(1, 10)]
    assert read_pairs(result.duplicates) == [(2, 10)]
    assert result.counts["duplicates_of_other_tags"] == 1
    assert all_links_are_counted(result)


def test_a_tag_does_not_match_part_of_another_tag():
    assert has_tag("|c++|", "c++")
    assert not has_tag("|c++|", "c")
    assert not has_tag("<java><script>", "javascript")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [({"AcceptedAnswerId": 12}, 12), ({}, 11), ({"AcceptedAnswerId": 99}, 11)],
)
def test_the_accepted_answer_comes_first_then_the_best_then_the_oldest(accepted, expected):
    posts = [
        question(1, **accepted),
        answer(10, 1, 2),
        answer(13, 1, 5),
        answer(11, 1, 5),
        answer(12, 1, -3),
        question(2),
        answer(99, 2, 50),
    ]
    result = ingest_rows(posts, [link(2, 1)])
    assert read_pairs(result.originals) == [(1, expected)]
    assert read_pairs(result.answers, ("Id", "Text0")) == [(expected, f"answer {expected}")]


def test_posts_may_come_in_any_order():
    posts = [
        question(1, AcceptedAnswerId=10),
        answer(10, 1),
        answer(11, 1, 7),
        question(2),
        question(3, "|python|"),
        answer(30, 3),
        question(4),
    ]
    links = [link(2, 1), link(4, 3)]
    forwards, backwards = ingest_rows(posts, links), ingest_rows(posts[::-1], links)
    for name in ("originals", "duplicates", "answers"):
        pd.testing.assert_frame_equal(
            read_table(getattr(forwards, name)), read_table(getattr(backwards, name))
        )
    assert read_pairs(backwards.duplicates) == [(2, 10)]
    unstable = ("seconds", "rows_per_s")
    assert {k: v for k, v in forwards.counts.items() if k not in unstable} == {
        k: v for k, v in backwards.counts.items() if k not in unstable
    }


def test_originals_without_answer_are_left_out_unless_asked_for():
    posts = [question(1), answer(10, 1), question(2), question(3), question(4)]
    links = [link(2, 1), link(4, 3)]
    without, kept = ingest_rows(posts, links), ingest_rows(posts, links, keep_unanswered=True)
    assert read_pairs(without.originals) == [(1, 10)]
    assert read_pairs(without.duplicates) == [(2, 10)]
    assert read_pairs(kept.originals) == [(1, 10), (3, -3)]
    assert read_pairs(kept.duplicates) == [(2, 10), (4, -3)]
    assert read_table(kept.answers)["Id"].tolist() == [10]
    assert without.counts["originals_without_answer"] == 1
    assert all_links_are_counted(without)
    assert all_links_are_counted(kept)


def test_texts_missing_from_the_dump_are_counted():
    posts = [question(1), answer(10, 1), question(2), question(4), answer(6, 1, -1)]
    posts += [question(7, Title="", Body=" ")]
    links = [link(2, 1), link(3, 1), link(4, 5), link(6, 1), link(7, 1)]
    result = ingest_rows(posts, links)
    assert read_pairs(result.duplicates) == [(2, 10)]
    assert result.counts["duplicates_without_text"] == 4
    assert all_links_are_counted(result)


def test_a_repeated_post_is_used_once_and_counted():
    posts = [question(1), answer(10, 1), question(2), question(2, Title="again")]
    result = ingest_rows(posts, [link(2, 1)])
    assert read_table(result.duplicates)["Text0"].tolist() == ["title 2. <p>body 2</p>"]
    assert result.counts["repeated_posts"] == 1


def test_links_of_other_types_mark_no_duplicates():
    posts = [question(1), answer(10, 1), question(2), question(3)]
    result = ingest_rows(posts, [link(3, 1, kind=1), link(2, 1), link(3, 1, kind=13)])
    assert read_pairs(result.duplicates) == [(2, 10)]
    assert result.counts["links_read"] == 3


def test_tables_can_be_read_twice():
    result = ingest_rows([question(1), answer(10, 1), question(2)], [link(2, 1)])
    assert read_pairs(result.duplicates) == read_pairs(result.duplicates) == [(2, 10)]


VALID_POSTS = [question(1), answer(10, 1), question(2), question(3)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'  <row Id="5" PostTypeId="1" Title="cut', "the next row begins before it ends"),
        (b'  <row Id="5" PostTypeId="1" Title="a < b" />\n', "not well-formed XML: contains <"),
        (b'  <row Id="2" PostTypeId="1" Title="a &nbsp; b" />\n', "not well-formed XML"),
        (b'  <row Id="2" PostTypeId="1" Title="a" Title="b" />\n', "not well-formed XML"),
        (b'  <row Id="5" PostTypeId="1" Title="caf\xe9" />\n', "is not UTF-8"),
        (b'  <row PostTypeId="1" Title="a" />\n', "has no Id"),
        (b'  <row Id="many" PostTypeId="1" />\n', "Id is not a whole number"),
        (b'  <row Id="1e3" PostTypeId="1" />\n', "Id is not a whole number"),
        (b'  <row Id="12" PostTypeId="2" ParentId="1" Score="?" />\n', "Score is not a whole"),
        (b"  a stray line\n", "is outside any row"),
    ],
)
def test_a_malformed_row_is_reported_with_its_line_and_the_others_are_kept(bad, reason):
    result = ingest_rows([*VALID_POSTS[:2], bad, *VALID_POSTS[2:]], [link(2, 1), link(3, 1)])
    assert read_pairs(result.duplicates) == [(2, 10), (3, 10)]
    (fault,) = result.faults.to_dict("records")
    assert fault["file"] == "Posts.xml"
    assert fault["line"] == 5
    assert reason in fault["reason"]
    assert fault["row"].split()[0] in bad.decode("latin-1")
    assert result.counts["malformed_rows"] == 1
    assert result.counts["posts_read"] == 4


def test_a_malformed_link_is_reported():
    bad = row(Id=1, PostId=2, LinkTypeId=3)
    result = ingest_rows(VALID_POSTS, [bad, link(3, 1)])
    assert read_pairs(result.duplicates) == [(3, 10)]
    assert result.faults["reason"].tolist() == ["has no RelatedPostId"]
    assert result.faults["file"].tolist() == ["PostLinks.xml"]


def test_a_file_that_ends_within_a_row_is_reported():
    posts = XmlFile("Posts.xml", [*VALID_POSTS, b'  <row Id="2" PostTypeId="1" Tit'])
    result = ingest(posts, XmlFile("PostLinks.xml", [link(2, 1)]), DumpSelection(tag="js"))
    assert result.faults["reason"].tolist() == ["the file ends before the row does"]
    assert read_pairs(result.duplicates) == [(2, 10)]


def parse(*lines):
    errors = RowErrors()
    found = [dict(attributes) for attributes in parse_rows(lines, "a.xml", errors)]
    return found, errors


@pytest.mark.parametrize(
    "lines",
    [
        [b'<row Id="1"\n', b'  Body="a\n', b'b"\n', b"/>\n", b'<row Id="2" />'],
        [b"<row\n", b'Id="1" Body="a\n', b'b" />\n', b'<row Id="2" />'],
        [b'<rows><row Id="1" Body="a&#x20;b" /><row Id="2" /></rows>'],
        [b"\xef\xbb\xbf<row Id='1' Body='a b' />\n", b"<row Id = '2' />"],
        [b'<!-- made by hand -->\n<row Id="1" Body="a b"/>\r', b'\n\t<row Id="2"/>\n', b"\n"],
        [b'<row Id="1" Body="a ', b'b" />', b'\n<row Id="2" />\n</posts>\n'],
    ],
)
def test_a_row_may_span_lines_or_share_one(lines):
    found, errors = parse(*lines)
    assert found == [{"Id": "1", "Body": "a b"}, {"Id": "2"}]
    assert errors.malformed_rows.total() == 0
    assert errors.valid_rows["a.xml"] == 2


def test_values_may_contain_the_other_quote_and_the_end_of_a_tag():
    found, _ = parse(b"""<row Id="1" Body='say "hi" /> it&apos;s' Title="it's > 1" />""")
    assert found == [{"Id": "1", "Body": 'say "hi" /> it\'s', "Title": "it's > 1"}]


def test_attributes_in_another_order_are_found():
    posts = [
        row(Title="one", Body="b", Tags="|js|", PostTypeId=1, Id=1),
        b"<row ParentId='1' Score='3' Body='yes' Id='10' PostTypeId='2' />",
        b"<row PostTypeId = '1' Title=\" Id='1' \" Id='2' />",
    ]
    links = [b"<row LinkTypeId = '3' RelatedPostId='1' PostId='2' Id='1' />"]
    result = ingest_rows(posts, links)
    assert read_pairs(result.originals) == [(1, 10)]
    assert read_pairs(result.duplicates) == [(2, 10)]


def test_all_malformed_rows_are_counted_and_the_first_thousand_kept():
    _, errors = parse(b'<row Id="1" />', *[b'<row No="1" />'] * 1500)
    assert errors.malformed_rows["a.xml"] == 1500
    assert len(errors.to_frame()) == 1000


def test_the_report_shows_only_the_start_of_a_malformed_row():
    _, errors = parse(b'<row Id="x" Body="' + "ü".encode() * 1_000_000 + b'" />')
    assert len(errors.to_frame()["row"].item()) == 120


def test_a_row_without_an_end_does_not_exhaust_memory():
    filler = [b"x" * 1_000_000] * 40
    tracemalloc.start()
    found, errors = parse(b'<row Id="1" Body="', *filler, b'<row Id="2" />')
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [{"Id": "2"}]
    assert errors.to_frame()["reason"].tolist() == ["has no end within 16,000,000 bytes"]
    assert peak < 60_000_000


@pytest.mark.parametrize("lines", [[], [b"<posts></posts>"], [b"\0" * 100_000] * 100])
def test_a_file_that_is_not_a_dump_is_rejected_with_its_name(lines):
    with pytest.raises(ValueError, match=r"a\.xml: no <row> in its first .* expected Posts\.xml"):
        parse(*lines)


@pytest.mark.parametrize(
    ("posts", "links", "message"),
    [
        (VALID_POSTS, [link(2, 1, kind=1)], r"PostLinks\.xml: no link of type 3.* 1 rows"),
        (VALID_POSTS, VALID_POSTS, r"PostLinks\.xml: no link of type 3.*is this PostLinks\.xml\?"),
        (VALID_POSTS, [link(77, 78)], r"none of which is in the file; .*of the same dump"),
        ([question(1, "|py|"), question(2)], [link(2, 1)], "none of which has the tag 'js'"),
        ([question(1), question(2)], [link(2, 1)], r"keep_unanswered=true"),
        ([question(1), answer(10, 1)], [link(2, 1)], "tag 'js' have no duplicate in the file"),
    ],
)
def test_a_dump_with_nothing_to_keep_is_rejected_with_the_reason(posts, links, message):
    with pytest.raises(ValueError, match=message):
        ingest_rows(posts, links)


def generate_dump(posts):
    """Return a dump that is generated while it is read; every tenth post is an original."""

    def post_lines():
        body = "word " * 200
        for number in range(1, posts + 1):
            if number % 10 == 2:
                yield answer(number, number - 1, Body=body)
            else:
                yield question(number, Body=body)

    def link_lines():
        for number in range(3, posts + 1, 10):
            yield link(number, number - 2)

    return XmlFile("Posts.xml", post_lines), XmlFile("PostLinks.xml", link_lines)


def measure_peak_memory(posts):
    tracemalloc.start()
    result = ingest(*generate_dump(posts), DumpSelection(tag="js"))
    longest = max(len(chunk) for chunk in result.duplicates)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.counts["duplicates"] == posts // 10
    assert longest == dump_store.CHUNK_ROWS
    return peak


def test_memory_does_not_grow_with_the_dump(monkeypatch):
    monkeypatch.setattr(dump_store, "CHUNK_ROWS", 500)
    small, large = measure_peak_memory(10_000), measure_peak_memory(40_000)
    more_text = (40_000 - 10_000) // 10 * 3 * 1_000
    assert large - small < more_text / 10


@pytest.fixture(scope="module")
def travel():
    """Real questions and links of travel.stackexchange.com, without answers."""
    folder = real_data("faq/travel_dump")
    return [
        DumpFileDataset(filepath=str(folder / f"{name}.xml.gz")).load()
        for name in ("Posts", "PostLinks")
    ]


def elements(file):
    root = ElementTree.fromstringlist(file.lines())
    return [element.attrib for element in root]


def test_every_duplicate_of_a_real_dump_with_texts_is_ingested(travel):
    texts = {post["Id"]: f"{post['Title']}. {post['Body']}" for post in elements(travel[0])}
    target, links = {}, 0
    for entry in elements(travel[1]):
        if entry["LinkTypeId"] == "3":
            links += 1
            target.setdefault(entry["PostId"], entry["RelatedPostId"])
    expected = {}
    for duplicate in target:
        root, passed = duplicate, {duplicate}
        while root in target and target[root] not in passed:
            root = target[root]
            passed.add(root)
        if root not in target and duplicate in texts and root in texts:
            expected[int(duplicate)] = -int(root)
    result = ingest(*travel, DumpSelection(tag="travel", keep_unanswered=True))
    assert result.counts["duplicate_links"] == links == 1404
    assert len(expected) > 1000
    assert dict(read_pairs(result.duplicates)) == expected
    assert {-root for root in expected.values()} == set(read_table(result.originals)["Id"])
    found = read_table(result.duplicates)
    assert found["Id"].is_monotonic_increasing
    for number, text in zip(found["Id"], found["Text0"], strict=True):
        assert text.split() == texts[str(number)].split()
    assert all_links_are_counted(result)


@pytest.mark.parametrize("per_original", [[1], [1, 1, 2], [3, 1, 700]])
def test_the_figure_counts_every_original(per_original):
    counts = dict.fromkeys(
        [*dump_figures._READ, *dump_figures._LEFT_OUT, *dump_figures._KEPT], 1_234
    )
    figure = dump_figures.plot_ingested_duplicates(np.array(per_original), counts, "js")
    curve, points = figure.axes
    (line,) = curve.lines
    at_least = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
    assert at_least == {n: sum(count >= n for count in per_original) for n in (1, *per_original)}
    assert [text.get_text() for text in points.texts] == ["1,234"] * 11
    assert not curve.patches  # no bars on logarithmic axes
    assert not points.patches
    figure.canvas.draw()


@pytest.mark.parametrize(("rows", "pages"), [(1, 6), (1_000, 12)])
def test_a_full_disk_is_reported_with_its_folder(monkeypatch, rows, pages):
    limit = f"PRAGMA max_page_count = {pages};" + dump_store._CREATE_TABLES
    monkeypatch.setattr(dump_store, "_CREATE_TABLES", limit)
    monkeypatch.setenv("SQLITE_TMPDIR", "/scratch")
    posts = [question(number, Body="x" * 1_000) for number in range(1, 2 * rows + 1)]
    links = [link(rows + number, number) for number in range(1, rows + 1)]
    message = r"^/scratch: the temporary file with the posts .*disk is full\); free disk space"
    with pytest.raises(ValueError, match=message):
        ingest_rows(posts, links)
