"""The sample must have the properties of a real dump."""

import html
import re
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml

from quartet.faq.cleaning import has_banner
from quartet.faq.dump import ingest
from quartet.faq.sample import build_dump, build_new_questions
from quartet.faq.settings import DumpReading
from support import ROOT


class Xml:
    def __init__(self, name, content):
        self.name, self.content = name, content

    def lines(self):
        return iter(self.content.splitlines(keepends=True))


@pytest.fixture(scope="module")
def entries():
    files = sorted((ROOT / "data/01_raw/faq_sample").glob("*.yml"))
    return [entry for file in files for entry in yaml.safe_load(file.read_text())]


@pytest.fixture(scope="module")
def dump(entries):
    return build_dump(entries)


@pytest.fixture(scope="module")
def posts(dump):
    return [element.attrib for element in ElementTree.fromstring(dump[0])]


@pytest.fixture(scope="module")
def links(dump):
    return [element.attrib for element in ElementTree.fromstring(dump[1])]


@pytest.fixture(scope="module")
def ingested(dump):
    files = (Xml("Posts.xml", dump[0]), Xml("PostLinks.xml", dump[1]))
    return ingest(*files, DumpReading(tag="javascript"))


def read_table(chunks):
    return pd.concat(list(chunks), ignore_index=True)


def test_the_same_entries_give_the_same_bytes(entries, dump):
    assert build_dump(entries) == dump


def test_every_entry_is_ingested_with_its_answer_and_all_its_duplicates(entries, ingested):
    def words(text):
        return " ".join(text.split())

    originals, duplicates = read_table(ingested.originals), read_table(ingested.duplicates)
    answers = read_table(ingested.answers).set_index("Id")["Text0"]
    assert len(originals) == len(entries) == 64
    for entry in entries:
        (place,) = originals.index[originals["Text0"].str.startswith(f"{entry['title']}. ")]
        answer = originals["AnswerId"][place]
        assert words(answers[answer]) == words(entry["answer"])
        own = duplicates["Text0"][duplicates["AnswerId"] == answer]
        assert len(own) == len(entry["duplicates"])
        for duplicate in entry["duplicates"]:
            body = words(duplicate["body"])
            starts = own.str.startswith(f"{duplicate['title']}. ")
            assert own[starts].map(words).str.endswith(body).any()


def test_posts_of_another_tag_and_other_links_are_ignored(posts, links, ingested):
    assert sum("<python>" in post.get("Tags", "") for post in posts) >= 2
    assert {link["LinkTypeId"] for link in links} == {"1", "3"}
    assert ingested.counts["duplicates_of_other_tags"] >= 1
    assert ingested.counts["malformed_rows"] == 0
    assert not read_table(ingested.originals)["Text0"].str.contains("Python", regex=False).all()


def test_some_duplicates_are_duplicates_of_duplicates(links):
    target = {link["PostId"]: link["RelatedPostId"] for link in links if link["LinkTypeId"] == "3"}
    chained = sum(root in target for root in target.values())
    assert 0.05 < chained / len(target) < 0.15


def test_every_fifth_duplicate_has_the_banner_of_its_link(posts, links):
    titles = {post["Id"]: post["Title"] for post in posts if "Title" in post}
    target = {link["PostId"]: link["RelatedPostId"] for link in links if link["LinkTypeId"] == "3"}
    banners = 0
    for post in posts:
        if "Possible Duplicate" not in post["Body"]:
            continue
        banners += 1
        banner = re.match(
            r"<blockquote>\n  <p><strong>Possible Duplicate:</strong><br>\n"
            r'  <a href="https://stackoverflow\.com/questions/(\d+)">(.*)</a>  </p>\n'
            r"</blockquote>\n\n",
            post["Body"],
        )
        assert banner[1] == target[post["Id"]]
        assert html.unescape(banner[2]) == titles[banner[1]]
        assert has_banner(f"{post['Title']}. {post['Body']}")
    assert 0.15 < banners / len(target) < 0.25


def test_ids_and_dates_ascend_as_in_a_real_dump(posts, links):
    for rows in (posts, links):
        assert [int(row["Id"]) for row in rows] == sorted({int(row["Id"]) for row in rows})
        dates = [row["CreationDate"] for row in rows]
        assert dates == sorted(dates)
    dated = {post["Id"]: post["CreationDate"] for post in posts}
    for post in posts:
        if "ParentId" in post:
            assert dated[post["ParentId"]] < post["CreationDate"]


def test_titles_are_escaped_for_xml_only(entries, dump, posts):
    titles = {post["Title"] for post in posts if "Title" in post}
    assert {entry["title"] for entry in entries} <= titles
    assert b"&amp;quot;" not in b"".join(re.findall(rb' Title="[^"]*"', dump[0]))
    assert all(row.startswith(b"  <row Id=") for row in dump[0].split(b"\r\n")[2:-1])


def test_new_questions_are_not_in_the_dump(entries, posts):
    asked = build_new_questions(entries)
    assert list(asked.columns) == ["Id", "Title", "Body"]
    assert len(asked) == sum(len(entry.get("asked") or ()) for entry in entries)
    assert asked["Id"].min() > max(int(post["Id"]) for post in posts)
    assert asked["Id"].is_unique
    assert not set(asked["Title"]) & {post.get("Title") for post in posts}
