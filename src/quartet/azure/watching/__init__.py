"""Each new video of a container or a folder is restyled once: what `kedro cloud watch` does.

In come a place that is looked at again and again, markers, and a way to start the work; out come
restyled videos, and a marker for each video that says what became of it. Who makes a video's marker
has the video. The Logic App of infra/ uses the same markers, so that both may be on.

A marker of the blob `NAME` in container `CONTAINER` is the blob `.started/CONTAINER/NAME.json` in
the container that `trigger.markers` of cloud.yml names; that of the file `NAME` in a watched folder
is `.started/NAME.json` in that folder. It is made with If-None-Match: * (a file: only if there is
none), and replaced with If-Match (a file: under a lock). Its fields, of which the Logic App may
leave out all but the first five:

| field | |
|---|---|
| `video` | address of the video, `abfs://CONTAINER/NAME`, or its path |
| `state` | `started`; `done`; `failed`: is tried again; `poison`: left alone; `stopped` |
| `attempts` | how many times it was tried and failed |
| `by` | who holds or held it: `HOST:PROCESS:TOKEN` of a watcher, `logic-app:RUN` |
| `since` | of this state, in UTC, as `2026-11-21T22:14:03Z` |
| `until` | started: the claim holds until then, and is renewed; null: for ever. failed: rests |
| `job` | name of the Azure ML job that does it, or null. One that is stopped was cancelled |
| `reason` | why it failed, in one line, or null |
| `version` | of the video that was tried: the ETag of a blob; or null |
| `interruptions` | how many times whoever had it went away without a word |
| `series` | of attempts, at random: another one once the video was forgotten; or null |

Names that nobody starts, whoever looks: `'`, `"`, a backslash, control characters, `${`; folders
named `.`, `..` or nothing; more than 900 bytes. Names are of videos by their ending, whatever its
case, and with no part that begins with a dot.
"""

from quartet.azure.watching.claims import Identity, forget
from quartet.azure.watching.containers import Container
from quartet.azure.watching.folders import Folder
from quartet.azure.watching.places import Place, Video
from quartet.azure.watching.rows import LEFT_ALONE, Observer, Row, Shown
from quartet.azure.watching.settings import WatchSettings
from quartet.azure.watching.starting import Commands, Starter
from quartet.azure.watching.watcher import Watcher
from quartet.azure.watching.watching import Request, watch

__all__ = [
    "LEFT_ALONE",
    "Commands",
    "Container",
    "Folder",
    "Identity",
    "Observer",
    "Place",
    "Request",
    "Row",
    "Shown",
    "Starter",
    "Video",
    "WatchSettings",
    "Watcher",
    "forget",
    "watch",
]
