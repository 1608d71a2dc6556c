"""Read which questions are duplicates from the links of a Stack Exchange data dump."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quartet.faq.dump_rows import RowErrors, parse_rows

Ids = NDArray[np.int64]
_DUPLICATE_LINK = re.compile(rb"""\sLinkTypeId\s*=\s*["']3["']""")


@dataclass(frozen=True)
class Links:
    """Duplicates and the originals at the ends of their chains of links.

    Attributes:
        duplicates: Shape (n,): Ids, ascending.
        roots: Shape (n,): Id of each duplicate's original, which is not itself a duplicate.
        total: Duplicate links in the file: n + `repeated` + `cyclic`.
        repeated: Links of a duplicate that has an earlier link, which takes precedence.
        cyclic: Duplicates whose chain runs into a cycle, including links to themselves.
    """

    duplicates: Ids
    roots: Ids
    total: int
    repeated: int
    cyclic: int

    @cached_property
    def originals(self) -> Ids:
        """Ids of all originals, ascending, shape (k,)."""
        return np.unique(self.roots)

    @cached_property
    def original_of(self) -> NDArray[np.intp]:
        """Index in `originals` of each duplicate's original, shape (n,)."""
        return np.searchsorted(self.originals, self.roots)


def read_links(lines: Iterable[bytes], name: str, errors: RowErrors) -> Links:
    """Read the links of type 3 in `PostLinks.xml` and resolve their chains.

    `PostId` is a duplicate of `RelatedPostId`. Only these Ids are kept, 16 bytes a link.

    Args:
        lines: Content of the file.
        name: Name of the file in errors.
        errors: Collects malformed rows.

    Raises:
        ValueError: The file contains no link of type 3.
    """
    duplicates, targets = array("q"), array("q")
    required = ("Id", "PostId", "RelatedPostId")
    for link in parse_rows(lines, name, errors, _DUPLICATE_LINK.search, required):
        duplicates.append(int(link["PostId"]))
        targets.append(int(link["RelatedPostId"]))
    errors.check_share(name)
    if not duplicates:
        raise ValueError(
            f"{name}: no link of type 3, which marks duplicates, in "
            f"{errors.valid_rows[name]:,} rows; is this PostLinks.xml?"
        )
    return resolve_chains(np.frombuffer(duplicates, np.int64), np.frombuffer(targets, np.int64))


def resolve_chains(duplicates: Ids, targets: Ids) -> Links:
    """Resolve each duplicate to the root of its chain of links.

    Args:
        duplicates: Shape (m,): Ids in the order of the file.
        targets: Shape (m,): Ids of the questions they are duplicates of.
    """
    linked, first = np.unique(duplicates, return_index=True)
    targets = targets[first]
    posts = np.unique(np.concatenate([linked, targets]))
    indices = np.searchsorted(posts, linked)
    ends = _follow_chains(indices, np.searchsorted(posts, targets), len(posts))[indices]
    is_duplicate = np.zeros(len(posts), dtype=bool)
    is_duplicate[indices] = True
    resolved = ~is_duplicate[ends]
    return Links(
        duplicates=linked[resolved],
        roots=posts[ends[resolved]],
        total=len(duplicates),
        repeated=len(duplicates) - len(linked),
        cyclic=int(np.sum(~resolved)),
    )


def _follow_chains(
    indices: NDArray[np.intp], targets: NDArray[np.intp], posts: int
) -> NDArray[np.intp]:
    """Return the end of each post's chain by pointer jumping, which doubles the distance.

    A chain that ends is shorter than the number of posts. All others end at a post that
    has a link itself.
    """
    ends = np.arange(posts)
    ends[indices] = targets
    for _ in range(posts.bit_length()):
        next_ends = ends[ends]
        if np.array_equal(next_ends, ends):
            break
        ends = next_ends
    return ends
