"""Generate a small Stack Exchange data dump from questions written for this project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from itertools import count
from typing import Any

import pandas as pd

Entry = Mapping[str, Any]
"""An original: `title`, `body`, `answer`, `duplicates` and `asked`, both of `title` and `body`."""

_FIRST_ID, _ID_STEP = 1001, 3
_FIRST_DATE, _INTERVAL = datetime(2013, 2, 4, 8, 15), timedelta(hours=17, minutes=23)
_CHAIN_PERIOD = 10
"""Every tenth duplicate is a duplicate of the duplicate before it, which makes a chain."""
_BANNER_PERIOD = 5
"""Every fifth duplicate has the banner that Stack Exchange showed until 2013."""
_MENTION_PERIOD = 7
"""Every seventh duplicate also mentions another question, a link of another type."""
_UNACCEPTED_PERIOD = 8
"""Every eighth original has no accepted answer."""
_MENTIONED, _DUPLICATE = 1, 3
"""Types of links."""
_BANNER = (
    "<blockquote>\n  <p><strong>Possible Duplicate:</strong><br>\n"
    '  <a href="https://stackoverflow.com/questions/{number}">{title}</a>  </p>\n</blockquote>\n\n'
)
_OTHER_TAG: tuple[Entry, ...] = (
    {
        "title": "Default list argument keeps values between calls",
        "body": "<p>My function has the argument <code>found=[]</code>. The second call starts "
        "with what the first one put there. Why is the list not new each time?</p>",
        "answer": "<p>The default is made once, when <code>def</code> runs. Take <code>None</code> "
        "as the default and make the list inside the function.</p>",
        "duplicates": [
            {
                "title": "Second call of my method already has items in its cart",
                "body": "<p><code>def fill(cart=[])</code> gives me the goods of the customer "
                "before. Where do they come from?</p>",
            }
        ],
    },
    {
        "title": "How do I walk through two lists side by side in Python?",
        "body": "<p>I have names and ages in two lists of one length and need both in a loop.</p>",
        "answer": "<p>Use <code>zip(names, ages, strict=True)</code>; it complains if one list is "
        "longer.</p>",
        "duplicates": [],
    },
)


@dataclass(frozen=True)
class _Post:
    """A question, with its answer if it is an original."""

    number: int
    asked: datetime
    tag: str
    title: str
    body: str
    answer: str
    links: Sequence[tuple[int, int]]  # type of link, Id of the other question


def build_dump(entries: Sequence[Entry]) -> tuple[bytes, bytes]:
    """Return `Posts.xml` and `PostLinks.xml` in the format of Stack Exchange.

    Each entry is a question tagged `javascript` with its answer and duplicates. Some posts
    with another tag and links of another type are added, which the ingestion must ignore.
    """
    posts, links = [], []
    link_ids = count(1)
    for index, post in enumerate(_generate_posts(entries)):
        posts += _format_post(post, index)
        for kind, target in post.links:
            links.append(
                _format_row(
                    Id=next(link_ids),
                    CreationDate=_format_date(post.asked + timedelta(hours=1)),
                    PostId=post.number,
                    RelatedPostId=target,
                    LinkTypeId=kind,
                )
            )
    return _format_document("posts", posts), _format_document("postlinks", links)


def build_new_questions(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return new questions about the entries: columns `Id`, `Title` and `Body`.

    Their Ids are higher than all Ids in the dump.
    """
    first = 1 + 1000 * (1 + max(post.number for post in _generate_posts(entries)) // 1000)
    asked = [question for entry in entries for question in entry.get("asked") or ()]
    rows = [
        (number, question["title"], question["body"])
        for number, question in enumerate(asked, first)
    ]
    return pd.DataFrame(rows, columns=["Id", "Title", "Body"])


def _generate_posts(entries: Sequence[Entry]) -> Iterator[_Post]:
    """Yield all questions by date: originals, then in turns a duplicate of each."""
    tagged = [(entry, "javascript") for entry in entries]
    tagged += [(entry, "python") for entry in _OTHER_TAG]
    steps, numbers = count(), count(1)
    originals = [
        _make_post(next(steps), tag, entry, answer=entry["answer"]) for entry, tag in tagged
    ]
    yield from originals
    latest = list(originals)
    for turn in range(max(len(entry["duplicates"]) for entry, _ in tagged)):
        for index, (entry, tag) in enumerate(tagged):
            if turn >= len(entry["duplicates"]):
                continue
            number = next(numbers)
            target = latest[index] if number % _CHAIN_PERIOD == 0 else originals[index]
            links = [(_DUPLICATE, target.number)]
            if number % _MENTION_PERIOD == 0:
                mentioned = originals[(index + 1) % len(originals)]
                links.insert(0, (_MENTIONED, mentioned.number))
            title = escape(target.title, quote=False)
            has_banner = number % _BANNER_PERIOD == 2
            banner = _BANNER.format(number=target.number, title=title) if has_banner else ""
            text = entry["duplicates"][turn]
            latest[index] = _make_post(next(steps), tag, text, banner=banner, links=links)
            yield latest[index]


def _make_post(
    step: int,
    tag: str,
    text: Mapping[str, str],
    *,
    banner: str = "",
    answer: str = "",
    links: Sequence[tuple[int, int]] = (),
) -> _Post:
    return _Post(
        number=_FIRST_ID + _ID_STEP * step,
        asked=_FIRST_DATE + _INTERVAL * step,
        tag=tag,
        title=text["title"],
        body=banner + text["body"],
        answer=answer,
        links=links,
    )


def _format_post(post: _Post, index: int) -> list[str]:
    """Return the row of a question, and of its answer if it has one."""
    has_answer = bool(post.answer)
    is_accepted = has_answer and index % _UNACCEPTED_PERIOD
    accepted = {"AcceptedAnswerId": post.number + 1} if is_accepted else {}
    question = _format_row(
        Id=post.number,
        PostTypeId=1,
        **accepted,
        CreationDate=_format_date(post.asked),
        Score=index % 9 + 10 * has_answer,
        Body=post.body,
        Title=post.title,
        Tags=f"<{post.tag}>" + ("<arrays>" if index % 4 == 0 else ""),
        AnswerCount=int(has_answer),
    )
    answer = _format_row(
        Id=post.number + 1,
        PostTypeId=2,
        ParentId=post.number,
        CreationDate=_format_date(post.asked + timedelta(minutes=25)),
        Score=index % 7 + 2,
        Body=post.answer,
    )
    return [question, answer] if has_answer else [question]


def _format_row(**attributes: object) -> str:
    text = " ".join(f'{name}="{_escape(value)}"' for name, value in attributes.items())
    return f"  <row {text} />\r\n"


def _escape(value: object) -> str:
    """Escape `&`, `<`, `>`, `"` and line breaks but not the apostrophe, as the dumps do."""
    text = escape(str(value), quote=False).replace('"', "&quot;")
    return text.replace("\n", "&#xA;").replace("\t", "&#x9;")


def _format_date(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _format_document(name: str, rows: Sequence[str]) -> bytes:
    """Return the content of the file, with a byte order mark as in the dumps."""
    header = '<?xml version="1.0" encoding="utf-8"?>\r\n'
    return f"{header}<{name}>\r\n{''.join(rows)}</{name}>".encode("utf-8-sig")
