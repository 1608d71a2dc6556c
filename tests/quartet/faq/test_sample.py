"""The sample must have the properties of a real dump."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from faq.test_dump import XmlFile, read_table
from quartet.datasets.dump import DumpFileDataset
from quartet.datasets.tables import TSVDataset
from quartet.faq.cleaning import clean_text
from quartet.faq.dump import ingest
from quartet.faq.sample import build_dump, build_new_questions
from quartet.faq.settings import DumpSelection
from support import ROOT, real_data


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
    posts, links = (content.splitlines(keepends=True) for content in dump[:2])
    files = (XmlFile("Posts.xml", posts), XmlFile("PostLinks.xml", links))
    return ingest(*files, DumpSelection(tag="javascript"))


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


def summarise_overlap(originals, duplicates):
    """Return mean and quartiles of the Jaccard index of the words of duplicates and originals."""
    words = [
        [set(re.findall(r"\w+", clean_text(text))) for text in table["Text0"]]
        for table in (originals, duplicates)
    ]
    own = dict(zip(originals["AnswerId"], words[0], strict=True))
    pairs = [(own[key], known) for key, known in zip(duplicates["AnswerId"], words[1], strict=True)]
    overlaps = [len(left & right) / len(left | right) for left, right in pairs]
    return np.array([np.mean(overlaps), *np.percentile(overlaps, [25, 50, 75])])


def test_duplicates_share_as_many_words_with_their_originals_as_in_real_sets(ingested):
    travel = (
        DumpFileDataset(filepath=str(real_data("faq/travel_dump") / f"{name}.xml.gz")).load()
        for name in ("Posts", "PostLinks")
    )
    dump = ingest(*travel, DumpSelection(tag="travel", keep_unanswered=True))
    columns = ["Id", "AnswerId", "Text0", "CreationDate"]
    stackfaq = [
        TSVDataset(
            filepath=str(real_data("faq/stackfaq") / f"{name}.tsv.gz"), columns=columns
        ).load()
        for name in ("orig-q", "dup-q")
    ]
    real = [
        summarise_overlap(*stackfaq),
        summarise_overlap(read_table(dump.originals), read_table(dump.duplicates)),
    ]
    sample = summarise_overlap(read_table(ingested.originals), read_table(ingested.duplicates))
    print(f"StackFAQ {real[0].round(3)}, travel {real[1].round(3)}, sample {sample.round(3)}")
    assert (sample > np.min(real, axis=0) - 0.01).all()
    assert (sample < np.max(real, axis=0) + 0.01).all()
