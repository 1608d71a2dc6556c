"""Check cron expressions and time zones, also for what Azure ML accepts and then ignores.

See "Schedule machine learning pipeline jobs": five fields, of which days and months are ignored,
and Windows names of time zones.
"""

from __future__ import annotations

import difflib
import re

_FIELDS = (("minutes", 0, 59), ("hours", 0, 23), ("days of the week", 0, 6))
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
_MIN_INTERVAL = 10
"""Minutes between two jobs. A cluster takes about five to allocate a node; a job that starts sooner
would only queue behind the one before it."""
_HOUR = 60


def normalize_cron(expression: str) -> str:
    """Return a cron expression with single spaces between its fields.

    Raises:
        ValueError: The expression is not valid, Azure ML would ignore a part of it, or it starts
            jobs faster than a cluster allocates nodes.
    """
    fields = expression.split()
    if len(fields) != len(_FIELDS) + 2:
        raise ValueError(
            f"--cron: '{expression}' has {len(fields)} fields; expected five: minutes, hours, "
            "days, months, days of the week, such as '0 * * * *' for every hour"
        )
    minutes, hours, days, months, weekdays = fields
    for name, field in (("days", days), ("months", months)):
        if field != "*":
            raise ValueError(
                f"--cron: '{expression}': Azure ML ignores {name}, and would start the job on all "
                f"of them; write * for {field}, or choose days of the week"
            )
    sets = [
        _parse_field(field, name, lowest, highest)
        for field, (name, lowest, highest) in zip((minutes, hours, weekdays), _FIELDS, strict=True)
    ]
    if (interval := _min_interval(sets[0], sets[1])) < _MIN_INTERVAL:
        raise ValueError(
            f"--cron: '{expression}' starts jobs {interval} minutes apart, before a cluster has "
            f"allocated nodes; expected at least {_MIN_INTERVAL}, such as '*/{_MIN_INTERVAL} "
            "* * * *'"
        )
    return " ".join(fields)


def normalize_time_zone(name: str) -> str:
    """Return the name of a time zone in the spelling of Azure ML.

    Raises:
        ValueError: Azure ML does not support the time zone; the message suggests similar names.
    """
    from azure.ai.ml.constants import TimeZone

    names = {str(zone.value).lower(): str(zone.value) for zone in TimeZone}
    if name.lower() in names:
        return names[name.lower()]
    close = difflib.get_close_matches(name, list(names.values()), n=3)
    hint = (
        f"did you mean {' or '.join(map(repr, close))}?"
        if close
        else "expected a Windows name, such as 'W. Europe Standard Time' or 'UTC'"
    )
    raise ValueError(f"--time-zone: Azure ML does not support '{name}'; {hint}")


def _parse_field(field: str, name: str, lowest: int, highest: int) -> set[int]:
    values: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        try:
            if match is None:
                raise ValueError(part)
            first, last, step = match["first"], match["last"], int(match["step"] or 1)
            start = lowest if first == "*" else _parse_value(first)
            end = highest if first == "*" or (match["step"] and not last) else start
            end = _parse_value(last) if last else end
            if not lowest <= start <= end <= highest or step < 1:
                raise ValueError(part)
        except ValueError as error:
            raise ValueError(
                f"--cron: '{part}': expected {name} from {lowest} to {highest}, a range such as "
                "1-5, or a step such as */15"
            ) from error
        values |= set(range(start, end + 1, step))
    return values


def _parse_value(text: str) -> int:
    day = text.lower()[:3]
    return _DAYS.index(day) if day in _DAYS else int(text)


def _min_interval(minutes: set[int], hours: set[int]) -> int:
    """Return the minutes between the two closest starts of a day."""
    starts = sorted(_HOUR * hour + minute for hour in hours for minute in minutes)
    day = 24 * _HOUR
    return min(
        after - before for before, after in zip(starts, [*starts[1:], starts[0] + day], strict=True)
    )
