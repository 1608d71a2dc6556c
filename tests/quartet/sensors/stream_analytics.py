"""Run the project's Stream Analytics query on SQLite.

What both languages have in common is unchanged. The rest is translated by rules of the
documentation:

- an event carries a time, at first that of TIMESTAMP BY, which System.Timestamp() gives;
- GROUP BY System.Timestamp() makes groups of events of one time, which the results carry;
- GROUP BY TumblingWindow(second, n) makes groups of events later than a multiple of n
  seconds and not later than the next one, which the result carries as its time;
- TopOne(x) OVER (ORDER BY a DESC, …) is the x of the event that comes first in that order;
- STDEVP is the deviation of the population, and GetType the type of a value.

https://learn.microsoft.com/stream-analytics-query/stream-analytics-query-language-reference
"""

import re
import sqlite3
import statistics

SECOND = 1_000_000
TIME = "event_time"
TYPES = {int: "bigint", float: "float", str: "nvarchar(max)", type(None): None}


class TopOne:
    """Return the first argument of the row in which the others are largest."""

    def __init__(self):
        self.best = None

    def step(self, value, *order):
        if self.best is None or order > self.best[0]:
            self.best = (order, value)

    def finalize(self):
        return self.best[1]


class Deviation:
    """Standard deviation of the population."""

    def __init__(self):
        self.values = []

    def step(self, value):
        self.values.append(value)

    def finalize(self):
        return statistics.pstdev(self.values)


def run(query, events):
    """The rows of each output, as dictionaries.

    Args:
        query: The text of the query.
        events: Dictionaries of all columns the query uses; `timestamp` and
            `EventEnqueuedUtcTime` in microseconds.
    """
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    database.create_aggregate("TopOne", -1, TopOne)
    database.create_aggregate("STDEVP", 1, Deviation)
    database.create_function("GetType", 1, lambda value: TYPES[type(value)])
    columns = list(events[0])
    database.execute(f"CREATE TABLE readings ({', '.join(f'[{name}]' for name in columns)})")
    placeholders = ", ".join("?" * len(columns))
    database.executemany(
        f"INSERT INTO readings VALUES ({placeholders})", [tuple(event.values()) for event in events]
    )
    steps, outputs = parts(query)
    for name, select in steps.items():
        database.execute(f"CREATE TABLE {name} AS {translated(select)}")
    return {
        name: [dict(row) for row in database.execute(translated(select))]
        for name, select in outputs.items()
    }


def parts(query):
    """The steps of WITH by name, and the SELECTs by the output that they go INTO."""
    text = re.sub(r"--.*", "", query).strip()
    assert text.startswith("WITH ")
    steps, rest = {}, text.removeprefix("WITH ")
    while step := re.match(r"\s*,?\s*(\w+) AS \(", rest):
        end = closing(rest, step.end())
        steps[step[1]] = rest[step.end() : end]
        rest = rest[end + 1 :]
    outputs = {}
    for select in re.split(r"\n\s*\n(?=SELECT\b)", rest.strip()):
        into = re.search(r"\bINTO (\w+)", select)
        outputs[into[1]] = select.replace(into[0], "")
    return steps, outputs


def closing(text, start):
    """Return the position of the parenthesis that closes the one before `start`."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if not depth:
            return place
    raise AssertionError(f"unclosed: {text[start - 30 : start + 30]}")


def translated(select):
    """Translate a SELECT to SQLite; its last column is the time of its rows."""
    before, time = TIME, TIME
    if source := re.search(r"\s+TIMESTAMP BY (\[\w+\])", select):
        select = select.replace(source[0], "")
        before = time = source[1]
    if window := re.search(r"TumblingWindow\(second, (\d+)\)", select):
        length = int(window[1]) * SECOND
        time = f"(({before} + {length - 1}) / {length} * {length})"
        select = select.replace(window[0], time)
    select = select.replace("System.Timestamp()", time)
    rules = {
        r"DATEDIFF\(millisecond, ([^,]+), ([^)]+)\)": r"(\2 / 1000 - \1 / 1000)",
        r"GetMetadataPropertyValue\(readings, '\[EventHub\]\.(\[\w+\])'\)": r"\1",
        r"AS nvarchar\(max\)": "AS TEXT",
        r"AS bigint": "AS INTEGER",
        r"AS float": "AS REAL",
        r"TopOne\((.+)\) OVER \(ORDER BY ([^)]+)\)": top_one,
    }
    for pattern, replacement in rules.items():
        select = re.sub(pattern, replacement, select)
    head, tail = re.split(r"\n\s*FROM ", select, maxsplit=1)
    return f"{head}, {time} AS {TIME} FROM {tail}"


def top_one(found):
    """Return TopOne with its descending order as further arguments."""
    order = found[2].split(", ")
    assert all(each.endswith(" DESC") for each in order)
    return f"TopOne({', '.join([found[1], *(each.removesuffix(' DESC') for each in order)])})"
