"""Which question is a duplicate of which, from the links of a Stack Exchange data dump."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quartet.faq.dump_rows import Faults, rows

Ids = NDArray[np.int64]
_DUPLICATE_LINK = re.compile(rb"""\sLinkTypeId\s*=\s*["']3["']""")


@dataclass(frozen=True)
class Links:
    """Duplicates and the originals at the ends of their chains.

    Attributes:
        duplicates: Ids, ascending; shape (n,).
        roots: Id of the original of each, itself no duplicate of anything; shape (n,).
        read: Links of duplicates in the file, which is n with the next two.
        repeated: Further links of a duplicate; the first one holds.
        cyclic: Duplicates whose chain has no end, among them links to oneself.
    """

    duplicates: Ids
    roots: Ids
    read: int
    repeated: int
    cyclic: int

    @cached_property
    def originals(self) -> Ids:
        """Ids of all originals, ascending; shape (k,)."""
        return np.unique(self.roots)

    @cached_property
    def original_of(self) -> NDArray[np.intp]:
        """Place in `originals` of each duplicate's original; shape (n,)."""
        return np.searchsorted(self.originals, self.roots)


def read_links(lines: Iterable[bytes], name: str, faults: Faults) -> Links:
    """The links of type 3 in `PostLinks.xml`, each followed to its root.

    `PostId` is a duplicate of `RelatedPostId`. 16 bytes are kept of each.

    Raises:
        ValueError: The file holds no such link.
    """
    duplicates, targets = array("q"), array("q")
    required = ("Id", "PostId", "RelatedPostId")
    for link in rows(lines, name, faults, _DUPLICATE_LINK.search, required):
        duplicates.append(int(link["PostId"]))
        targets.append(int(link["RelatedPostId"]))
    if not duplicates:
        raise ValueError(
            f"{name}: no link of type 3, which marks duplicates, in {faults.sound[name]:,} rows; "
            "is this PostLinks.xml?"
        )
    return follow(np.frombuffer(duplicates, np.int64), np.frombuffer(targets, np.int64))


def follow(duplicates: Ids, targets: Ids) -> Links:
    """Each duplicate with the root of its chain of links.

    Args:
        duplicates: Ids in the order of the file, shape (m,).
        targets: Ids of what they are duplicates of, shape (m,).
    """
    linked, first = np.unique(duplicates, return_index=True)
    targets = targets[first]
    posts = np.unique(np.concatenate([linked, targets]))
    places = np.searchsorted(posts, linked)
    ends = _ends(places, np.searchsorted(posts, targets), len(posts))[places]
    is_duplicate = np.zeros(len(posts), dtype=bool)
    is_duplicate[places] = True
    ended = ~is_duplicate[ends]
    return Links(
        duplicates=linked[ended],
        roots=posts[ends[ended]],
        read=len(duplicates),
        repeated=len(duplicates) - len(linked),
        cyclic=int(np.sum(~ended)),
    )


def _ends(places: NDArray[np.intp], targets: NDArray[np.intp], posts: int) -> NDArray[np.intp]:
    """Where each post's chain leads, by pointer jumping: every step doubles the distance.

    A chain with an end is shorter than the number of posts; whatever still moves
    after so many steps, or has come back to a post with a link, runs in a circle.
    """
    ends = np.arange(posts)
    ends[places] = targets
    for _ in range(posts.bit_length()):
        further = ends[ends]
        if np.array_equal(further, ends):
            break
        ends = further
    return ends
