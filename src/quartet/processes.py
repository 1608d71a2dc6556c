"""Whether another process, which holds something that this one wants, still lives."""

from __future__ import annotations

import os
from pathlib import Path


def is_alive(process: int) -> bool:
    """Whether a process of this machine has not ended.

    One that has ended, and that whoever started it has not looked after yet, has a number still;
    where the system does not tell of it (outside Linux), it counts as alive.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and someone else's
    try:
        # "12 (name) Z …"; a name may have parentheses in it.
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state not in ("Z", "X")
