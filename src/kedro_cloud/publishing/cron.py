"""Times at which Azure ML starts a job: what it takes, and what it takes and then does not do.

See "Schedule machine learning pipeline jobs": five fields, of which those of days and months are
ignored, and the time zone by the name that Windows gives it.
"""

from __future__ import annotations

import difflib
import re

_FIELDS = (("minutes", 0, 59), ("hours", 0, 23), ("days of the week", 0, 6))
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
_LEAST_MINUTES = 10
"""Between two jobs. A machine from nothing takes some five: a job that is started while the one
before it waits for its machine only waits behind it."""
_HOUR = 60


def checked_cron(expression: str) -> str:
    """An expression with single spaces, as Azure ML takes it.

    Raises:
        ValueError: It is none, would be ignored in part, or starts jobs faster than machines come.
    """
    fields = expression.split()
    if len(fields) != len(_FIELDS) + 2:
        raise ValueError(
            f"--cron '{expression}' has {len(fields)} fields and not five: minutes, hours, days, "
            "months, days of the week; every hour is '0 * * * *'"
        )
    minutes, hours, days, months, weekdays = fields
    for name, field in (("days", days), ("months", months)):
        if field != "*":
            raise ValueError(
                f"--cron '{expression}': Azure ML ignores {name}, and would start the job on all "
                f"of them; write * for {field}, or choose days of the week"
            )
    sets = [
        _values(field, name, lowest, highest)
        for field, (name, lowest, highest) in zip((minutes, hours, weekdays), _FIELDS, strict=True)
    ]
    if (least := _least_gap(sets[0], sets[1])) < _LEAST_MINUTES:
        raise ValueError(
            f"--cron '{expression}' starts jobs {least} minutes apart, which is sooner than a "
            f"cluster has machines; leave {_LEAST_MINUTES} at least, such as '*/{_LEAST_MINUTES} "
            "* * * *'"
        )
    return " ".join(fields)


def checked_time_zone(name: str) -> str:
    """A time zone's name as Azure ML takes it.

    Raises:
        ValueError: It is none of those; with those that were probably meant.
    """
    from azure.ai.ml.constants import TimeZone

    known = {str(zone.value).lower(): str(zone.value) for zone in TimeZone}
    if name.lower() in known:
        return known[name.lower()]
    close = difflib.get_close_matches(name, list(known.values()), n=3)
    hint = (
        f"did you mean {' or '.join(repr(each) for each in close)}?"
        if close
        else ("it takes the names that Windows has, such as 'W. Europe Standard Time' or 'UTC'")
    )
    raise ValueError(f"--time-zone '{name}' is none that Azure ML knows; {hint}")


def _values(field: str, name: str, lowest: int, highest: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        try:
            if match is None:
                raise ValueError(part)
            first, last, step = match["first"], match["last"], int(match["step"] or 1)
            start = lowest if first == "*" else _number(first)
            end = highest if first == "*" or (match["step"] and not last) else start
            end = _number(last) if last else end
            if not lowest <= start <= end <= highest or step < 1:
                raise ValueError(part)
        except ValueError as error:
            raise ValueError(
                f"--cron: '{part}' is no number of {name} from {lowest} to {highest}, no range "
                "such as 1-5, and no step such as */15"
            ) from error
        found |= set(range(start, end + 1, step))
    return found


def _number(text: str) -> int:
    day = text.lower()[:3]
    return _DAYS.index(day) if day in _DAYS else int(text)


def _least_gap(minutes: set[int], hours: set[int]) -> int:
    """Minutes between the two starts of a day that are closest."""
    starts = sorted(_HOUR * hour + minute for hour in hours for minute in minutes)
    day = 24 * _HOUR
    return min(
        after - before for before, after in zip(starts, [*starts[1:], starts[0] + day], strict=True)
    )
