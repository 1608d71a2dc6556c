"""A small Stack Exchange data dump, made from questions written for this project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from itertools import count
from typing import Any

import pandas as pd

Entry = Mapping[str, Any]
"""An original: `title`, `body`, `answer`, `duplicates` and `asked`, both of `title` and `body`."""

_FIRST_ID, _ID_STEP = 1001, 3
_FIRST_DATE, _PACE = datetime(2013, 2, 4, 8, 15), timedelta(hours=17, minutes=23)
_CHAINED = 10
"""Every tenth duplicate is one of the duplicate before it, so that chains must be followed."""
_BANNERS = 5
"""Every fifth duplicate shows the banner that Stack Exchange put there until 2013."""
_NOISE = 7
"""Every seventh duplicate also mentions another question, which is a link of another type."""
_UNACCEPTED = 8
"""Every eighth original has no accepted answer."""
_MENTIONED, _DUPLICATE = 1, 3
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
    """A question or answer, as its row in the dump has it."""

    number: int
    asked: datetime
    tag: str
    title: str
    body: str
    answer: str = ""  # what the post after it says, if this is an original
    links: list[tuple[int, int]] = field(default_factory=list)  # type and Id


def build_dump(entries: Sequence[Entry]) -> tuple[bytes, bytes]:
    """`Posts.xml` and `PostLinks.xml` as Stack Exchange publishes them, the same every time.

    Each entry is a question tagged `javascript` with its answer and its duplicates. A
    few posts with another tag and links that mark no duplicates are there to be left out.
    """
    posts, links = [], []
    numbers = count(1)
    for index, post in enumerate(_posts(entries)):
        posts += _post_rows(post, index)
        for kind, target in post.links:
            made = post.asked + timedelta(hours=1)
            links.append(
                _row(
                    Id=next(numbers),
                    CreationDate=_date(made),
                    PostId=post.number,
                    RelatedPostId=target,
                    LinkTypeId=kind,
                )
            )
    return _document("posts", posts), _document("postlinks", links)


def asked_questions(entries: Sequence[Entry]) -> pd.DataFrame:
    """New questions about what the entries answer: columns `Id`, `Title` and `Body`.

    Their Ids are above all others in the dump.
    """
    after = 1 + max((post.number for post in _posts(entries)), default=_FIRST_ID) // 1000
    asked = [question for entry in entries for question in entry.get("asked") or ()]
    rows = [
        (1000 * after + place, question["title"], question["body"])
        for place, question in enumerate(asked, 1)
    ]
    return pd.DataFrame(rows, columns=["Id", "Title", "Body"])


def _posts(entries: Sequence[Entry]) -> Iterator[_Post]:
    """All questions in the order of their time: originals, then duplicates in turns."""
    tagged = [(entry, "javascript") for entry in entries] + [(e, "python") for e in _OTHER_TAG]
    steps = count()
    latest: list[_Post] = []
    for entry, tag in tagged:
        original = _question(next(steps), tag, entry, answer=entry["answer"])
        latest.append(original)
        yield original
    originals, made = list(latest), count(1)
    for turn in range(max((len(entry["duplicates"]) for entry, _ in tagged), default=0)):
        for place, (entry, tag) in enumerate(tagged):
            if turn < len(entry["duplicates"]):
                chosen = next(made)
                chained = chosen % _CHAINED == 0
                target = latest[place] if chained else originals[place]
                noise = originals[(place + 1) % len(originals)] if chosen % _NOISE == 0 else None
                duplicate = _duplicate(
                    next(steps),
                    tag,
                    entry["duplicates"][turn],
                    target,
                    noise,
                    banner=chosen % _BANNERS == 2,
                )
                latest[place] = duplicate
                yield duplicate


def _question(
    step: int, tag: str, text: Mapping[str, str], *, before: str = "", answer: str = ""
) -> _Post:
    return _Post(
        number=_FIRST_ID + _ID_STEP * step,
        asked=_FIRST_DATE + _PACE * step,
        tag=tag,
        title=text["title"],
        body=before + text["body"],
        answer=answer,
    )


def _duplicate(
    step: int,
    tag: str,
    text: Mapping[str, str],
    target: _Post,
    noise: _Post | None,
    *,
    banner: bool,
) -> _Post:
    shown = _BANNER.format(number=target.number, title=escape(target.title, quote=False))
    post = _question(step, tag, text, before=shown if banner else "")
    if noise is not None:
        post.links.append((_MENTIONED, noise.number))
    post.links.append((_DUPLICATE, target.number))
    return post


def _post_rows(post: _Post, index: int) -> list[str]:
    """The row of a question, and that of its answer if it has one."""
    answered = bool(post.answer)
    accepted = {"AcceptedAnswerId": post.number + 1} if answered and index % _UNACCEPTED else {}
    question = _row(
        Id=post.number,
        PostTypeId=1,
        **accepted,
        CreationDate=_date(post.asked),
        Score=index % 9 + 10 * answered,
        Body=post.body,
        Title=post.title,
        Tags=f"<{post.tag}>" + ("<arrays>" if index % 4 == 0 else ""),
        AnswerCount=int(answered),
    )
    answer = _row(
        Id=post.number + 1,
        PostTypeId=2,
        ParentId=post.number,
        CreationDate=_date(post.asked + timedelta(minutes=25)),
        Score=index % 7 + 2,
        Body=post.answer,
    )
    return [question, answer] if answered else [question]


def _row(**attributes: object) -> str:
    written = " ".join(f'{name}="{_escaped(value)}"' for name, value in attributes.items())
    return f"  <row {written} />\r\n"


def _escaped(value: object) -> str:
    """As the dumps do it: `&`, `<`, `>`, `"` and line breaks, but not the apostrophe."""
    text = escape(str(value), quote=False).replace('"', "&quot;")
    return text.replace("\n", "&#xA;").replace("\t", "&#x9;")


def _date(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _document(name: str, rows: Sequence[str]) -> bytes:
    """The whole file, with the byte order mark that the dumps begin with."""
    header = '<?xml version="1.0" encoding="utf-8"?>\r\n'
    return f"{header}<{name}>\r\n{''.join(rows)}</{name}>".encode("utf-8-sig")
