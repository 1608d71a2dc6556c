"""Looks at a place, has new videos restyled, and notes what became of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from quartet.azure.watching.claims import Identity, Judgement, Verdict, judge
from quartet.azure.watching.markers import Marker, State
from quartet.azure.watching.names import refusal
from quartet.azure.watching.places import Place, Video
from quartet.azure.watching.rows import READY, Observer, Row, Shown, row_of
from quartet.azure.watching.settings import WatchSettings
from quartet.azure.watching.starting import Outcome, Starter, Work, end_all


@dataclass
class _UnderWay:
    """A video that this watcher has, and the marker that says so."""

    video: Video
    marker: Marker
    tag: str
    work: Work
    begun: float
    renewed: float


@dataclass(frozen=True)
class _Seen:
    """A video as it was seen: since when at all, and since when as it is."""

    version: str
    first: datetime
    since: datetime


class Watcher:
    """Restyles the videos of a place, each once, together with all others who watch it."""

    def __init__(
        self,
        place: Place,
        starter: Starter,
        settings: WatchSettings,
        show: Observer,
        *,
        identity: Identity | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Begin; nothing is looked at yet.

        Args:
            place: That videos arrive in.
            starter: Has a video restyled.
            settings: How to watch.
            show: Gets all rows whenever there may be something new.
            identity: What this watcher calls itself in markers.
            now: Tells the time, in UTC.
        """
        self._place, self._starter, self._settings, self._show = place, starter, settings, show
        self._me = identity or Identity()
        self._now = now
        self._seen: dict[str, _Seen] = {}
        self._known: dict[str, tuple[Marker | None, str]] = {}
        self._under_way: dict[str, _UnderWay] = {}
        self._rows: dict[str, Row] = {}
        self._unsettled = False

    @property
    def rows(self) -> list[Row]:
        """All videos, in the order of their arrival."""
        return list(self._rows.values())

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be done, as far as the last look went."""
        return not (self._under_way or self._unsettled)

    def look(self) -> None:
        """Look at what is there, and start what may be started.

        Raises:
            StorageError, OSError: The place cannot be looked at.
        """
        videos = sorted(self._place.videos(), key=lambda video: (video.arrived, video.name))
        self._read_markers(videos)
        self._see(videos)
        first = self._first_of_each_result(videos)
        self._unsettled = False
        before, self._rows = self._rows, {}
        for video in videos:
            row = self._looked_at(video, first)
            told = before.get(video.name)
            # What a marker does not say is known of what was done here.
            if told and told.state is row.state and told.seconds and not row.is_under_way:
                row = told
            self._rows[video.name] = row
        for name in self._under_way.keys() - self._rows.keys():  # removed while it is restyled
            self._rows[name] = self._row_under_way(name)
        self._show(self.rows)

    def tend(self) -> bool:
        """Note what has ended, and renew the claims on what has not.

        Returns:
            Whether something has ended, so that another may begin.

        Raises:
            StorageError, OSError: It could not be noted; it will be the next time.
        """
        before = len(self._under_way)
        for name, each in list(self._under_way.items()):
            outcome = each.work.outcome()
            if outcome is not None:
                self._rows[name] = self._concluded(each, outcome)
            elif time.monotonic() - each.renewed > self._settings.hold / 3:
                self._rows[name] = self._renewed(each)
            else:
                self._rows[name] = self._row_under_way(name)
        self._show(self.rows)
        return len(self._under_way) < before

    def stop(self) -> None:
        """End what is under way, in order, and leave it to whoever watches next."""
        end_all([each.work for each in self._under_way.values()])
        for name, each in list(self._under_way.items()):
            outcome = each.work.outcome()
            if outcome is not None and outcome.state is State.DONE:
                self._rows[name] = self._concluded(each, outcome)
                continue
            state = State.STARTED if each.work.goes_on_alone else State.STOPPED
            marker = each.marker.but(state=state, since=self._now(), until=self._now())
            self._written(name, marker, each.tag)
            self._rows[name] = self._let_go(each, Shown.STOPPED, "goes on with the next watcher")
        self._show(self.rows)

    def kill(self) -> None:
        """End what is under way at once; the next watcher finds out what was not noted."""
        for each in self._under_way.values():
            each.work.end()

    def _read_markers(self, videos: Sequence[Video]) -> None:
        """Read the markers that are new, or have changed."""
        tags = self._place.markers.tags()
        names = [video.name for video in videos if video.name in tags]
        self._known = {name: self._known[name] for name in names if name in self._known}
        new = [name for name in names if self._known.get(name, (None, ""))[1] != tags[name]]
        self._known.update(self._place.markers.read(new))

    def _see(self, videos: Sequence[Video]) -> None:
        """Note what has changed."""
        seen, now = {}, self._now()
        for video in videos:
            before = self._seen.get(video.name) or _Seen(video.version, now, now)
            changed = before.version != video.version
            seen[video.name] = _Seen(video.version, before.first, now) if changed else before
        self._seen = seen

    def _first_of_each_result(self, videos: Sequence[Video]) -> dict[str, str]:
        """Name of the video that a result is of; others would replace it by theirs."""

        def state(video: Video) -> State | None:
            marker = self._known.get(video.name, (None, ""))[0]
            return marker.state if marker else None

        first: dict[str, str] = {}
        for video in sorted(videos, key=lambda video: state(video) is None):
            if state(video) is not State.POISON and not refusal(video.name):
                first.setdefault(self._starter.result_of(video.name), video.name)
        return first

    def _looked_at(self, video: Video, first: dict[str, str]) -> Row:
        """A video's row; it is started if it may be."""
        name = video.name
        if name in self._under_way:
            return self._row_under_way(name)
        marker, tag = self._known.get(name, (None, ""))
        if why := self._refusal(name, first) if marker is None else None:
            return Row(name, Shown.REFUSED, said=why)
        found = judge(video, marker, self._now(), self._me)
        verdict = found.verdict
        if verdict is Verdict.FREE and found.attempts >= self._settings.attempts:
            verdict = Verdict.OVER
        if marker is not None and verdict is not Verdict.FREE:
            self._unsettled |= verdict is Verdict.RESTS
            return row_of(name, marker, verdict, self._now())
        return self._free(video, found, tag)

    def _refusal(self, name: str, first: dict[str, str]) -> str | None:
        """Why a video that has no marker is not started; None if it may be."""
        if why := refusal(name):
            return f"{why}: rename it"
        if name in self._known:
            return f"its marker cannot be read: remove {self._place.markers.address(name)}"
        owner = first.get(self._starter.result_of(name), name)
        return None if owner == name else f"its result would replace that of {owner}: rename it"

    def _free(self, video: Video, found: Judgement, tag: str) -> Row:
        """The row of a video that nobody has."""
        seen = self._seen[video.name]
        unchanged = self._now() - seen.since >= timedelta(seconds=self._settings.every)
        if why := self._place.unready(video, unchanged):
            # One that is seen to be written is worth no further wait.
            self._unsettled |= seen.first == seen.since and not unchanged and video.size > 0
            return Row(video.name, Shown.WAITING, found.attempts, said=why)
        self._unsettled = True
        if found.interruptions >= self._settings.interruptions:
            return self._given_up(video, found, tag)
        if len(self._under_way) >= self._settings.most_at_once:
            return Row(video.name, Shown.WAITING, found.attempts, said=READY)
        return self._started(video, found, tag)

    def _marker(self, video: Video, found: Judgement, state: State) -> Marker:
        """One that takes up what was found."""
        return Marker(
            video=video.address,
            state=state,
            attempts=found.attempts,
            by=str(self._me),
            since=self._now(),
            job=found.job,
            version=video.version,
            interruptions=found.interruptions,
            series=found.series or uuid.uuid4().hex[:12],
        )

    def _started(self, video: Video, found: Judgement, tag: str) -> Row:
        """Claim a video and start it, unless another watcher was quicker."""
        marker = self._marker(video, found, State.STARTED).but(until=self._end_of_claim())
        claimed = self._written(video.name, marker, tag)
        if claimed is None:
            return Row(video.name, Shown.ELSEWHERE, found.attempts + 1, said="has been taken")
        try:
            work = self._starter.start(video, marker)
        except BaseException:  # no fault of the video's: leave it as if it had not been touched
            free = marker.but(state=State.STOPPED, until=None)
            self._written(video.name, free, claimed)
            raise
        moment = time.monotonic()
        each = _UnderWay(video, marker, claimed, work, moment, moment)
        self._under_way[video.name] = each
        return self._row_under_way(video.name) if work.job == found.job else self._renewed(each)

    def _given_up(self, video: Video, found: Judgement, tag: str) -> Row:
        """Note as poison what has cost the lives of too many."""
        reason = f"whoever worked on it was gone without a word, {found.interruptions} times"
        marker = self._marker(video, found, State.POISON).but(reason=reason)
        self._written(video.name, marker, tag)
        return row_of(video.name, marker, Verdict.OVER, self._now())

    def _end_of_claim(self) -> datetime:
        return self._now() + timedelta(seconds=self._settings.hold)

    def _written(self, name: str, marker: Marker, tag: str) -> str | None:
        """The tag of a marker that takes the place of the one with `tag`; None if that is gone."""
        markers = self._place.markers
        new = markers.replace(name, marker, tag) if tag else markers.create(name, marker)
        if new is not None:
            self._known[name] = (marker, new)
        return new

    def _renewed(self, each: _UnderWay) -> Row:
        """Hold a video for longer, or stop the work on it if another has it by now."""
        marker = each.marker.but(until=self._end_of_claim(), job=each.work.job)
        tag = self._written(each.video.name, marker, each.tag)
        if tag is None:
            each.work.end()
            return self._let_go(each, Shown.ELSEWHERE, "another has taken it over")
        each.marker, each.tag, each.renewed = marker, tag, time.monotonic()
        return self._row_under_way(each.video.name)

    def _concluded(self, each: _UnderWay, outcome: Outcome) -> Row:
        """Note how the work on a video ended."""
        marker = each.marker.but(since=self._now(), until=None, job=each.work.job)
        match outcome.state:
            case State.FAILED:
                shown, marker = self._failed(marker, outcome.said)
            case State.STOPPED:
                shown = Shown.STOPPED
                marker = marker.but(state=State.STOPPED, reason=outcome.said)
            case _:
                shown, marker = Shown.DONE, marker.but(state=State.DONE, reason=None)
        if self._written(each.video.name, marker, each.tag) is None:
            return self._let_go(each, Shown.ELSEWHERE, "another has taken it over")
        self._unsettled |= shown is Shown.FAILED
        if shown is Shown.DONE:
            each.work.forget()
        return self._let_go(each, shown, outcome.said)

    def _failed(self, marker: Marker, reason: str) -> tuple[Shown, Marker]:
        """What a video is that has failed once more."""
        attempts = marker.attempts + 1
        marker = marker.but(attempts=attempts, reason=reason, job=None)
        if attempts >= self._settings.attempts:
            return Shown.POISON, marker.but(state=State.POISON)
        # What is amiss with the machine, such as a full disk, may pass: ever more patience.
        rest = timedelta(seconds=self._settings.every * 3 ** (attempts - 1))
        return Shown.FAILED, marker.but(state=State.FAILED, until=self._now() + rest)

    def _let_go(self, each: _UnderWay, shown: Shown, said: str) -> Row:
        """The row of a video that this watcher has no longer."""
        del self._under_way[each.video.name]
        return replace(self._row(each), state=shown, said=said)

    def _row_under_way(self, name: str) -> Row:
        each = self._under_way[name]
        return replace(self._row(each), said=each.work.progress())

    def _row(self, each: _UnderWay) -> Row:
        seconds = time.monotonic() - each.begun
        return Row(each.video.name, Shown.RUNNING, each.marker.attempts + 1, seconds)
