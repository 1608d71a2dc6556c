"""Build the three tables of a FAQ from a Stack Exchange data dump in constant memory.

A dump may be larger than memory, so each file is read once from front to back: first
the links, of which only the Ids are kept, then the posts. Texts of posts that may be
needed are stored in a temporary file until the answer of each original is known.
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
from quartet.faq.dump_rows import RowErrors, parse_rows
from quartet.faq.dump_store import PostStore, Table, report_full_disk
from quartet.faq.markup import escape_plain
from quartet.faq.settings import DumpSelection, ShareCheck

_ROW_HEAD = re.compile(
    rb"""<row\s+Id=["'](\d{1,18})["']\s+PostTypeId=["'](\d+)["']"""
    rb"""(?:\s+ParentId=["'](\d{1,18})["'])?"""
)
_QUESTION, _ANSWER = "1", "2"
"""Values of `PostTypeId`."""
_ORIGINAL, _DUPLICATE = 1, 2
"""Bits of a cell of the filter: which kinds of linked posts share it."""
_UNSEEN, _TAGGED, _OTHER_TAG = 0, 1, 2
"""States of an original: not read so far, with the tag, without it."""
_CELLS_PER_DUPLICATE = 8
"""Least number of cells: few posts that are not linked share a cell and need a binary search."""
_LINE_BREAKS = str.maketrans(dict.fromkeys("\t\n\v\f\r\x85\u2028\u2029", " "))


class DumpXml(Protocol):
    """A file of the dump."""

    @property
    def name(self) -> str:
        """Name of the file in errors and reports."""

    def lines(self) -> Iterable[bytes]:
        """Return the decompressed content in chunks of at most a line."""


@dataclass(frozen=True)
class IngestedDump:
    """The three tables and counts of what was read, kept and left out.

    Attributes:
        originals: `Id`, `AnswerId`, `Text0`, `CreationDate`, ascending by `Id`. Without an
            answer, `AnswerId` is the negative of the `Id`.
        duplicates: The same columns; `AnswerId` is the original's.
        answers: `Id` and `Text0`, ascending by `Id`, one row an original that has an answer.
        faults: The first 1,000 malformed rows: `file`, `line`, `reason`, `row`.
        duplicates_per_original: Shape (originals,).
        counts: Numbers of posts, links, duplicates, originals and answers; time and rate.
    """

    originals: Table
    duplicates: Table
    answers: Table
    faults: pd.DataFrame
    duplicates_per_original: NDArray[np.int64]
    counts: dict[str, float]


def ingest(
    posts: DumpXml,
    post_links: DumpXml,
    selection: DumpSelection,
    check_share: ShareCheck | None = None,
) -> IngestedDump:
    """Extract originals with a tag, their duplicates with any tags, and an answer for each.

    Args:
        posts: `Posts.xml`.
        post_links: `PostLinks.xml`.
        selection: The tag, and whether to keep originals without an answer.
        check_share: Called with the counts of each file as soon as it is read; may raise.

    Raises:
        ValueError: A file is not from a dump, or no original is left.
    """
    start = time.perf_counter()
    errors = RowErrors(check_share)
    links = read_links(post_links.lines(), post_links.name, errors)
    store = PostStore()
    with report_full_disk():
        tag_states = _read_posts(posts, links, selection.tag, store, errors)
        unanswered = store.choose_answers(selection.keep_unanswered)
    counts = _count_duplicates(links, tag_states, store, unanswered)
    _check_originals(posts.name, selection.tag, counts, tag_states)
    seconds = time.perf_counter() - start
    valid, malformed = errors.valid_rows, errors.malformed_rows.total()
    return IngestedDump(
        originals=store.originals,
        duplicates=store.duplicates,
        answers=store.answers,
        faults=errors.to_frame(),
        duplicates_per_original=store.count_duplicates_per_original(),
        counts={
            "posts_read": valid[posts.name],
            "links_read": valid[post_links.name],
            **counts,
            "malformed_rows": malformed,
            "replaced_characters": errors.replaced_characters.total(),
            "seconds": seconds,
            "rows_per_s": (valid.total() + malformed) / seconds,
        },
    )


def _read_posts(
    posts: DumpXml, links: Links, tag: str, store: PostStore, errors: RowErrors
) -> NDArray[np.uint8]:
    """Store all posts that may be needed.

    Returns:
        Whether each of the k originals was seen, and with the tag; shape (k,).
    """
    tag_states = np.full(len(links.originals), _UNSEEN, dtype=np.uint8)
    post_filter = _PostFilter(links, tag_states)
    for post in parse_rows(posts.lines(), posts.name, errors, post_filter.needs_row):
        kind = post.get("PostTypeId")
        if kind == _QUESTION:
            _store_question(post, links, tag, tag_states, store)
        elif kind == _ANSWER:
            _store_answer(post, post_filter, store)
    errors.check_share(posts.name)
    return tag_states


def _store_question(
    post: Mapping[str, str], links: Links, tag: str, tag_states: NDArray[np.uint8], store: PostStore
) -> None:
    post_id, text = int(post["Id"]), format_question(post)
    date = post.get("CreationDate", "").translate(_LINE_BREAKS)
    if not text:
        return
    original = _find_index(links.originals, post_id)
    if original is not None:
        tag_states[original] = _TAGGED if has_tag(post.get("Tags", ""), tag) else _OTHER_TAG
        if tag_states[original] == _TAGGED:
            accepted = post.get("AcceptedAnswerId")
            store.add_original(post_id, int(accepted) if accepted else None, text, date)
        return
    duplicate = _find_index(links.duplicates, post_id)
    if duplicate is not None:
        store.add_duplicate(post_id, int(links.roots[duplicate]), text, date)


def _store_answer(post: Mapping[str, str], post_filter: _PostFilter, store: PostStore) -> None:
    parent = int(post.get("ParentId", -1))
    text = post.get("Body", "").translate(_LINE_BREAKS).strip()
    if text and post_filter.needs_answer(parent):
        store.add_answer(int(post["Id"]), parent, int(post.get("Score", 0)), text)


def format_question(post: Mapping[str, str]) -> str:
    """Return the title as HTML, full stop and HTML body in one line; empty if there is neither."""
    title, body = (post.get(part, "").translate(_LINE_BREAKS).strip() for part in ("Title", "Body"))
    return f"{escape_plain(title)}. {body}" if title or body else ""


def has_tag(tags: str, tag: str) -> bool:
    """Return whether a question has the tag; dumps write `<a><b>`, newer ones `|a|b|`."""
    return tag.lower() in re.split(r"[<>|]+", tags.lower())


class _PostFilter:
    """Selects posts that may be needed, usually from the head of the row alone.

    These are originals, and duplicates and answers of originals that are not known to lack
    the tag. Ids with the same last binary digits share a cell, which tells whether any of them
    is linked. So most posts are rejected without a search, in a few bytes an Id.
    """

    def __init__(self, links: Links, tag_states: NDArray[np.uint8]) -> None:
        self._links, self._tag_states = links, tag_states
        size = 1 << max(16, (_CELLS_PER_DUPLICATE * len(links.duplicates)).bit_length())
        self._cells, self._mask = bytearray(size), size - 1
        marks = np.frombuffer(self._cells, dtype=np.uint8)
        marks[links.duplicates & self._mask] |= _DUPLICATE
        marks[links.originals & self._mask] |= _ORIGINAL

    def needs_row(self, row: bytes) -> bool:
        """Return whether to parse a row."""
        head = _ROW_HEAD.match(row)
        if head is None:
            return True  # the attributes are in another order
        post, kind, parent = head.groups()
        if kind == b"1":
            post_id = int(post)
            return self._cells[post_id & self._mask] != 0 and self.needs_question(post_id)
        if kind == b"2" and parent is not None:
            parent_id = int(parent)
            cell = self._cells[parent_id & self._mask]
            return cell & _ORIGINAL != 0 and self.needs_answer(parent_id)
        return kind == b"2"

    def needs_question(self, post_id: int) -> bool:
        """Return whether a question is an original or a duplicate that may be needed."""
        duplicate = _find_index(self._links.duplicates, post_id)
        if duplicate is None:
            return _find_index(self._links.originals, post_id) is not None
        return bool(self._tag_states[self._links.original_of[duplicate]] != _OTHER_TAG)

    def needs_answer(self, parent_id: int) -> bool:
        """Return whether an answer to this question may be needed."""
        original = _find_index(self._links.originals, parent_id)
        return original is not None and bool(self._tag_states[original] != _OTHER_TAG)


def _find_index(ids: NDArray[np.int64], post_id: int) -> int | None:
    """Return the index of an Id among ascending ones, if it is there."""
    index = int(np.searchsorted(ids, post_id))
    return index if index < len(ids) and ids[index] == post_id else None


def _count_duplicates(
    links: Links, tag_states: NDArray[np.uint8], store: PostStore, unanswered: int
) -> dict[str, float]:
    """Count duplicate links by outcome; those left out and those kept add up to all."""
    has_other_tag = tag_states[links.original_of] == _OTHER_TAG
    stored = store.count("duplicates_with_original")
    kept = store.count("kept_duplicates")
    return {
        "duplicate_links": links.total,
        "repeated_links": links.repeated,
        "cyclic_links": links.cyclic,
        "duplicates_without_text": int(np.sum(~has_other_tag)) - stored,
        "duplicates_of_other_tags": int(np.sum(has_other_tag)),
        "duplicates_without_answer": stored - kept,
        "duplicates": kept,
        "originals": store.count("chosen"),
        "originals_without_answer": unanswered,
        "answers": store.count("kept_answers"),
        "repeated_posts": store.repeated_posts,
    }


def _check_originals(
    name: str, tag: str, counts: dict[str, float], tag_states: NDArray[np.uint8]
) -> None:
    """Raise if no original is left."""
    if counts["originals"]:
        return
    found = (
        f"{counts['duplicate_links']:,} links of duplicates lead to {len(tag_states):,} originals"
    )
    if not np.any(tag_states):
        reason = "none of which is in the file; use Posts.xml and PostLinks.xml of the same dump"
    elif not np.any(tag_states == _TAGGED):
        reason = f"none of which has the tag {tag!r}; set another one with faq_tag=TAG"
    elif counts["duplicates_without_answer"]:
        reason = (
            f"none of which has the tag {tag!r}, a duplicate and an answer; to keep "
            "originals without an answer, set faq_dump_selection.keep_unanswered=true"
        )
    else:
        reason = f"but those with the tag {tag!r} have no duplicate in the file"
    raise ValueError(f"{name}: nothing to keep: {found}, {reason}")
