"""Throughput and memory of ingesting dumps."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support import clean_environment

SECTION = "FAQ ingestion"
SIZES = (500_000, 1_000_000, 2_000_000)
MAX_MIB = 500
ORIGINAL_EVERY = 50
"""Of fifty posts one is an original, two are answers to it and one is its duplicate."""
WORDS = "how would a person put these words so that they make a post of usual length "

INGEST = (
    "import json, resource, sys, time\n"
    "from quartet.datasets.dump import DumpFileDataset\n"
    "from quartet.datasets.tables import TSVDataset\n"
    "from quartet.faq.dump import ingest\n"
    "from quartet.faq.settings import DumpSelection\n"
    "folder = sys.argv[1]\n"
    "names = ('Posts.xml', 'PostLinks.xml')\n"
    "files = [DumpFileDataset(filepath=f'{folder}/{name}').load() for name in names]\n"
    "start = time.process_time()\n"
    "result = ingest(*files, DumpSelection(tag='javascript'))\n"
    "busy = time.process_time() - start\n"
    "columns = ['Id', 'AnswerId', 'Text0', 'CreationDate']\n"
    "TSVDataset(filepath=f'{folder}/dup-q.tsv.gz', columns=columns).save(result.duplicates)\n"
    "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    "print(json.dumps({**result.counts, 'busy': busy, 'peak_mib': peak / 1024}))\n"
)


def make_post(number: int) -> str:
    """A row of about 700 bytes."""
    place = number % ORIGINAL_EVERY
    kind = f'2" ParentId="{number - place}' if place in {1, 2} else "1"
    tags = "|javascript|html|" if number // ORIGINAL_EVERY % 2 else "|python|"
    return (
        f'  <row Id="{number}" PostTypeId="{kind}" CreationDate="2011-06-21T20:49:19.747" '
        f'Score="{place}" ViewCount="{number}" Body="&lt;p&gt;{number} {WORDS * 6}&lt;/p&gt;&#xA;" '
        f'OwnerUserId="17" LastActivityDate="2011-06-21T20:49:19.747" Title="{number} {WORDS}" '
        f'Tags="{tags}" AnswerCount="2" CommentCount="0" />\r\n'
    )


def write_dump(folder, posts):
    """Both files, plain, of so many posts; half of the originals have the tag."""
    with (folder / "Posts.xml").open("w") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\r\n<posts>\r\n')
        file.writelines(map(make_post, range(ORIGINAL_EVERY, posts + ORIGINAL_EVERY)))
        file.write("</posts>")
    with (folder / "PostLinks.xml").open("w") as file:
        file.write("<postlinks>\r\n")
        for number in range(ORIGINAL_EVERY, posts + ORIGINAL_EVERY, ORIGINAL_EVERY):
            for duplicate, kind in ((number + 3, 3), (number + 4, 1)):
                file.write(
                    f'  <row Id="{duplicate}" CreationDate="2011-06-21T20:49:19.747" '
                    f'PostId="{duplicate}" RelatedPostId="{number}" LinkTypeId="{kind}" />\r\n'
                )
        file.write("</postlinks>")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What ingesting each size took, in a process of its own."""
    found = {}
    for posts in SIZES:
        folder = tmp_path_factory.mktemp("dump")
        write_dump(folder, posts)
        result = subprocess.run(
            [sys.executable, "-c", INGEST, str(folder)],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        found[posts] = json.loads(result.stdout)
        assert found[posts]["posts_read"] == posts
        assert found[posts]["duplicates"] == posts // ORIGINAL_EVERY // 2
        (folder / "Posts.xml").unlink()
    return found


def test_posts_per_second(measured, record):
    speeds = {posts: posts / facts["seconds"] for posts, facts in measured.items()}
    each = ", ".join(f"{speed:,.0f} of {posts:,}" for posts, speed in speeds.items())
    each_post = {posts: facts["busy"] / posts for posts, facts in measured.items()}
    ratio = each_post[SIZES[-1]] / each_post[SIZES[0]]
    record(
        SECTION,
        "posts ingested a second, of a dump of so many",
        reference="not there",
        quartet=each,
    )
    record(
        SECTION,
        "processor time for each post, 2,000,000 posts against 500,000",
        reference="not there",
        quartet=f"{ratio:.2f} times",
        target="≤ 1.2 times",
        reached=ratio <= 1.2,
    )


def test_peak_memory(measured, record):
    peaks = [facts["peak_mib"] for facts in measured.values()]
    record(
        SECTION,
        "peak memory, of 500,000, 1,000,000 and 2,000,000 posts",
        reference="not there",
        quartet=", ".join(f"{peak:.0f} MiB" for peak in peaks),
        target=f"≤ {MAX_MIB} MiB, no growth (≤ 1.1 times)",
        reached=max(peaks) <= MAX_MIB and peaks[-1] <= 1.1 * peaks[0],
    )
