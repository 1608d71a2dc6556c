"""From a Stack Exchange data dump to the three tables of a FAQ, in memory that does not grow.

A dump may be larger than any disk cache, so it is read once from front to back: the
links first, of which only numbers are kept, then the posts. Texts of posts that may be
needed wait in a temporary file until it is known which answer an original gets.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.faq.dump_links import Links, read_links
from quartet.faq.dump_rows import Faults, rows
from quartet.faq.dump_store import PostStore, Table
from quartet.faq.settings import DumpReading

_HEAD = re.compile(
    rb"""<row\s+Id=["'](\d{1,18})["']\s+PostTypeId=["'](\d+)["']"""
    rb"""(?:\s+ParentId=["'](\d{1,18})["'])?"""
)
_QUESTION, _ANSWER = "1", "2"
_ROOT, _LINKED = 1, 2
_UNSEEN, _TAGGED, _OTHER_TAG = 0, 1, 2
_CELLS = 8
"""Cells of the sieve for each duplicate, at least: few other posts share one and need a search."""
_ONE_LINE = str.maketrans(dict.fromkeys("\t\n\v\f\r\x85\u2028\u2029", " "))


class DumpXml(Protocol):
    """A file of the dump."""

    @property
    def name(self) -> str:
        """What errors and reports call it."""

    def lines(self) -> Iterable[bytes]:
        """Its bytes, unpacked, in pieces no longer than a line."""


@dataclass(frozen=True)
class Ingested:
    """The three tables, and how they came about.

    Attributes:
        originals: `Id`, `AnswerId`, `Text0`, `CreationDate`, ascending by `Id`. Without an
            answer, `AnswerId` is minus the `Id`.
        duplicates: The same columns; `AnswerId` is the original's.
        answers: `Id` and `Text0`, ascending by `Id`, one for each original that has one.
        faults: Rows left out: `file`, `line`, `reason`, `row`; the first thousand.
        duplicates_per_original: Shape (originals,).
        counts: What was read, kept and left out.
    """

    originals: Table
    duplicates: Table
    answers: Table
    faults: pd.DataFrame
    duplicates_per_original: NDArray[np.int64]
    counts: dict[str, float]


def ingest(posts: DumpXml, post_links: DumpXml, reading: DumpReading) -> Ingested:
    """Originals with the tag, their duplicates whatever their tags, and one answer each.

    The answer is the accepted one, or that with the highest score, of equals the one
    with the lowest Id.

    Raises:
        ValueError: A file is no dump, or nothing in it is left to keep; says why.
    """
    start = time.perf_counter()
    faults = Faults()
    links = read_links(post_links.lines(), post_links.name, faults)
    store = PostStore()
    tags = _read_posts(posts, links, reading.tag, store, faults)
    missing = store.choose(reading.keep_unanswered)
    counts = _counts(links, tags, store, missing)
    _refuse_nothing(posts.name, reading, counts, tags)
    seconds = time.perf_counter() - start
    read = {"posts_read": faults.sound[posts.name], "links_read": faults.sound[post_links.name]}
    return Ingested(
        originals=store.originals,
        duplicates=store.duplicates,
        answers=store.answers,
        faults=faults.table(),
        duplicates_per_original=store.duplicates_per_original(),
        counts={
            **read,
            **counts,
            "malformed_rows": faults.count.total(),
            "seconds": seconds,
            "rows_per_s": (faults.sound.total() + faults.count.total()) / seconds,
        },
    )


def _read_posts(
    posts: DumpXml, links: Links, tag: str, store: PostStore, faults: Faults
) -> NDArray[np.uint8]:
    """Put all posts that may be needed into the store.

    Returns:
        Of each of the k originals whether it was met, and with the tag; shape (k,).
    """
    tags = np.full(len(links.originals), _UNSEEN, dtype=np.uint8)
    wanted = _Wanted(links, tags)
    for post in rows(posts.lines(), posts.name, faults, wanted.by_head):
        kind = post.get("PostTypeId")
        if kind == _QUESTION:
            _take_question(post, links, tag, tags, store)
        elif kind == _ANSWER:
            _take_answer(post, wanted, store)
    return tags


def _take_question(
    post: Mapping[str, str], links: Links, tag: str, tags: NDArray[np.uint8], store: PostStore
) -> None:
    number, text = int(post["Id"]), question_text(post)
    date = post.get("CreationDate", "").translate(_ONE_LINE)
    if not text:
        return
    root = _place(links.originals, number)
    if root is not None:
        tags[root] = _TAGGED if has_tag(post.get("Tags", ""), tag) else _OTHER_TAG
        if tags[root] == _TAGGED:
            accepted = post.get("AcceptedAnswerId")
            store.add_original(number, int(accepted) if accepted else None, text, date)
        return
    duplicate = _place(links.duplicates, number)
    if duplicate is not None:
        store.add_duplicate(number, int(links.roots[duplicate]), text, date)


def _take_answer(post: Mapping[str, str], wanted: _Wanted, store: PostStore) -> None:
    parent = int(post.get("ParentId", -1))
    text = post.get("Body", "").translate(_ONE_LINE).strip()
    if text and wanted.answer_to(parent):
        store.add_answer(int(post["Id"]), parent, int(post.get("Score", 0)), text)


def question_text(post: Mapping[str, str]) -> str:
    """Title, full stop and the HTML of the body in one line; empty when there is neither."""
    title, body = (post.get(part, "").translate(_ONE_LINE).strip() for part in ("Title", "Body"))
    return f"{title}. {body}" if title or body else ""


def has_tag(tags: str, tag: str) -> bool:
    """Whether a question has the tag; dumps write `<a><b>`, newer ones `|a|b|`."""
    return tag.lower() in re.split(r"[<>|]+", tags.lower())


class _Wanted:
    """Tells which posts may be needed, most of the time from the head of the row alone.

    Whatever is an original, or belongs to one of which another tag is not yet known.
    First comes a sieve, in which cells are marked for the last digits of wanted Ids. It
    takes some bytes for each, where an entry in a set takes a hundred.
    """

    def __init__(self, links: Links, tags: NDArray[np.uint8]) -> None:
        self._links, self._tags = links, tags
        size = 1 << max(16, (_CELLS * len(links.duplicates)).bit_length())
        self._cells, self._mask = bytearray(size), size - 1
        marks = np.frombuffer(self._cells, dtype=np.uint8)
        marks[links.duplicates & self._mask] |= _LINKED
        marks[links.originals & self._mask] |= _ROOT

    def by_head(self, row: bytes) -> bool:
        """Whether to parse a row."""
        head = _HEAD.match(row)
        if head is None:
            return True  # attributes in another order
        post, kind, parent = head.groups()
        if kind == b"1":
            number = int(post)
            return self._cells[number & self._mask] != 0 and self.question(number)
        if kind == b"2" and parent is not None:
            number = int(parent)
            return self._cells[number & self._mask] & _ROOT != 0 and self.answer_to(number)
        return kind == b"2"

    def question(self, number: int) -> bool:
        """Whether a question is an original or a duplicate that may be needed."""
        duplicate = _place(self._links.duplicates, number)
        if duplicate is None:
            return _place(self._links.originals, number) is not None
        return bool(self._tags[self._links.original_of[duplicate]] != _OTHER_TAG)

    def answer_to(self, parent: int) -> bool:
        """Whether an answer to this question may be needed."""
        root = _place(self._links.originals, parent)
        return root is not None and bool(self._tags[root] != _OTHER_TAG)


def _place(ids: NDArray[np.int64], wanted: int) -> int | None:
    """Where the Id stands among ascending ones, if it does."""
    place = int(np.searchsorted(ids, wanted))
    return place if place < len(ids) and ids[place] == wanted else None


def _counts(
    links: Links, tags: NDArray[np.uint8], store: PostStore, unanswered: int
) -> dict[str, float]:
    """What became of the links of duplicates; those left out and those kept make up all."""
    tag_of = tags[links.original_of]
    stored = store.duplicates_with_original()
    kept = store.count("kept_duplicates")
    return {
        "duplicate_links": links.read,
        "repeated_links": links.repeated,
        "cyclic_links": links.cyclic,
        "duplicates_without_text": int(np.sum(tag_of != _OTHER_TAG)) - stored,
        "duplicates_of_other_tags": int(np.sum(tag_of == _OTHER_TAG)),
        "duplicates_without_answer": stored - kept,
        "duplicates": kept,
        "originals": store.count("chosen"),
        "originals_without_answer": unanswered,
        "answers": store.count("kept_answers"),
        "repeated_posts": store.repeats,
    }


def _refuse_nothing(
    name: str, reading: DumpReading, counts: dict[str, float], tags: NDArray[np.uint8]
) -> None:
    if counts["originals"]:
        return
    found = f"{counts['duplicate_links']:,} links of duplicates lead to {len(tags):,} originals"
    if not np.any(tags):
        reason = "none of which is here; are Posts.xml and PostLinks.xml of the same dump?"
    elif not np.any(tags == _TAGGED):
        reason = f"none of which has the tag {reading.tag!r}; name another by faq_tag=TAG"
    elif counts["duplicates_without_answer"]:
        reason = (
            f"none of which has the tag {reading.tag!r}, a duplicate and an answer; keep those "
            "without an answer by faq_dump_reading.keep_unanswered=true"
        )
    else:
        reason = f"but those with the tag {reading.tag!r} have no duplicate here"
    raise ValueError(f"{name}: nothing to keep: {found}, {reason}")
