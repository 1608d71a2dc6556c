"""How to watch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WatchSettings:
    """How often to look, how much to do at once, and when to give up.

    Attributes:
        most_at_once: Videos under way at the same time; the others wait.
        attempts: How often a video is tried before it is left alone.
        every: Seconds from one look to the next, and of rest after a first failure.
        hold: Seconds that a claim lasts unless it is renewed, which is done three times as often.
            So long a video waits whose watcher's machine is gone.
        interruptions: How often whoever works on a video may be gone without a word, before the
            video counts as the reason.
    """

    most_at_once: int = 1
    attempts: int = 3
    every: float = 10
    hold: float = 120
    interruptions: int = 5
